"""Threads of lanes: how many there are, where they come from, when they end, what they are called."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import sys
import threading
import time
import types
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from lanekit import BarePort, threads

import whilst
from whilst import testing
from whilst.lanes import worker
from whilst.lanes.calls import Calls
from whilst.lanes.threads import _MAKER, ThreadLanes, ThreadName
from whilst.lanes.worker import Worker


class Crowd:
    """A blocking function that knows how many of it are inside, and how many threads there were at most meanwhile.

    It takes no lock: threads that wait for one are in their calls, and would not be counted.
    """

    def __init__(self, pause: float = 0.002) -> None:
        self.pause = pause
        self.most = self.at_work = self.threads = 0
        """At most: calls inside, threads that do not rest, threads."""
        self._here: set[int] = set()

    def __call__(self, x: int) -> int:
        self._here.add(threading.get_ident())
        self.most = max(self.most, len(self._here))
        self.at_work = max(self.at_work, len(worker.supply._alive) - len(worker.supply._idle))
        self.threads = max(self.threads, threading.active_count())
        time.sleep(self.pause)
        self._here.discard(threading.get_ident())
        return x


async def handlers(call: Callable[[int], int], **policies: Any) -> None:
    async def handle() -> None:
        assert await whilst.map(call, range(10), **policies) == [*range(10)]

    await asyncio.gather(*(handle() for _ in range(200)))


def test_two_hundred_handlers_under_one_limit_hold_as_many_threads_as_permits() -> None:
    before, most = threading.active_count(), []
    for _ in range(3):  # on a busy machine threads that come from a call have not come to rest yet
        crowd = Crowd()
        asyncio.run(handlers(crowd, limit=whilst.Limit(concurrency=8)))
        assert crowd.most <= 8
        most.append(crowd.threads)
    assert min(most) <= 12 + max(before, 2) - 1  # the spawner, and one or two that were at the door


def test_two_hundred_handlers_with_concurrencies_of_their_own_hold_as_many_threads_as_calls() -> None:
    crowd, before = Crowd(0.02), threading.active_count()
    asyncio.run(handlers(crowd, concurrency=3))
    assert crowd.most <= 600
    assert crowd.threads <= crowd.at_work + 4 + max(before, 2)  # the main thread, and the one that starts others


def test_where_threads_are_many_already_no_loop_starts_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`Thread.start` waits for the thread: 2 ms each with 200 busy ones stopped a loop for 0.4 s."""
    start, alive = threading.Thread.start, []
    others = 0

    def watch(thread: threading.Thread) -> None:
        nonlocal others
        if thread.name.startswith("whilst-lane"):
            if threading.current_thread() is threading.main_thread():
                alive.append(len(worker.supply._alive))  # with the one that is being started
            else:
                others += 1
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", watch)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1.0)  # or the spawner starts another between the look at how many there are and the start
    try:
        asyncio.run(handlers(Crowd(0.01), concurrency=3))
    finally:
        sys.setswitchinterval(interval)
    assert max(alive) <= worker.FEW
    assert others


def test_a_run_that_waits_for_its_permit_holds_no_thread() -> None:
    limit = whilst.Limit(concurrency=1)

    async def main() -> None:
        taken = asyncio.Event()

        async def take() -> list[str]:
            await taken.wait()
            return await whilst.map(str, range(3), limit=limit)

        run = asyncio.create_task(take())
        async with limit:
            taken.set()
            for _ in range(20):
                await asyncio.sleep(0)
            assert not threads("whilst-lane")
        assert await run == ["0", "1", "2"]

    asyncio.run(main())


async def _list(run: Any) -> Any:
    return await run


def test_fifty_runs_inside_each_other_end() -> None:
    def descend(depth: int) -> int:
        if depth == 0:
            return 0
        return 1 + whilst.map(descend, [depth - 1], concurrency=1).list()[0]

    assert whilst.map(descend, [50], concurrency=1).list() == [50]


