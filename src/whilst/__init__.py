"""whilst: do something else whilst you wait.

Brings concurrency to the functions you already have, blocking or async, unmodified.
"""

from .core.outcome import Outcome
from .core.summary import Summary
from .errors import DeadlineExceeded, RunCancelled, Stopped, TooManyAbandoned, WhilstError
from .mapping import map
from .run import Outcomes, Run

__version__ = "0.1.0"

__all__ = [
    "DeadlineExceeded",
    "Outcome",
    "Outcomes",
    "Run",
    "RunCancelled",
    "Stopped",
    "Summary",
    "TooManyAbandoned",
    "WhilstError",
    "map",
]
