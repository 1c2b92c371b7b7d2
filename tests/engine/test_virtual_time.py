"""The loop whose clock jumps instead of waiting."""

import asyncio
import socket
import threading
import time

import pytest
from kit import Gauge, virtually

import whilst
from whilst import testing


def test_an_hour_takes_no_time_and_the_result_comes_back() -> None:
    began = time.monotonic()

    async def main() -> tuple[str, float]:
        await asyncio.sleep(3600)
        return "done", asyncio.get_running_loop().time()

    assert testing.run(main()) == ("done", 3600.0)
    assert time.monotonic() - began < 5


def test_an_exception_comes_out_as_itself() -> None:
    async def main() -> None:
        await asyncio.sleep(1)
        raise KeyError("mine")

    with pytest.raises(KeyError, match="mine"):
        testing.run(main())


def test_a_wait_that_nothing_can_end_raises_instead_of_hanging() -> None:
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(testing.Deadlock, match="nothing can ever happen"):
        testing.run(main())


def test_a_timeout_is_exact() -> None:
    async def main() -> float:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(7.5):
                await asyncio.Event().wait()
        return asyncio.get_running_loop().time()

    assert testing.run(main()) == 7.5


@virtually
async def test_a_run_reads_the_virtual_clock() -> None:
    run = whilst.map(Gauge({1: 10, 2: 20}), [1, 2], concurrency=2)
    outcomes = await run.outcomes()
    assert [(o.started, o.took) for o in outcomes] == [(0, 10), (0, 20)]
    assert run.summary().elapsed == 20


@virtually
async def test_a_busy_thread_is_waited_for_although_a_timer_is_set() -> None:
    entered, leave = threading.Event(), threading.Event()

    def blocking(x: int) -> int:
        entered.set()
        assert leave.wait(10)
        return x

    async def free() -> None:
        while not entered.is_set():
            await asyncio.sleep(0.001)
        leave.set()

    freeing = asyncio.create_task(free())
    late = asyncio.get_running_loop().call_later(3600, leave.set)
    assert await whilst.map(blocking, [1]) == [1]
    late.cancel()
    await freeing
    assert asyncio.get_running_loop().time() < 60


@virtually
async def test_an_idle_thread_of_a_run_does_not_hold_the_clock() -> None:
    began = time.monotonic()

    async def nap(x: int) -> int:
        await asyncio.sleep(1000)
        return x

    assert await whilst.map(lambda x: nap(x), iter(range(4)), concurrency=2) == [0, 1, 2, 3]
    assert asyncio.get_running_loop().time() >= 2000
    assert time.monotonic() - began < 20


@virtually
async def test_a_job_in_an_executor_is_waited_for() -> None:
    async with asyncio.timeout(3600):
        assert await asyncio.to_thread(lambda: time.sleep(0.05) or "back") == "back"
    assert asyncio.get_running_loop().time() < 60


@virtually
async def test_a_socket_is_waited_for() -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.setblocking(False)
        threading.Timer(0.05, theirs.send, [b"hello"]).start()
        async with asyncio.timeout(3600):
            assert await asyncio.get_running_loop().sock_recv(ours, 10) == b"hello"
    assert asyncio.get_running_loop().time() < 60
