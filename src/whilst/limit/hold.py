"""Which permits does a leaf of a flow hold, and until when?"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from ..core.headers import Left
from ..lanes.listening import Listener, listening
from .claim import Claim
from .feedback import Report
from .turn import Holder, held, refuse_twice, turn

if TYPE_CHECKING:
    from ..lanes.calls import Calls
    from .limit import Limit


class Hold:
    """The permits of one call; they go back when it is over, which may be after its await was cancelled.

    Args:
        limits: what `in_order` returns.
        item: what the call is given; decides on keys and weights.
    """

    __slots__ = ("_claim", "_guard", "_heard", "_item", "_left", "_limits", "_over", "_started", "_token")

    def __init__(self, limits: tuple[Limit, ...], item: Any = None) -> None:
        self._limits = limits
        self._item = item
        self._claim: Claim | None = None  # while it holds
        self._started = 0.0
        self._left = self._over = False
        self._guard = threading.Lock()
        self._token: Token[tuple[Holder, ...]] | None = None
        self._heard: Token[Listener | None] | None = None

    @staticmethod
    def in_order(limits: Iterable[Limit]) -> tuple[Limit, ...]:
        """Return each limit once, in the order in which they were made: the one in which calls stand in line."""
        return tuple(sorted(set(limits), key=lambda limit: limit._number))

    def has(self, limit: Limit) -> bool:
        """Whether a permit of `limit` is held now."""
        return self._claim is not None and limit in self._limits

    async def take(self) -> None:
        """Take a permit of every limit, in turn; none if that fails."""
        refuse_twice(self._limits)
        claim = await turn(self._limits, self._item)
        self._claim, self._started = claim, claim.clock()
        self._token = held.set((*held.get(), self))
        self._heard = listening.set(self)

    def told(self, left: Left) -> None:
        """Slow down as an answer says."""
        claim = self._claim
        if claim is not None:
            claim.allow(left)

    async def during(self, calls: Calls, fn: Callable[..., Any], *args: Any) -> Any:
        """Call `fn` on a thread; cancelled meanwhile, the permits stay taken until the thread is out of it."""
        try:
            return await calls.call(fn, *args, after=self._call_is_over)
        except asyncio.CancelledError:
            with self._guard:
                self._left = not self._over
            raise

    def end(self, report: Report | None = None) -> None:
        """Give back, unless a call that was left behind will, and pass on how the call went."""
        if self._token is not None and self._heard is not None:
            held.reset(self._token)
            listening.reset(self._heard)
            self._token = self._heard = None
        with self._guard:
            claim, left = self._claim, self._left
            if not left:
                self._claim = None
        if claim is None:
            return
        if report is None:
            if not left:
                claim.give_back()
        elif left:
            claim.learn(self._started, report)
        else:
            claim.finished(self._started, report)

    def _call_is_over(self) -> None:
        """Note, on whatever thread, that the call has returned; nobody else gives back if it was left behind."""
        with self._guard:
            self._over = True
            claim = self._claim if self._left else None
            if claim is not None:
                self._claim = None
        if claim is not None:
            claim.give_back()
