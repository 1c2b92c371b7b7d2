"""whilst: do something else whilst you wait.

Brings concurrency to the functions you already have, blocking or async, unmodified.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import http as http
    from .bridge import block, unblock
    from .core.outcome import Outcome
    from .core.resource import Resource, resource
    from .core.retry import Retry
    from .core.summary import Summary
    from .core.transient import transient
    from .errors import (
        DeadlineExceeded,
        JournalChanged,
        JournalDamaged,
        JournalError,
        JournalLocked,
        Recorded,
        RunCancelled,
        Stopped,
        Throttled,
        TooManyAbandoned,
        Unstorable,
        WhilstError,
    )
    from .flow import (
        Flow,
        batched,
        each,
        first,
        flatten,
        sequence,
        step,
        together,
    )
    from .journal import Journal
    from .limit import Limit, LimitStatistics
    from .mapping import map
    from .run import Outcomes, Run

__version__ = "0.1.0"

# Where each public name lives. A name is loaded when it is first used (PEP 562), so that `import whilst` and
# `whilst --help` cost next to nothing.
_HOMES = {
    "DeadlineExceeded": "errors",
    "Flow": "flow",
    "Journal": "journal",
    "JournalChanged": "errors",
    "JournalDamaged": "errors",
    "JournalError": "errors",
    "JournalLocked": "errors",
    "Limit": "limit",
    "LimitStatistics": "limit",
    "Outcome": "core.outcome",
    "Outcomes": "run",
    "Recorded": "errors",
    "Resource": "core.resource",
    "Retry": "core.retry",
    "Run": "run",
    "RunCancelled": "errors",
    "Stopped": "errors",
    "Summary": "core.summary",
    "Throttled": "errors",
    "TooManyAbandoned": "errors",
    "Unstorable": "errors",
    "WhilstError": "errors",
    "batched": "flow",
    "block": "bridge",
    "each": "flow",
    "first": "flow",
    "flatten": "flow",
    "map": "mapping",
    "resource": "core.resource",
    "sequence": "flow",
    "step": "flow",
    "together": "flow",
    "transient": "core.transient",
    "unblock": "bridge",
}

_MODULES = ("http",)  # public modules that need no import of their own: `whilst.http.get_json`

__all__ = [
    "DeadlineExceeded",
    "Flow",
    "Journal",
    "JournalChanged",
    "JournalDamaged",
    "JournalError",
    "JournalLocked",
    "Limit",
    "LimitStatistics",
    "Outcome",
    "Outcomes",
    "Recorded",
    "Resource",
    "Retry",
    "Run",
    "RunCancelled",
    "Stopped",
    "Summary",
    "Throttled",
    "TooManyAbandoned",
    "Unstorable",
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
    "transient",
    "unblock",
]


def __getattr__(name: str) -> Any:
    """Load a public name at its first use."""
    if name in _MODULES:
        return import_module(f".{name}", __name__)
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'whilst' has no attribute {name!r}")
    found = getattr(import_module(f".{home}", __name__), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
