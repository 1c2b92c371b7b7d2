"""Virtual time: test hours of retries and timeouts in milliseconds, with the same result every time.

An ordinary event loop waits for its next timer. This one moves its clock to that timer at once. Runs of whilst on this
loop read the same clock, so `Outcome.took`, timeouts and deadlines are virtual too.

What happens outside of the loop takes real time, and the clock cannot skip it. So the clock goes as fast as a real one
while a thread of a run is busy (with a blocking function, or with a source that is not a builtin container), while an
executor of asyncio is busy, and while a socket or pipe is open on the loop. Code without these has exact times, the
same in each test run.

If your functions block, or if times do not matter in your test, `no_waits` leaves out the waits of retries.
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
    """Nothing can happen any more: no timer is set, no task is ready, and no thread is busy."""


class Worker(Protocol):
    """Something that has threads."""

    def at_work(self) -> bool:
        """Whether one of the threads does something that the loop waits for."""
        ...


class VirtualClock:
    """The loop's clock: seconds since the loop was made. `clock()` returns the time, on any thread."""

    def __init__(self) -> None:
        self.now: float = 0.0
        self._workers: weakref.WeakSet[Worker] = weakref.WeakSet()

    def __call__(self) -> float:
        """Return the time in seconds."""
        return self.now

    def _watch(self, worker: Worker) -> None:
        """Go as fast as a real clock while `worker.at_work()` is true. Call this on the loop's thread."""
        self._workers.add(worker)

    def _stands_back(self) -> bool:
        """Whether a thread is busy, so that no time may be skipped."""
        return any(worker.at_work() for worker in self._workers)

    def __repr__(self) -> str:
        return f"<VirtualClock at {self.now:g} s>"


class VirtualTimeLoop(asyncio.SelectorEventLoop):
    """An event loop that does not wait: its clock jumps to the next timer.

    Attributes:
        virtual_clock: the clock that runs of whilst on this loop read, instead of `time.monotonic`.

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
        """Run `func` in an executor. Until it has returned, the clock goes as fast as a real one."""
        future = super().run_in_executor(executor, func, *args)
        self._outside += 1
        future.add_done_callback(self._came_back)
        return future

    async def shutdown_default_executor(self, timeout: float | None = None) -> None:
        """End the threads of asyncio's own executor. It takes real time, and never times out."""
        self._outside += 1
        try:
            await super().shutdown_default_executor()
        finally:
            self._outside -= 1

    def _came_back(self, _: object) -> None:
        self._outside -= 1


def run(main: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in virtual time and return its result. (`asyncio.run` does the same in real time.)

    Args:
        main: the coroutine. Its code need not change: `asyncio.sleep`, `asyncio.timeout`, `loop.time()` and runs of
            whilst follow the virtual clock. `time.sleep` and `time.monotonic` do not.

    Raises:
        Deadlock: nothing can happen any more. `asyncio.run` would hang for ever.

    Iterate over runs with `async for` or `await`. A plain `for` uses another loop, which has real time.

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
    """Leave out the waits for retries, for Retry-After (or similar headers) and for breakers, in the whole process.

    This holds for runs, flows, limits and decorated functions, blocking and async. Attempts still count. `on`,
    `on_value` and `on_retry` are called as usual, with a `wait` of 0.0. An open breaker still makes one call at a time.
    Rates, concurrency and the waits in your own functions stay.

    Use it in a `with` block, or as a decorator of a test.

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
        return len(self.get_map()) > own or self._busy_outside() or self._clock._stands_back()

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
