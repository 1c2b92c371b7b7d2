"""One execution of a map: the place where plain code and async code meet the engine."""

from __future__ import annotations

import asyncio
import builtins
import os
import sys
import time
import warnings
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Hashable, Iterator
from contextlib import suppress
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, TypeAlias, TypeVar

from .core.check import answered
from .core.colour import name_of
from .core.outcome import Outcome, Record, is_recalled, noted_loop
from .core.plan import Plan
from .core.unlike import Called, Unlike
from .core.users_line import levels_to_user
from .engine.background import background, is_engine_thread, loaded, on_fork
from .engine.consume import (
    Unpack,
    beside_value_of,
    consume,
    consume_plain,
    consume_together,
    consume_together_aio,
    noted_value_of,
)
from .lanes.interrupted import raise_interrupt
from .written import Rest, Written

if TYPE_CHECKING:
    from typing import Self

    from .core.summary import Summary
    from .engine.driver import Driver
    from .engine.growing import Growth
    from .engine.handoff import Handoff, LoopHandoff, ThreadHandoff
    from .engine.observer import Observer
    from .insight.recorder import Recorder
    from .sinks.progress import Progress

I = TypeVar("I")  # noqa: E741 - the input; T is what the function makes of it
T = TypeVar("T")

RECORDING = ("..reporting", "..insight.filing", "..insight.recorder")
CLOSE_WAIT = 1.5  # seconds that plain code waits for a run to end what it started; a KeyboardInterrupt leaves within 2


