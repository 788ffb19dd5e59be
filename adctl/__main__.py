"""``adctl`` and ``python -m adctl``."""

from adctl.cli.root import app


def main() -> None:
    """Run the command line; exits with a code of docs/exit-codes.md."""
    app(prog_name="adctl")


if __name__ == "__main__":
    main()
