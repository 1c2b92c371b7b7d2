"""What becomes of threads, and of what calls have returned or left running, when their run ends."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any

import pytest
from lanekit import BarePort

from whilst.core.headers import Left
from whilst.lanes import threads
from whilst.lanes.calling import listening
from whilst.lanes.threads import ThreadLanes


def test_an_awaitable_that_ignores_its_cancellation_is_left_behind_and_comes_home(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(threads, "GRACE", 0.01)
    monkeypatch.setattr(threads, "EXIT_WAIT", 0.01)

    async def main() -> None:
        inside, release = asyncio.Event(), asyncio.Event()

        async def stubborn() -> None:
            inside.set()
            try:
                await asyncio.sleep(3600)
            except asyncio.CancelledError:
                await release.wait()

        port: Any = BarePort(["one"])
        lanes = ThreadLanes(port, lambda _: stubborn(), 1, 0.0, name="stubborn")
        lanes.wake()
        await asyncio.wait_for(inside.wait(), 20)
        lanes.close()
        await lanes.gone()
        assert (lanes.abandoned, port.behind, port.late) == (1, [0], [])
        assert [said.split(" ")[0] for said in lanes.left_behind()] == ["1"]
        release.set()
        async with asyncio.timeout(20):
            while not port.late:  # it is said on the thread
                await asyncio.sleep(0.001)
        assert (lanes.abandoned, port.late, port.records) == (0, [0], [])

    asyncio.run(main())


def test_idle_threads_go_and_nothing_is_left_behind() -> None:
    async def main() -> None:
        port: Any = BarePort(range(9))
        lanes = ThreadLanes(port, abs, 3, 0.0)
        lanes.wake()
        await port.until(lambda: len(port.records) == 9)
        lanes.close()
        await lanes.gone()
        assert (lanes.abandoned, lanes.left_behind(), port.behind, port.late) == (0, (), [], [])

    asyncio.run(main())


def test_what_calls_have_left_running_tells_the_run_nothing_once_it_has_ended() -> None:
    async def main() -> None:
        told: list[Any] = []
        heard: list[Any] = []
        port: Any = BarePort(["one"])
        port.allow = lambda item, left: told.append(item)
        lanes = ThreadLanes(port, lambda _: heard.append(listening.get()), 1, 0.0, name="leaves")
        lanes.wake()
        await port.until(lambda: len(port.records) == 1)
        [listener] = heard
        listener.allow(Left(3, 1.0))
        assert told == [None]  # of this run, and of no call any more
        lanes.close()
        await lanes.gone()
        listener.allow(Left(3, 1.0))
        assert told == [None]

    asyncio.run(main())


def spin(until: Any) -> None:
    """Wait on the loop's own thread, so that the loop does nothing meanwhile."""
    give_up = time.monotonic() + 20
    while not until():
        assert time.monotonic() < give_up
        time.sleep(0.0001)


def test_a_call_that_ends_while_others_are_given_up_keeps_its_value() -> None:
    async def main() -> None:
        release = {"a": threading.Event(), "b": threading.Event()}
        inside: set[str] = set()

        def call(name: str) -> str:
            inside.add(name)
            release[name].wait(20)
            return name

        port: Any = BarePort(["a", "b"])
        lanes = ThreadLanes(port, call, 2, 0.0)
        lanes.wake()
        spin(lambda: len(inside) == 2)

        def let_the_other_end(index: int) -> None:
            release["ba"[index]].set()
            spin(lambda: not lanes.in_calls())

        port.abandon = let_the_other_end
        lanes.expire(TimeoutError("the deadline"))
        for event in release.values():
            event.set()
        await port.until(lambda: len(port.records) == 2)
        kept, given_up = sorted(str(value or error) for _, _, value, error, *_ in port.records)
        assert kept in release
        assert given_up == "the deadline"
        lanes.close()
        await lanes.gone()

    asyncio.run(main())


def test_what_the_next_call_awaits_is_not_given_up_for_the_call_before() -> None:
    async def main() -> None:
        leave = threading.Event()
        port: Any = BarePort(["first", "second"])

        async def later() -> str:
            return "awaited"

        def call(name: str) -> Any:
            if name == "second":
                return later()
            leave.wait(20)
            return "in time"

        def due(index: int, started: float) -> float:
            leave.set()
            spin(lambda: worker.awaited is not None)  # the thread is in its second call
            return started

        lanes = ThreadLanes(port, call, 1, 0.0)
        lanes.wake()
        spin(lanes.in_calls)
        [(worker, _, _)] = lanes._calls()
        port.due = due
        lanes.sweep(time.monotonic())
        await port.until(lambda: len(port.records) == 2)
        assert [(value, error) for _, _, value, error, *_ in port.records] == [("in time", None), ("awaited", None)]
        lanes.close()
        await lanes.gone()

    asyncio.run(main())
