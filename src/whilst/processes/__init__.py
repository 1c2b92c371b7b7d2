"""Worker processes of this machine: `executor="process"`, and how each of them lives and ends.

`Processes` says more than that word does: how many calls a worker makes before another takes its place.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executor import Processes

__all__ = ["Processes"]


def __getattr__(name: str) -> Any:
    """Load `Processes` when it is asked for: workers import this package, too, and need to be quick."""
    if name != "Processes":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .executor import Processes

    return Processes
