"""How many calls should a run be able to have in flight at once, under its limits as they are now?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

DEFAULT_CONCURRENCY = 32
MOST_ADAPTIVE = 4096  # calls in flight that an adaptive run may find out to be best
MOST_ADAPTIVE_THREADS = 512


class Limited(Protocol):
    """What is asked of a limit."""

    @property
    def most(self) -> int | None:
        """How many calls it permits at once; None: any number, or one that its key decides."""
        ...

    @property
    def keyed(self) -> bool:
        """Whether it has a state for each key."""
        ...

    @property
    def adaptive(self) -> bool:
        """Whether it finds the number by itself."""
        ...

    @property
    def most_of_a_key(self) -> int | None:
        """How many calls of one key it permits at once."""
        ...


def lanes_for(
    asked: int | None, limits: Sequence[Limited], *, adaptive: bool = False, most: int | None = None
) -> int | None:
    """Return how many lanes a run needs; None: nothing tells.

    Args:
        asked: how many its user wants at most.
        limits: what each call holds a permit of.
        adaptive: whether the number is found while it runs.
        most: how many threads there may be, where it needs some.
    """
    bounds = [limit.most for limit in limits if limit.most is not None and not limit.keyed]
    if asked is not None:
        return min([asked, *bounds])
    if most is not None:
        bounds.append(most)
    if adaptive or any(limit.adaptive for limit in limits):
        return min([MOST_ADAPTIVE if most is None else MOST_ADAPTIVE_THREADS, *bounds])
    of_one_key = [it for limit in limits if limit.keyed and (it := limit.most_of_a_key) is not None]
    numbers = bounds if most is None else bounds[:-1]
    if numbers or not of_one_key:
        return min(bounds) if numbers else None
    return min([max(DEFAULT_CONCURRENCY, *of_one_key), *bounds])  # one key alone may use all that it is allowed
