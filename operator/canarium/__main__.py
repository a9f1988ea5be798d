"""`python -m canarium` is the `canarium` command."""

from canarium.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
