"""Virtual time: test hours of retries and timeouts in milliseconds, with the same result every time.

Where an ordinary loop would wait for its next timer, this one moves its clock to that timer. Runs of whilst on it
read the same clock, so `Outcome.took`, timeouts and deadlines are virtual too.

What happens outside the loop cannot be hurried. So while a thread of a run is at work (a blocking function, a source
that is no builtin container), while an executor of asyncio is, or while a socket or pipe is open on the loop, time
passes as it does outside, and nothing is skipped over. Code without those has exact, repeatable times.

Where calls block, or times do not matter, `no_waits` leaves out the waits of retries.
"""

from __future__ import annotations

import asyncio
import selectors
import time
import weakref
from collections.abc import Callable, Coroutine, Generator
from concurrent.futures import Executor
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, TypeVarTuple

from .core.waits import waits

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

LOOK_AGAIN = 0.001  # real seconds between two looks at threads; they do not always say that they have stopped

__all__ = ["Deadlock", "VirtualClock", "VirtualTimeLoop", "no_waits", "run"]


class Deadlock(RuntimeError):
    """Nothing can ever happen any more: no timer is set, nothing is ready, and no thread is at work."""


class Worker(Protocol):
    """Something that has threads."""

    def at_work(self) -> bool:
        """Whether one of them is doing something whose end the loop will learn of."""
        ...


class VirtualClock:
    """Seconds since the loop was made, as the loop counts them; `clock()` tells the time, on any thread."""

    def __init__(self) -> None:
        self.now: float = 0.0
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()

    def __call__(self) -> float:
        """Tell the time."""
        return self.now

    def watch(self, worker: Worker) -> None:
        """Let time pass as it does outside while `worker.at_work()`; called on the loop's thread."""
        self._workers.add(worker)

    def stands_back(self) -> bool:
        """Whether a thread is at work, so that no time may be skipped."""
        return any(worker.at_work() for worker in self._workers)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.now:g} s>"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: its clock jumps to the next timer.

    Attributes:
        virtual_clock: what whilst's runs on this loop read instead of `time.monotonic`.

    >>> with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
    ...     runner.run(asyncio.sleep(3600, "an hour later"))
    'an hour later'
    """

    def __init__(self) -> None:
        self.virtual_clock: VirtualClock = VirtualClock()
        self._outside = 0  # jobs of asyncio's executors that have not come back
        super().__init__(_Selector(self.virtual_clock, lambda: self._outside > 0))

    def time(self) -> float:
        """Return the virtual time in seconds; it begins at 0."""
        return self.virtual_clock.now

    def run_in_executor(self, executor: Executor | None, func: Callable[[*Ts], T], *args: *Ts) -> asyncio.Future[T]:
        """Run `func` in an executor; time passes as it does outside until it has returned."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """End the threads of asyncio's own executor, in as much real time as they take."""
        self._outside += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._outside -= 1

    def _came_back(self, _: object) -> None:
        self._outside -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on a loop with virtual time and return its result, as `asyncio.run` does in real time.

    Args:
        main: the coroutine, its code unmodified: `asyncio.sleep`, `asyncio.timeout`, `loop.time()` and whilst's own
            runs all follow the virtual clock. `time.sleep` and `time.monotonic` do not.

    Raises:
        Deadlock: nothing can ever happen any more, where `asyncio.run` would hang for ever.

    A plain `for` over a run has a loop of its own, in real time; use `async for` or `await`.

    >>> import asyncio, whilst, whilst.testing
    >>> async def main():
    ...     async def nap(seconds):
    ...         await asyncio.sleep(seconds)
    ...         return seconds
    ...     run = whilst.map(nap, [3600, 7200], concurrency=2)
    ...     return await run, run.summary().elapsed
    >>> whilst.testing.run(main())
    ([3600, 7200], 7200.0)
    """
    with asyncio.Runner(loop_factory=VirtualTimeLoop) as runner:
        return runner.run(main)


@contextmanager
def no_waits() -> Generator[None, None, None]:
    """Leave out the waits of retries, of Retry-After and its kin, and of breakers, in the whole process.

    Attempts still count, `on`, `on_value` and `on_retry` are asked and told as ever (`wait` is 0.0), and a breaker that
    is open still sends one call at a time. For runs, flows, decorated functions and limits, in both colours; it may be
    a decorator of a test, too. Rates, concurrency and the waits of your own functions stay.

    >>> import whilst, whilst.testing
    >>> def fetch(_):
    ...     raise whilst.Throttled("come back in a minute", retry_after=60)
    >>> with whilst.testing.no_waits():
    ...     [outcome] = whilst.map(fetch, ["page"], retry=5).outcomes()
    >>> outcome.attempts
    5
    """
    waits.off += 1
    try:
        yield
    finally:
        waits.off -= 1


class _Selector(selectors.DefaultSelector):
    """Moves the clock instead of waiting, as long as everything happens on the loop."""

    def __init__(self, clock: VirtualClock, busy_outside: Callable[[], bool]) -> None:
        super().__init__()
        self._clock = clock
        self._busy_outside = busy_outside

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if ready or (timeout is not None and timeout <= 0):
            return ready
        if self._is_real():
            return self._wait(LOOK_AGAIN if timeout is None else min(timeout, LOOK_AGAIN))
        # a thread may have rung and gone to rest between the two looks
        if (ready := super().select(0)) or timeout is None:
            return ready if ready else self._give_up()
        self._clock.now += timeout
        return []

    def _is_real(self) -> bool:
        own = 1  # the loop's own pipe, through which threads wake it
        return len(self.get_map()) > own or self._busy_outside() or self._clock.stands_back()

    def _wait(self, timeout: float) -> list[tuple[selectors.SelectorKey, int]]:
        began = time.monotonic()
        ready = super().select(timeout)
        self._clock.now += time.monotonic() - began
        return ready

    @staticmethod
    def _give_up() -> list[tuple[selectors.SelectorKey, int]]:
        raise Deadlock(
            "nothing can ever happen any more: every task waits for something that no timer, thread or task will bring"
        )
