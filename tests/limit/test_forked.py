"""A forked child has limits of its own: empty, with a lock that nobody holds, and it says so once."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from limitkit import idle

import whilst

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")


def in_child(act: Callable[[], Any], seconds: float = 20.0) -> tuple[Any, list[str]]:
    """Return what a call returns in a forked child, and what it warned of there."""
    reading, writing = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of a fork with threads; that is the point
        child = os.fork()
    if not child:
        try:
            os.close(reading)
            with warnings.catch_warnings(record=True) as caught:
                warnings.simplefilter("always")
                found = act()
            os.write(writing, json.dumps([found, [str(one.message) for one in caught]]).encode())
        except BaseException as error:
            os.write(writing, json.dumps([repr(error), []]).encode())
        finally:
            os._exit(0)
    os.close(writing)
    timer = threading.Timer(seconds, os.kill, [child, signal.SIGKILL])
    timer.start()
    try:
        with os.fdopen(reading, "rb") as answer:
            text = answer.read()
        os.waitpid(child, 0)
    finally:
        timer.cancel()
    assert text, "the child hangs"
    found, told = json.loads(text)
    return found, told


@contextmanager
def busy(*limits: whilst.Limit, threads: int = 4) -> Iterator[None]:
    """Have threads and a loop enter and leave blocks of some limits all the time."""
    over = False

    def plain() -> None:
        while not over:
            for limit in limits:
                with limit:
                    pass

    async def tasks() -> None:
        async def one() -> None:
            while not over:
                for limit in limits:
                    async with limit:
                        await asyncio.sleep(0)

        await asyncio.gather(*(one() for _ in range(5)))

    workers = [threading.Thread(target=plain) for _ in range(threads)]
    workers.append(threading.Thread(target=lambda: asyncio.run(tasks())))
    for worker in workers:
        worker.start()
    try:
        yield
    finally:
        over = True
        for worker in workers:
            worker.join(30)


def use_every_way(limit: whilst.Limit) -> list[Any]:
    with limit:
        inside = limit.statistics().in_flight

    async def main() -> int:
        async with limit:
            return limit.statistics().in_flight

    return [inside, asyncio.run(main()), whilst.map(abs, [-1], limit=limit).list()]


@pytest.mark.slow
def test_sixty_children_that_are_forked_beside_busy_threads_and_loops_use_the_limit_without_a_hang() -> None:
    limit, rate = whilst.Limit(concurrency=2), whilst.Limit(rate="1000000/s")
    with busy(limit, rate):
        for _ in range(60):
            found, told = in_child(lambda: use_every_way(limit))
            assert found == [1, 1, [1]]
            assert len(told) == 1
            assert "made before this process was forked" in told[0]
            assert "only for this process" in told[0]
    assert idle(limit)


def test_permits_and_pauses_and_counts_of_the_parent_are_not_the_childs() -> None:
    limit, keyed = whilst.Limit(concurrency=1, rate="1/h"), whilst.Limit(concurrency=1, by=str)
    with limit, keyed.of("a"):
        pass
    with pytest.raises(whilst.Throttled), keyed.of("b"):
        raise whilst.Throttled(retry_after=3600)

    def child() -> list[Any]:
        before = limit.statistics(), keyed.statistics()
        with limit, keyed.of("a"):
            after = limit.statistics(), keyed.statistics()
        return [before, after]

    with keyed.of("a"):
        (before, after), told = in_child(child)
    names = whilst.LimitStatistics._fields
    for one in before:
        now = dict(zip(names, one, strict=True))
        assert (now["in_flight"], now["waiting"], now["started"], now["rejected"]) == (0, 0, 0, 0)
        assert (now["keys"], now["paused_for"]) == (0, 0.0)
    assert [dict(zip(names, one, strict=True))["in_flight"] for one in after] == [1, 1]
    assert len(told) == 2  # once for each limit
    assert limit.statistics().started == 1


def test_a_child_forked_inside_blocks_holds_nothing_and_leaves_them_in_peace() -> None:
    limit, keyed, rate = whilst.Limit(concurrency=1), whilst.Limit(concurrency=1, by=str), whilst.Limit(rate="1000/s")

    def blocks() -> list[Any]:
        with limit, keyed.of("a"), rate:  # which the parent holds at this moment
            return [one.statistics().in_flight for one in (limit, keyed, rate)]

    result: list[Any] = []
    with limit, keyed.of("a"), rate:
        reading, writing = os.pipe()
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            child = os.fork()
            if not child:
                try:
                    result.append(blocks())
                except BaseException as error:
                    result.append(repr(error))
    if not child:  # the child has left the parent's blocks as well
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                result += [[one.statistics().in_flight for one in (limit, keyed, rate)], blocks()]
                result.append([one.statistics().in_flight for one in (limit, keyed, rate)])
            except BaseException as error:
                result.append(repr(error))
            os.write(writing, json.dumps(result).encode())
            os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb") as answer:
        found = json.loads(answer.read())
    os.waitpid(child, 0)
    assert found == [[1, 1, 1], [0, 0, 0], [1, 1, 1], [0, 0, 0]]
    assert all(idle(one) for one in (limit, keyed, rate))


def test_a_child_forked_in_the_call_of_a_run_may_use_the_limit_of_that_run() -> None:
    limit = whilst.Limit(concurrency=1)

    def child() -> int:
        with limit:
            return limit.statistics().in_flight

    def call(item: int) -> Any:
        return in_child(child)[0]

    assert whilst.map(call, [1], limit=limit).list() == [1]
    assert whilst.map(whilst.step(call, limit=limit), [1]).list() == [1]
    assert idle(limit)


def test_who_waits_in_the_parent_is_nobody_in_the_child_and_gets_its_permit_in_the_parent() -> None:
    limit, entered = whilst.Limit(concurrency=1), list[str]()

    def wait(name: str) -> None:
        with limit:
            entered.append(name)

    async def wait_there() -> None:
        async with limit:
            entered.append("a task")

    with limit:
        waiting = [threading.Thread(target=wait, args=["a thread"])]
        waiting.append(threading.Thread(target=lambda: asyncio.run(wait_there())))
        for one in waiting:
            one.start()
        while limit.statistics().waiting < 2:
            time.sleep(0.001)
        found, _ = in_child(lambda: [limit.statistics().waiting, *use_every_way(limit)])
        assert found == [0, 1, 1, [1]]
        assert limit.statistics().waiting == 2
    for one in waiting:
        one.join(20)
    assert sorted(entered) == ["a task", "a thread"]
    assert idle(limit)


def test_a_limit_that_is_made_in_the_child_says_nothing_and_a_grandchild_says_it_again() -> None:
    before = whilst.Limit(concurrency=1)

    def child() -> list[Any]:
        new = whilst.Limit(concurrency=1)
        with new, before:
            pass
        return list(in_child(lambda: use_every_way(before)))

    (found, told_grandchild), told_child = in_child(child)
    assert found == [1, 1, [1]]
    assert [len(told_child), len(told_grandchild)] == [1, 1]


def test_the_warning_names_the_line_of_the_user() -> None:
    limit = whilst.Limit(concurrency=1)

    def child() -> list[Any]:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            with limit:
                pass
        return [one.filename == __file__ and one.category is RuntimeWarning for one in caught]

    assert in_child(child)[0] == [True]


@pytest.mark.skipif(sys.platform != "linux", reason="what the system does first differs")
def test_everything_of_the_package_that_is_shared_by_a_process_works_in_a_child_forked_at_a_busy_moment() -> None:
    """Blocks, runs and calls of each colour, while the parent makes some of each."""
    limit = whilst.Limit(concurrency=3)

    async def native(item: int) -> int:
        return item

    def everything() -> list[Any]:
        calls = [whilst.map(abs, [-1, -2]).list(), whilst.map(native, [1], limit=limit).list()]
        calls += [whilst.step(abs, limit=limit)(-3), whilst.block(native)(4)]
        return [*calls, asyncio.run(whilst.unblock(abs)(-5))]

    everything()  # in a child that is forked during a first import the module stays locked for ever, whosever it is
    over = False

    def keep_busy() -> None:
        while not over:
            everything()

    threads = [threading.Thread(target=keep_busy) for _ in range(2)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(10):
            assert in_child(everything)[0] == [[1, 2], [1], 3, 4, 5]
    finally:
        over = True
        for thread in threads:
            thread.join(30)
