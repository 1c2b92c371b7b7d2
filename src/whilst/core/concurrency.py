"""How many calls should a run or a stage be able to have in flight at once, under its limits as they are now?"""

from __future__ import annotations

from typing import Protocol

from .frozen import Frozen

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


class AtOnce(Frozen):
    """How many calls at once: as many as the user wants, as far as the limits allow it now.

    Attributes:
        asked: how many the user wants at most; None: the limits alone tell.
        limits: what each call holds a permit of.
        most: how many threads there may be, where the calls need some.
    """

    asked: int | None = None
    limits: tuple[Limited, ...] = ()
    most: int | None = None

    @property
    def now(self) -> int:
        """How many these are."""
        return self.told or DEFAULT_CONCURRENCY

    @property
    def adaptive(self) -> bool:
        """Whether that is only the most that a limit may find to be best."""
        return self.asked is None and any(limit.adaptive for limit in self.limits)

    @property
    def told(self) -> int | None:
        """How many that is; None if nothing tells."""
        most, limits = self.most, self.limits
        if not limits:
            return self.asked
        bounds = [limit.most for limit in limits if limit.most is not None and not limit.keyed]
        if self.asked is not None:
            return min([self.asked, *bounds])
        numbers = bounds.copy()
        if most is not None:
            bounds.append(most)
        if self.adaptive:
            return min([MOST_ADAPTIVE if most is None else MOST_ADAPTIVE_THREADS, *bounds])
        of_one_key = [it for limit in limits if limit.keyed and (it := limit.most_of_a_key) is not None]
        if numbers or not of_one_key:
            return min(bounds) if numbers else None
        return min([max(DEFAULT_CONCURRENCY, *of_one_key), *bounds])  # one key alone may use all that it is allowed
