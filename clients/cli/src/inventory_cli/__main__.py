"""`inventory`, and `python -m inventory_cli`."""

import signal
import sys

from inventory_cli.services import SERVICES, services_app


def main() -> None:
    """Run the command line.

    A service starts without the client's commands, which take three times as long to load as all
    that it needs to become the service (measured): a member that restarts is awaited.
    """
    if SERVICES.intersection(sys.argv[1:2]):
        services_app(prog_name="inventory")
    else:
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is under way while it loads
        from inventory_cli import process  # noqa: PLC0415 - not where a service starts

        process.main()


if __name__ == "__main__":
    main()