class Run(Written, Unlike, Generic[I, T]):
    """One execution of `whilst.map`: iterate over it once, with `for` or `async for`, or take all values.

    Iterating gives values. The first failure raises the function's own exception, with a note that names the input.
    Nothing runs before you begin to iterate. If you leave early (break, an exception, Ctrl-C, the end of a `with
    run:`), async calls are cancelled and blocking ones are left behind, counted in `summary()`.

    >>> import whilst
    >>> run = whilst.map(str.upper, ["a", "b"])
    >>> run.list()
    ['A', 'B']
    >>> run.list()
    Traceback (most recent call last):
    RuntimeError: this run of str.upper was iterated before; a run can be iterated once: call whilst.map(…) again
    """

    _driver: Driver | None = None
    _taken = _cancelled = _drained = _closed = _is_ended = False
    _growth: Growth | None = None  # what was added before the start
    _paused: float | None = None  # since when, by the clock on the wall
    _progress: Progress | None = None
    _recorder: Recorder | None = None

    def __init__(self, plan: Plan) -> None:
        if callable(plan):  # as other libraries' runs are made
            raise TypeError(f"a run is made by whilst.map\n  try: whilst.map({name_of(plan)}, inputs)")
        self._plan = plan
        self._files = (plan.trace, None if plan.journal is None else str(plan.journal.path))

    # -- values -----------------------------------------------------------------------------------------------

    def __iter__(self) -> Iterator[T]:
        """Give the values in plain code; the calls run on the engine's loop or on threads meanwhile."""
        return self._plain_records(False)

    def __aiter__(self) -> AsyncIterator[T]:
        """Give the values in async code; async calls run on the caller's own loop."""
        return self._async_records(False)

    def list(self) -> builtins.list[T]:
        """Return all values, in plain code; the first failure raises."""
        __tracebackhide__ = True
        _check_await(self._plan.name, "run")
        return [*self._plain_records(False, in_hand=False)]

    def __await__(self) -> Generator[Any, None, builtins.list[T]]:
        """Return all values, in async code; the first failure raises."""

        async def collect() -> builtins.list[T]:
            __tracebackhide__ = True
            return [value async for value in self._async_records(False, in_hand=False)]

        return collect().__await__()

    # -- outcomes ---------------------------------------------------------------------------------------------

    def outcomes(self) -> Outcomes[I, T]:
        """Give every outcome, failures as data; only the run itself can raise (its source, deadline, stop_after).

        >>> import whilst
        >>> [o.value if o.ok else type(o.error).__name__ for o in whilst.map(int, ["1", "x"]).outcomes()]
        [1, 'ValueError']
        """
        return Outcomes(self)

    if not TYPE_CHECKING:
        list = answered(list)
        outcomes = Called(answered(outcomes))

    # -- control ----------------------------------------------------------------------------------------------

    def cancel(self) -> None:
        """Start nothing new, cancel the calls in flight; the iteration then raises `RunCancelled`. From any thread."""
        self._cancelled = True
        self._tell("cancel")

    def drain(self) -> None:
        """Start nothing new, finish the calls in flight; the iteration then ends normally. From any thread."""
        self._drained = True
        self._tell("drain")

    def add(self, item: I, *, key: Hashable = None) -> bool:
        """Add an input to the run: in the loop over its results, or from any thread.

        The run ends when no input is queued or in flight, and you have asked for the next outcome after the last one.
        You can also add inputs before the start. Inside a call, use `whilst.current_call().add(x)`. Added inputs are
        called before the source is read further. Only the inputs that wait for their call need memory: each its own
        size and at most 200 bytes, with its key.

        Args:
            item: the input.
            key: a text, number or tuple that identifies the input, if it may come more than once. A key that was added
                before is not added again.

        Returns:
            Whether it was added. It is not added if its key is known, or if the run starts nothing new any more.

        Raises:
            RuntimeError: the run has ended.
            TypeError: the key cannot be hashed; or the run is that of a stream, whose items come from its stages.

        >>> import whilst
        >>> links = {"a": ["b", "c"], "b": ["a", "c"], "c": []}
        >>> run = whilst.map(links.get, [])
        >>> _ = run.add("a", key="a")
        >>> for page in run.outcomes():
        ...     print(page.input, [run.add(link, key=link) for link in page.value])
        a [True, True]
        b [False, False]
        c []
        """
        from .core.grown import check_key
        from .engine.growing import GUARD, Growth, has_ended

        check_key(key)
        if self._plan.as_stream:
            raise TypeError(
                "this is the run of a stream: its items come from the stages before the last\n"
                "  try: whilst.map(flow, inputs) and run.add(x), or a generator as the first step"
            )
        with GUARD:
            driver = self._driver
            if driver is None:
                if self._closed:
                    raise has_ended(self._plan.name)
                if self._drained or self._cancelled:
                    return False
                self._growth = self._growth or Growth()
                return self._growth.put(item, key)
        return not (self._drained or self._cancelled) and driver.additions.add(item, key)

    def pause(self) -> None:
        """Start no call until `resume`; calls in flight go on, and so does the time for `deadline=`. From any thread.

        One `resume` ends any number of pauses. The time for `Retry(total=)` stops meanwhile. The progress line says
        since when the run is paused.

        Raises:
            RuntimeError: the run has ended.
        """
        if self._driver is not None and self._driver.finished:
            raise RuntimeError(
                f"this run of {self._driver.summary().name} has ended: there is nothing to pause\n"
                "  try: pause it while you iterate over it, or limit.pause() for all runs that share a limit"
            )
        if self._paused is None:
            self._paused = time.time()
            self._tell("pause", self._paused)

    def resume(self) -> None:
        """Go on after `pause`; a pause that the other side asked for stays. From any thread."""
        self._paused = None
        self._tell("resume")

    def summary(self) -> Summary:
        """Return the counts of this moment. From any thread."""
        if self._driver is None:
            plan = self._plan
            stopping = self._drained or self._cancelled
            from .core.summary import (
                Summary,
            )  # not with the first run that is made: a caller's loop may stand still for it

            return Summary(plan.name, plan.total, 0, 0, 0, 0, 0.0, plan.concurrency, stopping=stopping)
        return self._driver.summary()

    if not TYPE_CHECKING:
        summary = Called(summary)

    def report(self, path: str | os.PathLike[str]) -> None:
        """Write a report of the run so far to a file; an old file is replaced.

        The name decides the form: `run.html` is a page that loads nothing else, `run.json` is for programs,
        `run.chrome.json` for Perfetto; with `.gz` at the end it is compressed. With `trace=` the report shows every
        call; with `journal=`, the last call of each input, after the run has ended; without both, only the summary. It
        blocks (a million calls take some seconds), so in async code use `await asyncio.to_thread(run.report, path)`.

        Raises:
            ValueError: the name has none of these endings.
            OSError: the file cannot be written.

        >>> import os, tempfile, whilst
        >>> run = whilst.map(abs, [-1, 2])
        >>> _ = run.list()
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "run.html")
        ...     run.report(path)
        ...     os.path.exists(path)
        True
        """
        from . import reporting

        name, recorder = os.fspath(path), self._recorder
        if recorder is not None and self.summary().done:
            recorder.join()
        problem = recorder.problem if recorder is not None else ""
        now = self.summary()
        reporting.write_report(reporting.recorded_run(now.name, now, *self._files, problem), name)

    def __enter__(self) -> Self:
        """Have the run closed at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run, whatever state it is in."""
        self._taken = self._closed = True
        if self._driver is not None:
            self._end_beside()

    async def __aenter__(self) -> Self:
        """Have the run closed at the end of the block."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close the run, whatever state it is in."""
        self._taken = self._closed = True
        if self._driver is None:
            return
        if self._driver.loop is asyncio.get_running_loop():
            try:
                await self._driver.close()
            finally:
                await self._end_here()
        else:
            _close_from_outside(self._driver)

    def __setattr__(self, name: str, value: Any) -> None:
        """Refuse what would change nothing."""
        if not name.startswith("_"):
            raise AttributeError(
                f"run.{name} cannot be assigned: the run would not follow\n"
                "  try: limit=limit in map(…), and limit.set(concurrency=…, rate=…) while it runs"
            )
        object.__setattr__(self, name, value)

    def __repr__(self) -> str:
        if self._driver is None:
            return f"<Run of {self._plan.name}, not started; for, await or .list() starts it>"
        return f"<Run of {self.summary().line}>"

    def _repr_html_(self) -> str:
        return self.summary()._repr_html_()

    # -- private ----------------------------------------------------------------------------------------------

    def _plain_records(self, outcomes: bool, *, in_hand: bool = True) -> Generator[Any, None, None]:
        return consume_plain(self._claim, partial(self._begin_beside, outcomes, in_hand), self._end_beside)

    def _claim(self) -> None:
        __tracebackhide__ = True
        self._take()
        _check_thread(self._plan.name)

    def _begin_beside(self, outcomes: bool, in_hand: bool = False) -> tuple[Driver, ThreadHandoff, Unpack]:
        __tracebackhide__ = True
        from .engine.handoff import ThreadHandoff

        loop = background().loop
        handoff = ThreadHandoff(loop, values=not outcomes)
        plan, ledger = self._plan, None
        try:
            if plan.journal is not None:
                ledger = plan.journal._ledger(plan.subject, name=plan.name, loop=loop)
            driver = self._assemble(loop, handoff, outcomes, ledger, in_hand)
        except BaseException:  # the next run must be able to open the journal, whatever went wrong here
            if ledger is not None and self._driver is None:
                ledger.close_now()
            raise
        loop.call_soon_threadsafe(self._begin, driver)
        return driver, handoff, _unpack(driver, outcomes, beside=True)

    def _end_beside(self) -> None:
        """Close the run, once: who was interrupted in here calls it again, and what was waited for is not once more."""
        driver = self._driver
        if driver is not None and not self._is_ended:  # else a Ctrl-C came before there was one
            self._is_ended = True
            _close_from_outside(driver)
        self._hide()
        if self._recorder is not None and driver is not None and not _may_hold_up(driver):
            self._recorder.join()

    def _async_records(self, outcomes: bool, *, in_hand: bool = True) -> AsyncGenerator[Any, None]:
        return consume(partial(self._begin_here, outcomes, in_hand), self._end_here)

    def _records(self, rest: Rest = len) -> Generator[Iterator[Record], None, None]:
        return consume_together(self._claim, partial(self._begin_beside, True), self._end_beside, rest)

    def _arecords(self, rest: Rest) -> AsyncGenerator[builtins.list[Record], None]:
        return consume_together_aio(partial(self._begin_here, True), self._end_here, rest)

    async def _begin_here(self, outcomes: bool, in_hand: bool = False) -> tuple[Driver, LoopHandoff, Unpack]:
        __tracebackhide__ = True
        self._take()
        loop, plan, ledger = asyncio.get_running_loop(), self._plan, None
        recording = RECORDING if plan.trace is not None else ()
        watching = [name for names in watchers.values() for name in names]
        await loaded(".driver" if plan.node is None else ".compiled", *recording, *watching)
        from .engine.handoff import LoopHandoff

        handoff = LoopHandoff(loop, values=not outcomes)
        if plan.journal is not None:  # beside the loop, which would stand still meanwhile
            ledger = await plan.journal._aledger(plan.subject, name=plan.name)
        try:
            driver = self._assemble(loop, handoff, outcomes, ledger, in_hand)
        except BaseException:  # the next run must be able to open the journal, whatever went wrong here
            if ledger is not None:
                await ledger.close()
            raise
        loop.call_soon(self._begin, driver)  # not from here: the frames of failures would keep those of who iterates
        if _is_in_kernel():
            from .sinks.awake import stay_awake

            stay_awake(loop, lambda: driver.finished)
        return driver, handoff, _unpack(driver, outcomes)

    async def _end_here(self) -> None:
        self._hide()
        if self._recorder is not None:
            await self._recorder.written()

    def _assemble(
        self, loop: asyncio.AbstractEventLoop, handoff: Handoff, outcomes: bool, ledger: Any, in_hand: bool
    ) -> Driver:
        plan, scope = self._observed(loop), None
        if plan.node is not None:
            from .engine.compiled import compiled  # loaded with the first run, on a thread where a loop would wait

            plan, scope = compiled(plan, plan.node, loop)
        from .engine.driver import Driver
        from .engine.growing import GUARD

        if ledger is not None:
            ledger.total = plan.total
        driver = Driver(plan, loop, handoff, fail_fast=not outcomes, scope=scope, ledger=ledger, in_hand=in_hand)
        with GUARD:
            self._driver = driver
            if self._growth is not None:
                driver.additions.begin_with(self._growth)
        self._plan = self._plan.spent()  # a run may be kept for its summary, when the driver has let go of it, too
        _drivers.add(driver)
        if (progress := _progress(self)) is not None:
            self._progress = progress
            progress.start()
        return driver

    def _observed(self, loop: asyncio.AbstractEventLoop) -> Plan:
        """Return the plan with those who shall see the run: its recorder, and who watches all runs."""
        plan = self._plan
        if plan.trace is not None:
            from .reporting import recorder_of

            self._recorder = recorder_of(plan, loop, self.summary)
            plan = plan._replace(observers=(*plan.observers, self._recorder))
        for watcher in watchers:
            observer = watcher(plan, loop, self.summary)
            if observer is not None:
                plan = plan._replace(observers=(*plan.observers, observer))
        return plan

    def _hide(self) -> None:
        if self._progress is not None:
            self._progress.stop()

    def _take(self) -> None:
        self._check_fresh()
        self._taken = True

    def _check_fresh(self) -> None:
        if self._taken:
            raise RuntimeError(
                f"this run of {self._plan.name} was iterated before; a run can be iterated once: "
                "call whilst.map(…) again"
            )

    def _begin(self, driver: Driver) -> None:
        """Start on the loop; a word said before the start still counts."""
        if driver.finished:
            return  # who iterates was cancelled in this moment
        try:
            if self._cancelled:
                driver.cancel()
            elif self._drained:
                driver.stop(None)
            else:
                if self._paused is not None:
                    driver.pause(self._paused)
                driver.start()
        except Exception as error:  # no thread to be had, mostly; the consumer must not wait for ever
            driver.fatal(error)

    def _tell(self, word: str, *args: Any) -> None:
        driver = self._driver
        if driver is not None:
            with suppress(RuntimeError):  # the loop is closed: there is nothing left to tell
                driver.loop.call_soon_threadsafe(getattr(driver, word), *args)


