"""The command line: arguments in, a run, an exit code out."""
