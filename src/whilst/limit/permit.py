"""How does hand-written code hold a permit for an item?"""

from __future__ import annotations

import warnings
from asyncio import _get_running_loop as running_loop
from collections.abc import Iterable
from math import isfinite
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.costs import Cost
from ..core.outcome import short
from .acquire import acquire, acquire_blocking
from .acquirer import Acquirer
from .alone import Alone
from .feedback import Report, report_of
from .holders import Holder, ask_around, held, inside_of
from .queue import WaitQueue
from .state import LimitState

if TYPE_CHECKING:
    from ..core.headers import Left


def in_order(limits: Iterable[LimitState]) -> tuple[LimitState, ...]:
    """Return each limit once, in the order in which they were made: the one in which calls stand in line."""
    return tuple(sorted(set(limits), key=lambda limit: limit.number))


class Permit(Alone):
    """A permit of a limit: what `limit.of(item)` and `limit.try_acquire(item)` return.

    A permit from `of` is taken when its block is entered, and is for one block at a time. A permit from `try_acquire`
    is already taken, until the end of its block or `release()`.

    >>> import whilst
    >>> tokens = whilst.Limit(rate="90000/min", weight=len)
    >>> with tokens.of("a prompt") as permit:
    ...     permit.spent(12)
    """

    __slots__ = ("_holder",)

    _holder: ItemHolder

    def __init__(self, holder: ItemHolder) -> None:
        self._holder = holder

    def spent(self, cost: float) -> None:
        """Report what the call really cost, instead of the estimate.

        If it cost less, the rest goes to waiting calls; if it cost more, later calls wait longer. If you report again,
        the last number counts.

        Raises:
            RuntimeError: the permit is not held, or the limit has no `weight`.
        """
        self._holder.spent(check_cost(cost))

    def release(self) -> None:
        """Give the permit back. From any thread; once it is back, this does nothing."""
        self._holder.leave(None)

    def __enter__(self) -> Permit:
        """Wait for the permit, on a plain thread, unless it is held already."""
        self._holder.enter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.leave(error)

    async def __aenter__(self) -> Permit:
        """Wait for the permit, on a loop, unless it is held already."""
        await self._holder.enter_on_loop()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._holder.leave(error)

    def __del__(self) -> None:
        if self._holder.holding:
            warnings.warn(
                f"{self!r} was dropped and not given back\n  try: with permit: …, or permit.release()",
                ResourceWarning,
                stacklevel=2,
                source=self,
            )

    def __repr__(self) -> str:
        return f"<a permit for {short(self._holder.item)} of {self._holder.limits[0]!r}>"


def take_now(limit: LimitState, item: Any, weight: float | None) -> Permit | None:
    """Return a permit that is held, if one can be had now."""
    holder = ItemHolder(limit, item, weight=weight)
    acquirer = Acquirer((limit,), item, loop=running_loop(), wake=_nobody, weights=holder.weights)
    if not acquirer.take_now(1):
        return None
    holder.take(acquirer)
    return Permit(holder)


def check_cost(cost: Any) -> float:
    """Return what a call cost, a number from 0 on."""
    if isinstance(cost, (bool, str)) or not hasattr(cost, "__float__"):
        raise TypeError(f"what a call has spent must be a number, got {short(cost)}")
    if not (isfinite(spent := float(cost)) and spent >= 0):
        raise ValueError(f"what a call has spent must be a number of at least 0, got {short(cost)}")
    return spent


class ItemHolder(Holder, Alone):
    """Who holds a permit of a limit for one item, while the block under `with` or `async with` lasts."""

    __slots__ = ("_acquirer", "_counted", "_limits", "_started", "_timeout", "entered", "item", "weights")

    def __init__(
        self, limit: LimitState, item: Any, *, weight: float | None = None, timeout: float | None = None
    ) -> None:
        self.outer = None
        self.token = None
        self.item: Any = item
        self.weights: tuple[float, ...] | None = None if weight is None else (weight,)
        self.entered: bool = False
        """Whether a block of it is under way."""
        self._limits = (limit,)
        self._timeout = timeout
        self._acquirer: Acquirer | None = None  # while it holds
        self._counted: list[Cost] = []  # what the call costs, as far as that is known
        self._started = 0.0

    @property
    def holding(self) -> bool:
        """Whether it holds permits now."""
        return self._acquirer is not None

    @property
    def limits(self) -> tuple[LimitState, ...]:
        """The limits that it holds a permit of."""
        return self._limits

    @property
    def queues(self) -> tuple[WaitQueue, ...]:
        """The queues from which its permits are."""
        return self._acquirer.queues if self._acquirer is not None else ()

    def forked(self) -> None:
        """Hold nothing."""
        self._acquirer = None

    def allow(self, left: Left) -> None:
        """Slow down as an answer says."""
        acquirer = self._acquirer
        if acquirer is not None:
            acquirer.allow(left)

    def spent(self, cost: float) -> None:
        """Count what the call cost indeed."""
        acquirer, limit = self._acquirer, self._limits[0]
        if acquirer is None:
            raise RuntimeError("this permit is not held, so there is no call to report\n  try: in its with block")
        if not (limit.weighted or self.weights):
            raise RuntimeError(
                f"{limit!r} has no weight=, so there is nothing to correct\n"
                '  try: whilst.Limit(rate="90000/min", weight=…), or: limit.of(item, weight=…)'
            )
        acquirer.correct(self._counted, self._started, cost, given=self.weights is not None)

    def enter(self) -> None:
        """Wait for the permit, on a plain thread."""
        if not self._is_held():
            outer = ask_around(self._limits)
            args = self._limits, self.item, inside_of(outer)
            self.take(acquire_blocking(*args, weights=self.weights, timeout=self._timeout))
            self.outer = outer
        self._hold()

    async def enter_on_loop(self) -> None:
        """Wait for the permit, on a loop."""
        if not self._is_held():
            outer = ask_around(self._limits)
            args = self._limits, self.item, inside_of(outer)
            self.take(await acquire(*args, weights=self.weights, timeout=self._timeout))
            self.outer = outer
        self._hold()

    def take(self, acquirer: Acquirer) -> None:
        """Hold what an acquirer has taken."""
        self._acquirer = acquirer
        self._started = acquirer.clock()
        self._counted = acquirer.set.costs()

    def _is_held(self) -> bool:
        if self.entered:
            raise RuntimeError("this permit is in use\n  try: a new limit.of(item) in each with")
        return self._acquirer is not None

    def _hold(self) -> None:
        self.entered = True
        self.token = held.set(self)

    def leave(self, error: BaseException | None) -> None:
        """Give the permit back, and tell the limit how the block ended."""
        self.entered, acquirer = False, self._acquirer
        if acquirer is None:
            return
        self._acquirer = None
        self._forget()
        self._give_back(acquirer, report_of(error) if error is not None or acquirer.listens else None)

    def _forget(self) -> None:
        """Take back what the code that runs now inherits."""
        token, self.token = self.token, None
        if token is not None:
            try:
                held.reset(token)  # not `set`: a context that looks as before lets a run's lane go on
            except ValueError:
                pass  # left in another context than it was entered in; it does not hold any more

    def _give_back(self, acquirer: Acquirer, report: Report | None) -> None:
        if report is None:
            acquirer.give_back()
        else:
            acquirer.finished(self._started, report)


def _nobody() -> None:
    """Stand in for what wakes a party, where nobody stands in line."""
