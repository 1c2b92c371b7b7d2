"""How does hand-written code hold one permit of a limit?"""

from __future__ import annotations

from contextvars import Token
from types import TracebackType
from typing import TYPE_CHECKING, Any

from ..core.headers import Left
from ..core.outcome import short
from ..lanes.listening import Listener, listening
from .claim import Claim
from .feedback import report_of
from .turn import Holder, blocking_turn, held, refuse_twice, turn

if TYPE_CHECKING:
    from .limit import Limit


class Entry:
    """One permit of a limit for one item, held by the block under `with` or `async with`: what `limit.of` returns."""

    __slots__ = ("_claim", "_heard", "_item", "_limit", "_started", "_token")

    def __init__(self, limit: Limit, item: Any) -> None:
        self._limit = limit
        self._item = item
        self._claim: Claim | None = None  # while it holds
        self._started = 0.0
        self._token: Token[tuple[Holder, ...]] | None = None
        self._heard: Token[Listener | None] | None = None

    def has(self, limit: Limit) -> bool:
        """Whether a permit of `limit` is held now."""
        return self._claim is not None and limit is self._limit

    def told(self, left: Left) -> None:
        """Slow down as an answer says."""
        claim = self._claim
        if claim is not None:
            claim.allow(left)

    def __enter__(self) -> Entry:
        self._refuse()
        self._enter(blocking_turn((self._limit,), self._item))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    async def __aenter__(self) -> Entry:
        self._refuse()
        self._enter(await turn((self._limit,), self._item))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(error)

    def __repr__(self) -> str:
        return f"<a permit for {short(self._item)} of {self._limit!r}>"

    def _refuse(self) -> None:
        if self._claim is not None:
            raise RuntimeError("this permit is in use\n  try: limit.of(item) anew in each with")
        refuse_twice((self._limit,))

    def _enter(self, claim: Claim) -> None:
        self._claim = claim
        if claim.listens:
            self._started = claim.clock()
        self._token = held.set((*held.get(), self))
        self._heard = listening.set(self)

    def _leave(self, error: BaseException | None) -> None:
        """Give the permit back, and tell the limit how the block ended."""
        claim, token, heard = self._claim, self._token, self._heard
        if claim is None:
            return
        self._claim = self._token = self._heard = None
        if token is not None and heard is not None:
            try:
                listening.reset(heard)
                held.reset(token)  # not `set`: a context that looks as before lets a run's lane go on
            except ValueError:
                pass  # left in another context than it was entered in; what is there says by `has` that it is over
        report = report_of(error) if error is not None or claim.listens else None
        if report is None:
            claim.give_back()
        else:
            claim.finished(self._started, report)
