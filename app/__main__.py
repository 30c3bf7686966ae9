"""``python -m app`` is the relevo command."""

from app.cli.command import main

if __name__ == "__main__":
    main()