def test_fifty_flows_inside_each_other_end() -> None:
    def descend(depth: int) -> int:
        return 0 if depth == 0 else 1 + whilst.step(descend)(depth - 1)

    assert whilst.step(descend)(50) == 50


def test_a_thread_with_nothing_to_do_in_its_run_goes_to_one_that_waits_for_one() -> None:
    seen = []

    async def main() -> None:
        first, second = BarePort([1]), BarePort([2])
        call = [lambda x: seen.append((x, threading.get_ident(), threading.current_thread().name))]
        lanes = [ThreadLanes(port, call[0], 4, 1, name=name) for port, name in ((first, "one"), (second, "two"))]
        lanes[0].wake()
        await first.until(lambda: first.records)
        await _idle(lanes[0])
        lanes[1].wake()
        await second.until(lambda: second.records)
        for it in lanes:
            it.close()
            await it.gone()

    asyncio.run(main())
    (_, thread, name), (_, other, other_name) = seen
    assert thread == other
    assert (name, other_name) == ("whilst-lane one", "whilst-lane two")


def test_a_run_that_ends_leaves_no_idle_thread_wherever_its_threads_came_from(eventually: Callable[..., bool]) -> None:
    async def main() -> None:
        first, second = BarePort(range(9)), BarePort()
        lanes = [
            ThreadLanes(port, lambda _: time.sleep(0.001), 9, 1, name=name)
            for port, name in ((first, "first"), (second, "second"))
        ]
        lanes[0].wake()
        await first.until(lambda: len(first.records) == 9)
        await _idle(lanes[0])
        second.queue.extend(enumerate(range(2)))
        lanes[1].wake()
        await second.until(lambda: len(second.records) == 2)
        lanes[0].close()
        await lanes[0].gone()
        assert eventually(lambda: not threads("whilst-lane first"))
        assert threads("whilst-lane second")
        lanes[1].close()
        await lanes[1].gone()
        assert eventually(lambda: not threads("whilst-lane"))

    asyncio.run(main())


async def _idle(lanes: ThreadLanes) -> None:
    async with asyncio.timeout(20):
        while lanes._pool.at_work():
            await asyncio.sleep(0.001)


def test_a_thread_that_has_opened_something_stays_with_its_run_and_closes_it_there(
    eventually: Callable[..., bool],
) -> None:
    opened, closed, used = [], [], []

    class Connection:
        def __init__(self) -> None:
            opened.append(threading.current_thread())

        def close(self) -> None:
            closed.append(threading.current_thread())

    def call(x: int, db: Connection) -> int:
        assert opened[-1] == threading.current_thread()
        return x

    async def main() -> None:
        run = whilst.map(call, range(3), concurrency=1, use={"db": whilst.resource(Connection, per="thread")})
        async for _ in run:
            for _ in range(3):
                await whilst.map(lambda x: used.append(threading.current_thread()), range(5), concurrency=1)

    asyncio.run(main())
    assert eventually(lambda: closed == opened)
    assert len(opened) == 1
    assert opened[0] not in used


