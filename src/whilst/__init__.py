"""whilst: do something else whilst you wait.

Brings concurrency to the functions you already have, blocking or async, unmodified.
"""

from .bridge import block, unblock
from .core.outcome import Outcome
from .core.resource import Resource, resource
from .core.summary import Summary
from .errors import DeadlineExceeded, RunCancelled, Stopped, TooManyAbandoned, WhilstError
from .flow import Flow, batched, each, first, flatten, sequence, step, together
from .limit import Limit, LimitStatistics
from .mapping import map
from .run import Outcomes, Run

__version__ = "0.1.0"

__all__ = [
    "DeadlineExceeded",
    "Flow",
    "Limit",
    "LimitStatistics",
    "Outcome",
    "Outcomes",
    "Resource",
    "Run",
    "RunCancelled",
    "Stopped",
    "Summary",
    "TooManyAbandoned",
    "WhilstError",
    "batched",
    "block",
    "each",
    "first",
    "flatten",
    "map",
    "resource",
    "sequence",
    "step",
    "together",
    "unblock",
]
