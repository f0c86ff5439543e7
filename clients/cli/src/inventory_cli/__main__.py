"""`inventory`, and `python -m inventory_cli`."""

import sys


def main() -> None:
    """Run the command line.

    A service starts without the client's commands, which take three times as long to load as all
    that it needs to become the service (measured): a member that restarts is awaited.
    """
    if sys.argv[1:2] == ["service"]:
        from inventory_cli.services import services_app  # noqa: PLC0415 - instead of the others

        services_app(args=sys.argv[2:], prog_name="inventory service")
    else:
        from inventory_cli.commands import app  # noqa: PLC0415 - instead of the service's

        app()


if __name__ == "__main__":
    main()
