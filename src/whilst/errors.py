"""What can go wrong with a run as a whole; what goes wrong with one input is that input's own exception."""


class WhilstError(Exception):
    """The parent of every error that this library raises about a run (argument errors are TypeError and ValueError)."""


class Stopped(WhilstError):
    """The failure policy ended the run: `stop_after` was reached; what was in flight has been finished."""


class DeadlineExceeded(WhilstError, TimeoutError):
    """The run's `deadline` passed: what was in flight was cancelled, what had finished was delivered."""


class RunCancelled(WhilstError):
    """`run.cancel()` was called, or the loop that drove the run was shut down under it."""


class TooManyAbandoned(WhilstError):
    """More blocking calls outlived their `timeout` than the run may have at once; more would only pile up threads."""
