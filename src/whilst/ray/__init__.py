"""Calls on the machines of a Ray cluster: `executor=whilst.ray.Ray(…)`.

The run stays here, with everything that decides: order, limits, retries, journal. Nodes make calls, many at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .executor import Ray

__all__ = ["Ray"]


def __getattr__(name: str) -> Any:
    """Load `Ray` when it is asked for: nodes import this package, too."""
    if name != "Ray":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from .executor import Ray

    return Ray
