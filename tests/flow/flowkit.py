"""What the tests of flows share: steps that watch themselves, gates instead of sleeps, a loop that cancels by index."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from whilst.testing import VirtualTimeLoop

PATIENCE = 10.0  # seconds after which a test that waits for a thread gives up


class Gauge:
    """Counts how many calls are inside at once."""

    def __init__(self) -> None:
        self.inside = self.most = self.calls = 0
        self._guard = threading.Lock()

    def __enter__(self) -> None:
        with self._guard:
            self.inside += 1
            self.calls += 1
            self.most = max(self.most, self.inside)

    def __exit__(self, *_: object) -> None:
        with self._guard:
            self.inside -= 1


class Gate:
    """A blocking function that stays inside until it is opened, and says when it is there."""

    def __init__(self) -> None:
        self.entered = threading.Semaphore(0)
        self.open = threading.Event()
        self.left = threading.Semaphore(0)
        self.calls = 0

    def __call__(self, value: Any = None) -> Any:
        self.calls += 1
        self.entered.release()
        assert self.open.wait(PATIENCE)
        self.left.release()
        return value

    def wait_until_entered(self) -> None:
        assert self.entered.acquire(timeout=PATIENCE)

    async def wait_until_entered_aio(self) -> None:
        await asyncio.to_thread(self.wait_until_entered)

    def wait_until_left(self) -> None:
        assert self.left.acquire(timeout=PATIENCE)


def eventually(condition: Callable[[], object], within: float = PATIENCE) -> bool:
    """Wait until the condition holds, looking again and again; False if it does not `within` seconds."""
    ends = time.monotonic() + within
    while not condition():
        if time.monotonic() > ends:
            return False
        time.sleep(0.001)
    return True


class SteppedLoop(VirtualTimeLoop):
    """Cancels `victim` at the start of the loop's round number `cancel_at`, counted from `arm`."""

    def __init__(self) -> None:
        self.victim: asyncio.Task[Any] | None = None
        self.rounds = 0
        self.cancel_at = -1
        super().__init__()

    def arm(self, victim: asyncio.Task[Any], cancel_at: int) -> None:
        self.victim, self.cancel_at, self.rounds = victim, cancel_at, 0

    def _run_once(self) -> None:
        if self.victim is not None:
            if self.rounds == self.cancel_at:
                self.victim.cancel()
            self.rounds += 1
        super()._run_once()  # type: ignore[misc]


def cancelled_at_every_round(make: Callable[[], Coroutine[Any, Any, Any]], check: Callable[[], object]) -> int:
    """Run `make()` anew for each round of the loop, cancelled there; after each no task is left and `check` passes.

    Returns how many rounds were tried: all until the one in which it had finished by itself.
    """
    index = 0
    while True:
        with asyncio.Runner(loop_factory=SteppedLoop) as runner:
            finished = runner.run(_cancelled_at(index, make))
        check()
        if finished:
            return index
        index += 1


async def _cancelled_at(index: int, make: Callable[[], Coroutine[Any, Any, Any]]) -> bool:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, SteppedLoop)
    task = loop.create_task(make())
    loop.arm(task, index)
    await asyncio.wait([task])
    loop.victim = None
    others = asyncio.all_tasks() - {asyncio.current_task()}
    assert not others, f"cancelled in round {index}, left behind: {others}"
    if task.cancelled():
        return False
    task.result()
    return loop.rounds <= index
