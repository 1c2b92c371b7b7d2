"""In which context, and for how long at a time, are functions of the user's asked on the loop: `by`, `weight`, `on`?

They are asked in the context of the call of `map`, whoever's turn it is, and not for longer than some milliseconds in
one round of the loop, on which other tasks may wait. One that takes long every time is warned of, once.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.colour import name_of
from ..core.transient import transient
from ..limit import LimitState

if TYPE_CHECKING:
    from ..core.events import AttemptFailed
    from ..core.retry import Retry

T = TypeVar("T")

MOMENT = 0.004  # seconds after which nothing more is asked in this round of the loop
SLOW, ENOUGH = 0.001, 16  # seconds; how many such answers, of at most twice as many, are worth a warning


class Asking:
    """The questions of one run."""

    def __init__(self, loop: asyncio.AbstractEventLoop, context: Context) -> None:
        self.note: Callable[[str], object] = str
        """Told what the summary of the run should say."""
        self._loop = loop
        self._context = context
        self._spent = 0.0  # seconds since the last turn
        self._waiting: dict[Callable[[], object], None] = {}  # the first to come first
        self._expected = False  # whether the next turn is
        self._slow: dict[str, list[int]] = {}  # by what is asked: answers, and slow ones

    def ask(self, what: str, fn: Callable[..., T], *args: Any) -> T:
        """Return what `fn` answers; what it raises comes out here. `what` names it."""
        began = time.perf_counter()
        try:
            return self._context.copy().run(fn, *args)  # a copy: another thread may be asking
        finally:
            took = time.perf_counter() - began
            self._spent += took
            self._watch(what, took)

    def has_time(self, go_on: Callable[[], object]) -> bool:
        """Whether more may be asked in this round of the loop; if not, `go_on` is called in the next one."""
        if self._spent < MOMENT:
            return True
        self._waiting[go_on] = None
        self._expect_turn()
        return False

    async def turn(self) -> None:
        """Return when more may be asked."""
        while self._spent >= MOMENT:
            future: asyncio.Future[None] = self._loop.create_future()
            self.has_time(partial(_settle, future))
            await future

    def _expect_turn(self) -> None:
        if not self._expected:
            self._expected = True
            self._loop.call_soon(self._next_turn, context=self._context.copy())

    def _next_turn(self) -> None:
        self._expected, self._spent = False, 0.0
        while self._waiting:
            if self._spent >= MOMENT:
                self._expect_turn()
                return
            go_on = next(iter(self._waiting))
            del self._waiting[go_on]
            go_on()

    def _watch(self, what: str, took: float) -> None:
        counts = self._slow.setdefault(what, [0, 0])
        counts[0] += 1
        if took > SLOW:
            counts[1] += 1
            if counts[1] == ENOUGH and counts[0] <= 2 * ENOUGH:
                said = (
                    f"{what} takes {took * 1000:.0f} ms, and is asked on the event loop, which stands still meanwhile\n"
                    "  try: one that only looks at what it is given; what takes longer belongs into the function"
                )
                self.note(said)
                with suppress(RuntimeWarning):  # where warnings are errors this is no place for one
                    warnings.warn(said, RuntimeWarning, stacklevel=2)


def _settle(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def asked_of(limits: tuple[LimitState, ...]) -> str:
    """Name the functions of limits that are asked."""
    named = [
        f"{kind}={name_of(fn)}" for limit in limits for kind, fn in (("by", limit.by), ("weight", limit.weigh)) if fn
    ]
    return f"Limit({', '.join(dict.fromkeys(named))})"


def judge_of(retry: Retry | None) -> str:
    """Name what a retry asks of the user's; "" if it asks nothing."""
    if retry is None:
        return ""
    on = retry.on if not (retry.on is transient or isinstance(retry.on, (type, tuple))) else None
    asked = [f"{name}={name_of(fn)}" for name, fn in (("on", on), ("on_value", retry.on_value)) if fn is not None]
    return f"Retry({', '.join(asked)})" if asked else ""


def told_of(retry: Retry | None, asking: Asking) -> Callable[[AttemptFailed], object] | None:
    """Return what tells the user of an attempt that failed and is made again; None if nobody wants to know."""
    if retry is None or retry.on_retry is None:
        return None
    return partial(asking.ask, f"Retry(on_retry={name_of(retry.on_retry)})", retry.on_retry)
