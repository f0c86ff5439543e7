"""`inventory`, and `python -m inventory_cli`."""

from inventory_cli.commands import app


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