class Outcomes(Unlike, Generic[I, T]):
    """The outcomes of a run: iterate over them once with `for` or `async for`, or take all."""

    _as = "run.outcomes()"

    def __init__(self, run: Run[I, T]) -> None:
        self._run = run

    def __repr__(self) -> str:
        return f"<Outcomes of {repr(self._run)[1:-1]}>"

    def _repr_html_(self) -> str:
        return self._run._repr_html_()

    def __iter__(self) -> Iterator[Outcome[I, T]]:
        """Give the outcomes in plain code."""
        return self._run._plain_records(True)

    def __aiter__(self) -> AsyncIterator[Outcome[I, T]]:
        """Give the outcomes in async code."""
        return self._run._async_records(True)

    def list(self) -> builtins.list[Outcome[I, T]]:
        """Return all outcomes, in plain code."""
        __tracebackhide__ = True
        _check_await(self._run._plan.name, "run.outcomes()")
        return [*self._run._plain_records(True, in_hand=False)]

    def __await__(self) -> Generator[Any, None, builtins.list[Outcome[I, T]]]:
        """Return all outcomes, in async code."""

        async def collect() -> builtins.list[Outcome[I, T]]:
            __tracebackhide__ = True
            return [outcome async for outcome in self._run._async_records(True, in_hand=False)]

        return collect().__await__()


