"""`python -m whilst`: the command line."""

from whilst.cli.entry import main

if __name__ == "__main__":
    main()
