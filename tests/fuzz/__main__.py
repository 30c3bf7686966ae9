"""``python -m tests.fuzz``: see `make help`."""

from tests.fuzz.run import main

if __name__ == "__main__":
    main()