def records_of(run: Run[Any, Any]) -> Generator[Iterator[Record], None, None]:
    """Give the records behind the outcomes of `run`, many at once: for who writes them down, in plain code."""
    return run._records()


def clock_of_records(run: Run[Any, Any]) -> Callable[[], float]:
    """Return the clock by which the records of a run that has begun say when their calls started."""
    assert run._driver is not None
    return run._driver.clock


def _unpack(driver: Driver, outcomes: bool, *, beside: bool = False) -> Unpack:
    start = driver.started

    def outcome(record: Record) -> Outcome[Any, Any]:
        index, item, value, error, started, took, attempts = record
        since = None if is_recalled(record) else started - start
        if error is not None and beside:
            noted_loop(error)
        return Outcome(index, item, value, error, since, took, attempts)

    if outcomes:
        return outcome
    return beside_value_of if beside else noted_value_of


def _may_hold_up(driver: Driver) -> bool:
    """Whether who waits on this thread for the end of a run may hold up what ends it."""
    return is_engine_thread() or driver.loop is asyncio._get_running_loop()


def _close_from_outside(driver: Driver) -> None:
    """Wait, on the consumer's thread, until the driver has closed; not for ever."""
    if driver.orphan or driver.loop.is_closed():
        return
    closing = asyncio.run_coroutine_threadsafe(driver.close(), driver.loop)
    if _may_hold_up(driver):
        return  # it closes soon; waiting here would be for ever
    try:
        closing.result(CLOSE_WAIT)
    except TimeoutError:  # a call ignores its cancellation, or something holds the loop
        driver.unheard = not driver.finished
    except RuntimeError as error:  # the engine is gone, mostly
        raise_interrupt(error)