def test_all_that_a_thread_is_to_do_in_the_end_is_done_though_some_of_it_raises(
    eventually: Callable[..., bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[int] = []
    raised: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: raised.append(told.exc_value))

    def act(number: int) -> None:
        done.append(number)
        if number in (1, 2):
            raise LookupError(number)

    def call() -> None:
        here = worker.current_worker()
        assert here is not None
        here.at_end += [functools.partial(act, number) for number in range(4)]

    async def main() -> None:
        calls = Calls(asyncio.get_running_loop(), 1)
        await calls.call(call)
        await calls.close()

    asyncio.run(main())
    assert eventually(lambda: done == [3, 2, 1, 0])
    assert eventually(lambda: [error.args for error in raised] == [(1,)])


def test_threads_are_called_after_their_run() -> None:
    def name_of_thread(_: int) -> str:
        return threading.current_thread().name

    assert whilst.map(name_of_thread, [1]).list() == ["whilst-lane name_of_thread"]
    assert whilst.map(name_of_thread, [1], name="nightly").list() == ["whilst-lane nightly"]
    flow = whilst.sequence(name_of_thread)
    assert whilst.map(flow, [1], name="a flow").list() == ["whilst-lane a flow"]


def test_threads_of_unblock_end_with_the_loop(eventually: Callable[..., bool]) -> None:
    """There were 1,501 after 1,500 runs, each of which stayed for ten seconds."""

    async def main() -> None:
        assert await whilst.unblock(abs)(-1) == 1

    for _ in range(100):
        asyncio.run(main())
        assert eventually(lambda: not threads("whilst-unblock"))


def test_threads_of_a_loop_that_is_only_closed_end_when_they_look_up(
    monkeypatch: pytest.MonkeyPatch, eventually: Callable[..., bool]
) -> None:
    monkeypatch.setattr("whilst.lanes.pool.GLANCE", 0.01)
    loop = asyncio.new_event_loop()
    assert loop.run_until_complete(whilst.unblock(abs)(-1)) == 1
    assert threads("whilst-unblock")
    loop.close()
    assert eventually(lambda: not threads("whilst-unblock"))


@contextlib.contextmanager
def stuck(count: int) -> Iterator[tuple[Callable[[int], int], threading.Event, list[int]]]:
    release, entered = threading.Event(), []

    def call(x: int) -> int:
        entered.append(x)
        assert x >= count or release.wait(20)
        return x

    try:
        yield call, release, entered
    finally:
        release.set()


def test_what_returns_late_is_told_once_and_forgotten(eventually: Callable[..., bool]) -> None:
    async def main() -> None:
        with stuck(3) as (call, release, entered):
            port = BarePort(range(6))
            lanes = ThreadLanes(port, call, 3, 0.0)
            lanes.wake()
            async with asyncio.timeout(20):
                while len(entered) < 3:
                    await asyncio.sleep(0.001)
            port.patience = 0.0
            lanes.sweep(port.clock())
            port.patience = 1000
            await port.until(lambda: len(port.records) == 6)
            assert sorted(port.behind) == [0, 1, 2]
            assert lanes.abandoned == 3
            assert lanes.left_behind()[0].startswith("3 x call()")
            assert port.late == []
            release.set()
            async with asyncio.timeout(20):
                while lanes.abandoned:
                    await asyncio.sleep(0.001)
            assert sorted(port.late) == [0, 1, 2]
            assert lanes.left_behind() == ()
            assert len(port.records) == 6
            lanes.close()
            await lanes.gone()
            assert not lanes._pool.workers
            assert not len(lanes._pool.left_behind)

    asyncio.run(main())


@pytest.mark.parametrize(
    ("listed", "went_on", "returned", "makes"),
    [
        ([(0, "input")], False, False, True),
        ([], False, False, True),  # it was given up and is still inside
        ([], False, True, False),  # it has ended, and the thread rests
        ([], True, False, False),
        ([(0, "input")], False, True, True),  # the loop awaits what it has returned
    ],
)
def test_a_call_is_made_until_its_thread_is_done_with_it(
    listed: list[Any], went_on: bool, returned: bool, makes: bool
) -> None:
    worker: Any = types.SimpleNamespace(call=listed)
    name = ThreadName(worker, "input")
    name.returned = returned
    if went_on:
        worker.call = [(1, "the next")]
    assert _MAKER.makes(name) is makes


def test_what_a_thread_takes_when_all_is_over_is_refused_and_the_loop_hears_of_it() -> None:
    async def main() -> None:
        with stuck(1) as (call, release, entered):
            port = BarePort(range(6))
            lanes = ThreadLanes(port, call, 1, 0.0)
            lanes.wake()
            async with asyncio.timeout(20):
                while not entered:
                    await asyncio.sleep(0.001)
            lanes.expire(error := TimeoutError("all is over"))
            await port.until(lambda: len(port.records) == 6)
            assert {record[3] for record in port.records} == {error}
            assert len(entered) == 1
            lanes.close()
            release.set()
            await lanes.gone()

    asyncio.run(main())


def test_what_a_thread_takes_when_the_run_does_not_wait_for_it_any_more_is_told_to_nobody() -> None:
    async def main() -> None:
        port = BarePort()
        lanes = ThreadLanes(port, str, 1, 0.0)
        lanes.drop(-1)
        assert not lanes._pool._may_begin(Worker(), [(0, "input")], 0.0)
        lanes.let_go()
        await asyncio.sleep(0)
        assert port.unwanted == []

    asyncio.run(main())


def test_no_call_begins_after_the_deadline_though_the_loop_is_late() -> None:
    async def main() -> None:
        begun: list[float] = []
        port = BarePort(range(1000), deadline=time.monotonic() + 0.2)

        def call(_: int) -> None:
            begun.append(time.monotonic())
            time.sleep(0.005)

        lanes = ThreadLanes(port, call, 4, 1)
        lanes.wake()
        time.sleep(0.6)  # the loop stands still, as under an async function that blocks
        assert len(begun) < 400
        late = [at for at in begun if at > port.ends_at]
        assert len(late) <= 4  # each thread may be put to sleep between its look and its call
        assert len(port.queue) == 1000 - len(begun)  # nothing is lost: what was taken too late is there again
        assert sorted(index for index, _ in port.queue) == [*range(len(begun), 1000)]
        lanes.close()
        await lanes.gone()

    asyncio.run(main())


def test_a_deadline_holds_for_a_run_whose_loop_is_blocked() -> None:
    begun = []

    async def main() -> None:
        async def take() -> None:
            run = whilst.map(lambda x: begun.append(x) or time.sleep(0.005), range(10_000), concurrency=2, deadline=0.1)
            with pytest.raises(whilst.DeadlineExceeded):
                async for _ in run:
                    pass
            assert run.summary().in_flight == 0

        taking = asyncio.create_task(take())
        await asyncio.sleep(0.02)
        time.sleep(1.0)
        await taking

    asyncio.run(main())
    assert len(begun) < 150  # 400 without


def test_two_thousand_threads_do_not_collapse() -> None:
    """One way to spare the loop's wake-ups took ten times as long as the calls themselves."""
    began = time.monotonic()
    assert whilst.map(lambda x: time.sleep(0.05) or x, range(6000), concurrency=2000).list() == [*range(6000)]
    assert time.monotonic() - began < 15  # 0.15 s of waiting, some 0.5 s of work


def test_calls_one_after_the_other_wait_for_no_look_of_the_loop_to_come() -> None:
    """A loop that looks again a little later must not be waited for by those who have nothing else to do."""
    count, began = 300, time.monotonic()
    for _ in range(count // 30):
        assert whilst.map(lambda x: time.sleep(0.0001), range(30), concurrency=1).list() == [None] * 30
    assert time.monotonic() - began < 10


async def _many(calls: Calls) -> list[int]:
    return await asyncio.gather(*(calls.call(abs, -x) for x in range(500)))


def test_more_calls_than_threads_are_all_made_and_no_thread_too_many_is_started() -> None:
    async def main() -> None:
        calls = Calls(asyncio.get_running_loop(), 7, name="whilst-lane few")
        assert await _many(calls) == [*range(500)]
        assert len(threads("whilst-lane few")) <= 7
        await calls.close()

    asyncio.run(main())


def test_virtual_time_stands_back_while_a_lent_thread_is_at_work() -> None:
    async def main() -> None:
        for _ in range(20):
            loop = asyncio.get_running_loop()
            before = loop.time()
            runs = [whilst.map(lambda x: x, range(5), concurrency=2) for _ in range(4)]
            assert await asyncio.gather(*map(_list, runs)) == [[*range(5)]] * 4
            assert loop.time() - before < 60

    testing.run(main())
