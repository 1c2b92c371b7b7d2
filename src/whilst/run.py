"""One execution of a map: the place where plain code and async code meet the engine."""

from __future__ import annotations

import asyncio
import builtins
import sys
import warnings
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from .core.outcome import Outcome, Record
from .core.plan import Plan
from .core.summary import Summary
from .engine.background import background, is_engine_thread, on_fork
from .engine.consume import Unpack, consume, consume_plain, consume_together, noted_value_of
from .engine.driver import Driver
from .engine.handoff import Handoff, LoopHandoff, ThreadHandoff

if TYPE_CHECKING:
    from typing import Self

    from .sinks.progress import Progress

I = TypeVar("I")  # noqa: E741 - the input; T is what the function makes of it
T = TypeVar("T")

CLOSE_WAIT = 1.5  # seconds that plain code waits for a run to end what it started; a KeyboardInterrupt leaves within 2


class Run(Generic[I, T]):
    """One execution of `whilst.map`: iterate it once, with `for` or `async for`, or take it whole.

    Iterating gives values; the first failure raises the function's own exception, with a note that names the
    input. Nothing runs before the first iteration. Leaving early (break, an exception, Ctrl-C, the end of a
    `with run:`) cancels async calls and leaves blocking ones behind, counted in `summary()`.

    >>> import whilst
    >>> run = whilst.map(str.upper, ["a", "b"])
    >>> run.list()
    ['A', 'B']
    >>> run.list()
    Traceback (most recent call last):
    RuntimeError: this run of str.upper was iterated before; a run is single-pass: call whilst.map(…) again
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._driver: Driver | None = None
        self._taken = self._cancelled = self._drained = False
        self._progress: Progress | None = None

    # -- values -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        """Give the values in plain code; the calls run on the engine's loop or on threads meanwhile."""
        return self._plain_records(False)

    def __aiter__(self) -> AsyncIterator[T]:
        """Give the values in async code; async calls run on the caller's own loop."""
        return self._async_records(False)

    def list(self) -> builtins.list[T]:
        """Return all values, in plain code; the first failure raises."""
        return [*self]

    def __await__(self) -> Generator[Any, None, builtins.list[T]]:
        """Return all values, in async code; the first failure raises."""

        async def collect() -> builtins.list[T]:
            return [value async for value in self]

        return collect().__await__()

    # -- outcomes ---------------------------------------------------------------------------------------------

    def outcomes(self) -> Outcomes[I, T]:
        """Give every outcome, failures as data; only the run itself can raise (its source, deadline, stop_after).

        >>> import whilst
        >>> [o.value if o.ok else type(o.error).__name__ for o in whilst.map(int, ["1", "x"]).outcomes()]
        [1, 'ValueError']
        """
        return Outcomes(self)

    # -- control ----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Start nothing new, cancel what is in flight; the iteration then raises `RunCancelled`. From any thread."""
        self._cancelled = True
        self._tell("cancel")

    def drain(self) -> None:
        """Start nothing new, finish what is in flight; the iteration then ends normally. From any thread."""
        self._drained = True
        self._tell("drain")

    def summary(self) -> Summary:
        """Return the counts of this moment. From any thread."""
        if self._driver is None:
            plan = self._plan
            stopping = self._drained or self._cancelled
            return Summary(plan.name, plan.total, 0, 0, 0, 0, 0.0, plan.concurrency, stopping=stopping)
        return self._driver.summary()

    def __enter__(self) -> Self:
        """Have the run closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run, whatever state it is in."""
        self._taken = True
        if self._driver is not None:
            _close_from_outside(self._driver)

    async def __aenter__(self) -> Self:
        """Have the run closed at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run, whatever state it is in."""
        self._taken = True
        if self._driver is None:
            return
        if self._driver.loop is asyncio.get_running_loop():
            await self._driver.close()
        else:
            _close_from_outside(self._driver)

    def __repr__(self) -> str:
        if self._driver is None:
            return f"<Run of {self._plan.name}, not started>"
        return f"<Run of {self.summary()}>"

    # -- private ----------------------------------------------------------------------------------------------

    def _plain_records(self, outcomes: bool) -> Generator[Any, None, None]:
        return consume_plain(partial(self._begin_beside, outcomes), self._end_beside)

    def _begin_beside(self, outcomes: bool) -> tuple[Driver, ThreadHandoff, Unpack]:
        self._take()
        _check_thread(self._plan.name)
        loop = background().loop
        handoff = ThreadHandoff(loop)
        driver = self._assemble(loop, handoff, outcomes)
        loop.call_soon_threadsafe(self._begin, driver)
        return driver, handoff, _unpack(driver, outcomes)

    def _end_beside(self) -> None:
        assert self._driver is not None
        _close_from_outside(self._driver)
        self._hide()

    def _async_records(self, outcomes: bool) -> AsyncGenerator[Any, None]:
        def begin() -> tuple[Driver, LoopHandoff, Unpack]:
            self._take()
            loop = asyncio.get_running_loop()
            handoff = LoopHandoff(loop)
            driver = self._assemble(loop, handoff, outcomes)
            self._begin(driver)
            return driver, handoff, _unpack(driver, outcomes)

        return consume(begin, self._hide)

    def _assemble(self, loop: asyncio.AbstractEventLoop, handoff: Handoff, outcomes: bool) -> Driver:
        plan, scope, ledger = self._plan, None, None
        if plan.node is not None:
            from .engine.compiled import compiled

            plan, scope = compiled(plan, plan.node, loop)
        if plan.journal is not None:
            ledger = plan.journal.open(plan.subject, name=plan.name, loop=loop)
            ledger.total = plan.total
        try:
            self._driver = driver = Driver(plan, loop, handoff, fail_fast=not outcomes, scope=scope, ledger=ledger)
        except BaseException:  # the next run must be able to open the journal, whatever went wrong here
            if ledger is not None:
                ledger.close_now()
            raise
        _drivers.add(driver)
        self._progress = _progress(self)
        return driver

    def _hide(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _take(self) -> None:
        if self._taken:
            raise RuntimeError(
                f"this run of {self._plan.name} was iterated before; a run is single-pass: call whilst.map(…) again"
            )
        self._taken = True

    def _begin(self, driver: Driver) -> None:
        """Start on the loop; a word said before the start still counts."""
        try:
            if self._cancelled:
                driver.cancel()
            elif self._drained:
                driver.drain()
            else:
                driver.start()
        except Exception as error:  # no thread to be had, mostly; the consumer must not wait for ever
            driver.fatal(error)

    def _tell(self, word: str) -> None:
        driver = self._driver
        if driver is not None:
            with suppress(RuntimeError):  # the loop is closed: there is nothing left to tell
                driver.loop.call_soon_threadsafe(getattr(driver, word))


class Outcomes(Generic[I, T]):
    """The outcomes of a run, to be iterated once with `for` or `async for`, or taken whole."""

    def __init__(self, run: Run[I, T]) -> None:
        self._run = run

    def __iter__(self) -> Iterator[Outcome[I, T]]:
        """Give the outcomes in plain code."""
        return self._run._plain_records(True)

    def __aiter__(self) -> AsyncIterator[Outcome[I, T]]:
        """Give the outcomes in async code."""
        return self._run._async_records(True)

    def list(self) -> builtins.list[Outcome[I, T]]:
        """Return all outcomes, in plain code."""
        return [*self]

    def __await__(self) -> Generator[Any, None, builtins.list[Outcome[I, T]]]:
        """Return all outcomes, in async code."""

        async def collect() -> builtins.list[Outcome[I, T]]:
            return [outcome async for outcome in self]

        return collect().__await__()


def records_of(run: Run[Any, Any]) -> Generator[Iterator[Record], None, None]:
    """Give the records behind the outcomes of `run`, many at once: for who writes them down, in plain code."""
    return consume_together(partial(run._begin_beside, True), run._end_beside)


def _unpack(driver: Driver, outcomes: bool) -> Unpack:
    start = driver.started

    def outcome(record: Record) -> Outcome[Any, Any]:
        index, item, value, error, started, took, attempts = record
        return Outcome(index, item, value, error, started - start, took, attempts)

    return outcome if outcomes else noted_value_of


def _close_from_outside(driver: Driver) -> None:
    """Wait, on the consumer's thread, until the driver has closed; not for ever."""
    if driver.orphan or driver.loop.is_closed():
        return
    closing = asyncio.run_coroutine_threadsafe(driver.close(), driver.loop)
    if is_engine_thread() or driver.loop is asyncio._get_running_loop():
        return  # it closes soon; waiting here would be for ever
    with suppress(RuntimeError, TimeoutError):  # the engine is gone, or a call ignores its cancellation
        closing.result(CLOSE_WAIT)


def _check_thread(name: str) -> None:
    """Refuse what would wait for itself, and warn of what would block a loop."""
    if is_engine_thread():
        raise RuntimeError(
            f"a plain run of {name} inside an async function that whilst itself runs would wait for ever\n"
            "  use: async for value in whilst.map(…), or: await whilst.map(…), or: await flow.aio(…)"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if "ipykernel" not in sys.modules:
        warnings.warn(
            f"a plain run of {name} blocks the event loop that runs on this thread; "
            "use: async for value in whilst.map(…), or: await whilst.map(…), or: await flow.aio(…)",
            RuntimeWarning,
            stacklevel=4,
        )


def _progress(run: Run[Any, Any]) -> Progress | None:
    """Show the progress of a run that has begun, where that is wanted."""
    wanted = run._plan.progress
    if wanted is False or (wanted is None and not (sys.stderr is not None and sys.stderr.isatty())):
        return None
    from .sinks.progress import Progress

    return Progress(run.summary, at_once=wanted is True)


_drivers: weakref.WeakSet[Driver] = weakref.WeakSet()


def _orphan_all() -> None:
    for driver in tuple(_drivers):
        driver.become_orphan()


on_fork(_orphan_all)
