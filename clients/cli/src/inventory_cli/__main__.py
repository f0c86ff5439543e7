"""`inventory`, and `python -m inventory_cli`."""

import signal
import sys


def main() -> None:
    """Run the command line.

    A service starts without the client's commands, which take three times as long to load as all
    that it needs to become the service (measured): a member that restarts is awaited.
    """
    # Nothing is under way while the rest loads, so Ctrl-C ends the process without a word.
    is_default = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if is_default:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from inventory_cli.services import SERVICES, services_app  # noqa: PLC0415 - see above

    if SERVICES.intersection(sys.argv[1:2]):
        if is_default:
            signal.signal(signal.SIGINT, signal.default_int_handler)
        services_app(prog_name="inventory")
    else:
        from inventory_cli import process  # noqa: PLC0415 - not where a service starts

        process.main()


if __name__ == "__main__":
    main()
