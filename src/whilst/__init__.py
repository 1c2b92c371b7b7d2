"""whilst: do something else whilst you wait.

Brings concurrency to the functions you already have, blocking or async, unmodified.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from . import http as http
    from . import otel as otel
    from . import processes as processes
    from .bridge import block, unblock
    from .composing import fallback, first, sequence, together
    from .core.advice import Advice
    from .core.call import Call
    from .core.events import AttemptFailed
    from .core.outcome import Outcome
    from .core.resource import Resource, resource
    from .core.spread import spread
    from .core.summary import Summary
    from .core.transient import transient
    from .doctoring.finding import Finding
    from .doctoring.session import doctor
    from .engine.current import current_call
    from .errors import (
        DeadlineExceeded,
        JournalChanged,
        JournalDamaged,
        JournalError,
        JournalLocked,
        Recorded,
        RowRejected,
        RunCancelled,
        SizeExceeded,
        Stopped,
        Throttled,
        TooManyAbandoned,
        Unstorable,
        UnwantedValue,
        WhilstError,
        WorkerDied,
    )
    from .flow import (
        Flow,
        batched,
        each,
        flatten,
        step,
    )
    from .io.named import rows
    from .journal import Journal
    from .limit.answers import learn_from
    from .limit.context import Permit
    from .limit.limit import Limit
    from .limit.state import LimitStatistics
    from .live import Watch, watch
    from .mapping import map
    from .retrying import Retry
    from .run import Outcomes, Run
    from .streams import filter, merge

__version__ = "0.1.0"

# Where each public name lives. A name is loaded when it is first used (PEP 562), so that `import whilst` and
# `whilst --help` cost next to nothing.
_HOMES = {
    "Advice": "core.advice",
    "AttemptFailed": "core.events",
    "Call": "core.call",
    "DeadlineExceeded": "errors",
    "Finding": "doctoring.finding",
    "Flow": "flow",
    "Journal": "journal",
    "JournalChanged": "errors",
    "JournalDamaged": "errors",
    "JournalError": "errors",
    "JournalLocked": "errors",
    "Limit": "limit.limit",
    "LimitStatistics": "limit.state",
    "Permit": "limit.context",
    "Outcome": "core.outcome",
    "Outcomes": "run",
    "Recorded": "errors",
    "Resource": "core.resource",
    "Retry": "retrying",
    "RowRejected": "errors",
    "Run": "run",
    "RunCancelled": "errors",
    "SizeExceeded": "errors",
    "Stopped": "errors",
    "Summary": "core.summary",
    "Throttled": "errors",
    "TooManyAbandoned": "errors",
    "Unstorable": "errors",
    "UnwantedValue": "errors",
    "Watch": "live",
    "WhilstError": "errors",
    "WorkerDied": "errors",
    "batched": "flow",
    "block": "bridge",
    "current_call": "engine.current",
    "doctor": "doctoring.session",
    "each": "flow",
    "fallback": "composing",
    "filter": "streams",
    "first": "composing",
    "flatten": "flow",
    "learn_from": "limit.answers",
    "map": "mapping",
    "merge": "streams",
    "resource": "core.resource",
    "rows": "io.named",
    "sequence": "composing",
    "spread": "core.spread",
    "step": "flow",
    "together": "composing",
    "transient": "core.transient",
    "unblock": "bridge",
    "watch": "live",
}

# Public modules that need no import of their own: `whilst.http.get_json`.
_MODULES = ("http", "otel", "processes", "ray", "testing")

__all__ = [
    "Advice",
    "AttemptFailed",
    "Call",
    "DeadlineExceeded",
    "Finding",
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
    "Permit",
    "Recorded",
    "Resource",
    "Retry",
    "RowRejected",
    "Run",
    "RunCancelled",
    "SizeExceeded",
    "Stopped",
    "Summary",
    "Throttled",
    "TooManyAbandoned",
    "Unstorable",
    "UnwantedValue",
    "Watch",
    "WhilstError",
    "WorkerDied",
    "batched",
    "block",
    "current_call",
    "doctor",
    "each",
    "fallback",
    "filter",
    "first",
    "flatten",
    "learn_from",
    "map",
    "merge",
    "resource",
    "rows",
    "sequence",
    "spread",
    "step",
    "together",
    "transient",
    "unblock",
    "watch",
]


if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Load a public name at its first use."""
        if name in _MODULES:
            return import_module(f".{name}", __name__)
        home = _HOMES.get(name)
        if home is None:
            raise _unknown(name)
        found = getattr(import_module(f".{home}", __name__), name)
        globals()[name] = found
        return found


def _unknown(name: str) -> Exception:
    """Return the error that says which line works, where people of other libraries type this name."""
    if name.startswith("_"):  # asked for by the interpreter and by tools
        return AttributeError(f"module 'whilst' has no attribute {name!r}")
    from .core.habits import is_imported, unknown_name

    said = unknown_name(name, __all__)
    return ImportError(said, name=__name__) if is_imported(name) else AttributeError(said)


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
