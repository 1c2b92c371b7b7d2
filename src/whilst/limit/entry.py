"""How does hand-written code hold one permit of a limit?"""

from __future__ import annotations

import asyncio
from contextvars import Token
from time import monotonic
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.outcome import short
from ..lanes.clock import clock_of
from .claim import Claim
from .feedback import report_of
from .line import Clock
from .turn import Holder, blocking_turn, held, refuse_twice, turn

if TYPE_CHECKING:
    from .limit import Limit


class Entry:
    """One permit of a limit for one item, held by the block under `with` or `async with`: what `limit.of` returns."""

    __slots__ = ("_claim", "_item", "_limit", "_started", "_token", "whole")

    def __init__(self, limit: Limit, item: Any, *, whole: bool = False) -> None:
        self.whole: bool = whole
        """Whether it was made by `with limit:` itself, which finds it by the context when the block is left."""
        self._limit = limit
        self._item = item
        self._claim: Claim | None = None  # while it holds
        self._started = 0.0
        self._token: Token[tuple[Holder, ...]] | None = None

    def has(self, limit: Limit) -> bool:
        """Whether a permit of `limit` is held now."""
        return self._claim is not None and limit is self._limit

    def __enter__(self) -> Entry:
        if not self.enter_now(monotonic):
            self._enter(blocking_turn((self._limit,), self._item))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)

    async def __aenter__(self) -> Entry:
        if not self.enter_now(clock_of(asyncio.get_running_loop())):
            await self.enter_later()
        return self

    def enter_now(self, clock: Clock) -> bool:
        """Take a permit that can be had at once, as a party of a limit that all its parties may use in common."""
        if self._claim is not None:
            raise RuntimeError("this permit is in use\n  try: limit.of(item) anew in each with")
        if self._limit._bounded and held.get():
            refuse_twice((self._limit,))
        if not self.whole:
            return False
        claim = self._limit._common(clock)
        if not claim.try_one():
            return False
        self._enter(claim)
        return True

    async def enter_later(self) -> None:
        """Wait for a permit, in turn."""
        if not self.whole:
            self._enter(await turn((self._limit,), self._item))
            return
        loop = asyncio.get_running_loop()
        await self._limit._in_turn(loop)
        self._enter(self._limit._common(clock_of(loop)))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.leave(error)

    def leave(self, error: BaseException | None) -> None:
        """Give the permit back, and tell the limit how the block ended."""
        claim, token = self._claim, self._token
        if claim is None:
            return
        self._claim = self._token = None
        if token is not None:
            try:
                held.reset(token)  # not `set`: a context that looks as before lets a run's lane go on
            except ValueError:
                pass  # left in another context than it was entered in; what is there says by `has` that it is over
        report = report_of(error) if error is not None or claim.listens else None
        if report is None:
            claim.give_back()
        else:
            claim.finished(self._started, *report)

    def __repr__(self) -> str:
        return f"<a permit for {short(self._item)} of {self._limit!r}>"

    def _enter(self, claim: Claim) -> None:
        self._claim = claim
        if claim.listens:
            self._started = claim.clock()
        self._token = held.set((*held.get(), self))