def _check_await(name: str, subject: str) -> None:
    """Refuse `await run.list()`, before anything is called."""
    __tracebackhide__ = True
    if asyncio._get_running_loop() is None:
        return
    from .core.habits import is_awaited

    if is_awaited():
        raise TypeError(
            f".list() of {name} is for plain code: it returns a list, which cannot be awaited\n  try: await {subject}"
        )


def _check_thread(name: str) -> None:
    """Refuse what would wait for itself, and warn of what would block a loop."""
    __tracebackhide__ = True
    if is_engine_thread():
        raise RuntimeError(
            f"a plain run of {name} inside an async function that whilst runs would wait for ever\n"
            "  use: async for value in whilst.map(…), or: await whilst.map(…), or: await flow.aio(…)"
        )
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return
    if not _is_in_kernel():
        warnings.warn(
            f"a plain run of {name} blocks the event loop that runs on this thread; "
            "use: async for value in whilst.map(…), or: await whilst.map(…), or: await flow.aio(…)",
            RuntimeWarning,
            stacklevel=levels_to_user(),
        )


def _is_in_kernel() -> bool:
    """Whether this process is the kernel of a notebook, and not one that has only imported what kernels are made of."""
    if "ipykernel" not in sys.modules:
        return False
    from .sinks.notebook import is_notebook

    return is_notebook()


def _progress(run: Run[Any, Any]) -> Progress | None:
    """Return what shows the progress of a run that has begun, where that is wanted."""
    wanted = run._plan.progress
    if wanted is False or (wanted is None and "IPython" not in sys.modules and not _is_a_tty(sys.stderr)):
        return None
    from .sinks.progress import Progress, is_watched

    return Progress(run.summary, at_once=wanted is True) if wanted or is_watched() else None


def _is_a_tty(stream: Any) -> bool:
    """Whether it says so; a program may have put anything in the place of stderr."""
    try:
        return bool(stream.isatty())
    except Exception:
        return False


Watcher: TypeAlias = "Callable[[Plan, asyncio.AbstractEventLoop, Callable[[], Summary]], Observer | None]"

watchers: dict[Watcher, tuple[str, ...]] = {}
"""Each makes an observer for every run that begins, if it wants to see it: `whilst.watch()`, and spans.

Beside it are the modules that it needs for that, by their names in `engine`."""

_drivers: weakref.WeakSet[Driver] = weakref.WeakSet()


def _orphan_all() -> None:
    for driver in tuple(_drivers):
        driver.become_orphan()


on_fork(_orphan_all)
