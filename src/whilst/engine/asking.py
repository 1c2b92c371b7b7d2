"""In which context, and for how long at a time, are functions of the user's asked on the loop: `by`, `weight`, `on`?

They are asked in the context of the call of `map`, whoever's turn it is, and not for longer than some milliseconds in
one round of the loop, on which other tasks may wait. One that takes long every time is warned of, once.
"""

from __future__ import annotations

import asyncio
import time
import warnings
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from contextvars import Context
from functools import partial
from heapq import heappop, heappush
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from ..core.colour import name_of
from ..core.transient import transient
from ..limit.state import LimitState

if TYPE_CHECKING:
    from ..core.events import AttemptFailed
    from ..core.retry import Retry

S = TypeVar("S")
T = TypeVar("T")

MOMENT = 0.004  # seconds after which nothing more is asked in this round of the loop
SLOW, ENOUGH = 0.001, 16  # seconds; how many such answers, of at most twice as many in a row, are worth a warning


class Asking:
    """The questions of one run.

    Args:
        loop, context: of the run.
        note: told what its summary should say.
        fatal: ends the run with what is no `Exception`, such as SystemExit, where no task of the user's would raise it.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        context: Context,
        note: Callable[[str], object] = str,
        fatal: Callable[[BaseException], object] | None = None,
    ) -> None:
        self._note = note
        self._fatal = fatal
        self._loop = loop
        self._context = context
        self._spent = 0.0  # seconds since the last turn
        self._asked = self._asked_before = 0  # questions, and those before that turn
        self._waiting: list[tuple[int, asyncio.Future[None] | Callable[[], object]]] = []  # a heap: who came first
        self._called: set[Callable[[], object]] = set()  # those of them that are to be called
        self._tasks = 0  # how many wait for their turn, or have been told that it is
        self._numbers = count()
        self._expected = False  # whether the next turn is
        self._warned: set[str] = set()  # of which of them
        self._slow: dict[str, deque[int]] = {}  # by what is asked: which of the questions were slow the last times

    def ask(self, what: str, fn: Callable[..., T], *args: Any) -> T:
        """Return what `fn` answers; what it raises comes out here. `what` names it."""
        began = time.perf_counter()
        try:
            return self._context.copy().run(fn, *args)  # a copy: another thread may be asking
        except Exception:
            raise
        except BaseException as error:
            raise self._ending(what, error) from error
        finally:
            took = time.perf_counter() - began
            self._spent += took
            self._asked += 1
            if took > SLOW:
                self._was_slow(what, took)

    def ask_each(self, what: str, fn: Callable[[S], T], items: Sequence[S]) -> list[T | Exception]:
        """Return what `fn` answers for each of the first items, or raises: for as many as there is time for.

        What it does to its context ends with each of them, as with `ask`, which costs three times as much. The frames
        of what it raises keep `items` and the answers: they are to be cleared.
        """
        answers: list[T | Exception] = []
        while len(answers) < len(items) and self._spent < MOMENT:
            context = self._context.copy()
            context.run(self._ask_on, what, fn, items, answers, context)
        return answers

    def _ask_on(
        self, what: str, fn: Callable[[S], T], items: Sequence[S], answers: list[T | Exception], context: Context
    ) -> None:
        """Ask until the context is not as it was, or time is over."""
        untouched, before = self._context, len(answers)
        first = now = time.perf_counter()
        until = now + MOMENT - self._spent
        for place in range(before, len(items)):
            began = now
            try:
                answers.append(fn(items[place]))
            except Exception as error:
                answers.append(error)
            except BaseException as error:
                answers.append(self._ending(what, error))
                self._spent = MOMENT
                return
            now = time.perf_counter()
            self._asked += 1
            if now - began > SLOW:
                self._was_slow(what, now - began)
            try:
                clean = context == untouched
            except Exception:  # the __eq__ of a value in there may do anything
                clean = False
            if not clean or now >= until:
                break
        self._spent += now - first

    def _ending(self, what: str, error: BaseException) -> RuntimeError:
        """End the run, which waits for an answer, with what would leave the loop; return what its input fails with."""
        if self._fatal is None:
            raise error
        self._fatal(error)
        ending = RuntimeError(f"{what} raised {type(error).__name__}, which ends the run")
        ending.__cause__ = error
        return ending

    def has_time(self, go_on: Callable[[], object]) -> bool:
        """Whether more may be asked in this round of the loop; if not, `go_on` is called in the next one."""
        if self._spent < MOMENT:
            return True
        if go_on not in self._called:
            self._called.add(go_on)
            heappush(self._waiting, (next(self._numbers), go_on))
        self._expect_turn()
        return False

    async def turn(self) -> None:
        """Return when this task may ask: those that came before it have asked by then."""
        if self._spent < MOMENT and not self._tasks:
            return
        number = next(self._numbers)
        self._tasks += 1
        try:
            while True:
                future: asyncio.Future[None] = self._loop.create_future()
                heappush(self._waiting, (number, future))
                self._expect_turn()
                await future
                if self._spent < MOMENT:
                    return
        finally:
            self._tasks -= 1

    def _expect_turn(self) -> None:
        if not self._expected:
            self._expected = True
            self._loop.call_soon(self._next_turn, context=self._context.copy())

    def _next_turn(self) -> None:
        asked = self._asked - self._asked_before
        several = 2 * asked + 1  # tasks: more than will have time, and not all, as each that has none costs some
        self._expected, self._spent, self._asked_before, told = False, 0.0, self._asked, 0
        while self._waiting and self._spent < MOMENT and told < several:
            waits = self._waiting[0][1]
            if not callable(waits):
                heappop(self._waiting)
                if not waits.done():
                    waits.set_result(None)
                    told += 1
            elif told:
                break  # those tasks have not asked yet
            else:
                heappop(self._waiting)
                self._called.discard(waits)
                waits()
        if self._waiting:
            self._expect_turn()

    def _was_slow(self, what: str, took: float) -> None:
        slow = self._slow.setdefault(what, deque(maxlen=ENOUGH))
        slow.append(self._asked)
        if len(slow) == ENOUGH and slow[-1] - slow[0] < 2 * ENOUGH and what not in self._warned:
            self._warned.add(what)
            said = (
                f"{what} takes {took * 1000:.0f} ms, and is asked on the event loop, which stands still meanwhile\n"
                "  try: one that only looks at what it is given; what takes longer belongs into the function"
            )
            self._note(said)
            with suppress(RuntimeWarning):  # where warnings are errors this is no place for one
                warnings.warn(said, RuntimeWarning, stacklevel=2)


def asked_of(limits: tuple[LimitState, ...]) -> str:
    """Name the functions of limits that are asked."""
    named = [
        f"{kind}={name_of(fn)}" for limit in limits for kind, fn in (("by", limit.by), ("weight", limit.weigh)) if fn
    ]
    return f"Limit({', '.join(dict.fromkeys(named))})"


def judge_of(retry: Retry) -> str:
    """Name what a retry asks of the user's; "" if it asks nothing."""
    on = retry.on if not (retry.on is transient or isinstance(retry.on, (type, tuple))) else None
    asked = [f"{name}={name_of(fn)}" for name, fn in (("on", on), ("on_value", retry.on_value)) if fn is not None]
    return f"Retry({', '.join(asked)})" if asked else ""


def told_of(retry: Retry, asking: Asking) -> Callable[[AttemptFailed], object] | None:
    """Return what tells the user of an attempt that failed and is made again; None if nobody wants to know."""
    if retry.on_retry is None:
        return None
    return partial(asking.ask, f"Retry(on_retry={name_of(retry.on_retry)})", retry.on_retry)
