"""Blocking functions on real threads, with events and barriers instead of naps."""

import asyncio
import contextvars
import gc
import os
import signal
import threading
import time
import warnings
import weakref

import pytest
from kit import Gauge, virtually

import whilst
from whilst.engine.driver import KEPT
from whilst.lanes.calling import wanted


def lanes() -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith("whilst-lane")]


@pytest.mark.parametrize("concurrency", [1, 2, 16])
@pytest.mark.parametrize("source", [range, lambda n: iter(range(n))])
def test_the_concurrency_is_reached(concurrency: int, source) -> None:
    together = threading.Barrier(concurrency, timeout=20)

    def meet(x: int) -> int:
        together.wait()
        return x

    count = 4 * concurrency
    assert whilst.map(meet, source(count), concurrency=concurrency).list() == [*range(count)]


def test_the_concurrency_is_never_exceeded() -> None:
    guard, inside, most = threading.Lock(), 0, 0

    def count(x: int) -> int:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        time.sleep(0)
        with guard:
            inside -= 1
        return x

    assert whilst.map(count, range(3000), concurrency=5).list() == [*range(3000)]
    assert most <= 5


def test_ordered_and_unordered_results() -> None:
    second_done = threading.Event()

    def crossed(x: int) -> int:
        if x == 0:
            assert second_done.wait(10)
        return x

    async def main(ordered: bool) -> list[int]:
        values = []
        async for outcome in whilst.map(crossed, [0, 1], concurrency=2, ordered=ordered).outcomes():
            values.append(outcome.value)
            second_done.set()
        return values

    assert asyncio.run(main(False)) == [1, 0]
    second_done.set()
    assert asyncio.run(main(True)) == [0, 1]


def test_a_timeout_abandons_the_call_and_another_thread_takes_its_place(eventually) -> None:
    release = threading.Event()

    def stuck(x: int) -> int:
        if x == 1:
            assert release.wait(20)
        return x

    run = whilst.map(stuck, range(6), concurrency=1, timeout=0.05)
    seen = []
    for outcome in run.outcomes():
        seen.append(outcome.value if outcome.ok else type(outcome.error))
        if outcome.index == 1:
            assert str(outcome.error) == "stuck() took longer than its timeout of 0.05 s"
            assert outcome.took >= 0.05
            assert run.summary().abandoned == 1
    assert seen == [0, TimeoutError, 2, 3, 4, 5]
    summary = run.summary()
    assert (summary.ok, summary.failed, summary.in_flight, summary.abandoned) == (5, 1, 0, 1)
    line = stuck.__code__.co_firstlineno
    assert summary.left_behind == (f"1 x stuck() (test_threads.py line {line})",)
    assert "1 left behind" in str(summary)
    release.set()
    assert eventually(lambda: run.summary().abandoned == 0)


def test_too_many_abandoned_calls_end_the_run() -> None:
    release = threading.Event()

    def stuck(x: int) -> None:
        assert release.wait(20)

    run = whilst.map(stuck, range(100), concurrency=2, timeout=0.02)
    with pytest.raises(whilst.TooManyAbandoned, match=r"calls of stuck\(\) outlived their timeout of 0.02 s"):
        run.outcomes().list()
    assert run.summary().abandoned <= 6
    release.set()


def test_leaving_early_leaves_no_idle_thread_and_counts_the_busy_one(eventually) -> None:
    release, entered = threading.Event(), threading.Barrier(3, timeout=20)

    def work(x: int) -> int:
        if x in (1, 2):
            entered.wait()
            assert release.wait(20)
        return x

    run = whilst.map(work, range(100), concurrency=8)
    for _ in run:
        entered.wait()
        break
    assert eventually(lambda: len(lanes()) == 2)
    assert run.summary().abandoned == 2
    assert run.summary().done
    release.set()
    assert eventually(lambda: not lanes())
    assert run.summary().abandoned == 0


def test_a_failure_does_not_wait_for_calls_that_stand_after_it() -> None:
    release, entered = threading.Event(), threading.Event()

    def work(x: int) -> int:
        if x == 0:
            assert entered.wait(10)
            raise KeyError("first")
        entered.set()
        assert release.wait(20)
        return x

    run = whilst.map(work, range(10), concurrency=2)
    with pytest.raises(KeyError, match="first"):
        run.list()
    release.set()


def test_a_deadline_gives_up_blocking_calls_as_outcomes() -> None:
    release = threading.Event()

    def work(x: int) -> int:
        if x:
            assert release.wait(20)
        return x

    seen = []
    run = whilst.map(work, range(50), concurrency=3, deadline=0.5)
    with pytest.raises(whilst.DeadlineExceeded):
        seen.extend(outcome.value if outcome.ok else type(outcome.error) for outcome in run.outcomes())
    assert seen == [0, *[whilst.DeadlineExceeded] * 3] or seen == [0, *[whilst.DeadlineExceeded] * 2]
    release.set()


def test_executor_thread_runs_on_threads() -> None:
    idents = {*whilst.map(lambda _: threading.get_ident(), range(50), concurrency=4, executor="thread")}
    assert threading.get_ident() not in idents
    assert 1 <= len(idents) <= 4


@virtually
async def test_an_awaitable_that_a_lambda_returns_is_awaited_on_the_loop_and_the_concurrency_holds() -> None:
    gauge, loop = Gauge(), asyncio.get_running_loop()

    async def fetch(x: int) -> int:
        assert asyncio.get_running_loop() is loop
        return await gauge(x)

    assert await whilst.map(lambda x: fetch(x), range(20), concurrency=4) == [*range(20)]
    assert gauge.most == 4


@virtually
async def test_a_timeout_cancels_the_awaitable_that_a_lambda_returned_and_waits_for_its_clean_up() -> None:
    gauge = Gauge({1: 1000})
    outcomes = await whilst.map(lambda x: gauge(x), range(4), concurrency=2, timeout=30).outcomes()
    assert [o.ok for o in outcomes] == [True, False, True, True]
    assert type(outcomes[1].error) is TimeoutError
    assert gauge.cancelled == [1]
    assert gauge.inside == 0


@virtually
async def test_leaving_early_cancels_the_awaitable_and_waits_for_its_clean_up() -> None:
    ended = []

    async def slow(x: int) -> int:
        try:
            await asyncio.sleep(1000 * x)
        finally:
            await asyncio.sleep(0.1)
            ended.append(x)
        return x

    async with whilst.map(lambda x: slow(x), range(3), concurrency=3) as run:
        async for _ in run:
            break
    assert sorted(ended) == [0, 1, 2]
    assert run.summary().abandoned == 0


class SlowToHandOver(asyncio.SelectorEventLoop):
    """Holds a lane's thread up in the moment when it has told the loop of its awaitable and has done nothing more."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()
        self.seen: set[int] = set()

    def call_soon_threadsafe(self, *args, **kwargs):
        handle = super().call_soon_threadsafe(*args, **kwargs)
        if threading.current_thread() in lanes() and threading.get_ident() not in self.seen:
            self.seen.add(threading.get_ident())
            assert self.go_on.wait(20)
        return handle


@pytest.mark.parametrize("timeout", [None, 0.02])
def test_an_awaitable_belongs_to_the_loop_from_the_moment_when_it_is_handed_over(timeout: float | None) -> None:
    """Its thread once threw it away in the middle of its clean-up: "cannot reuse already awaited coroutine"."""
    ended = []

    async def main() -> None:
        loop, inside = asyncio.get_running_loop(), asyncio.Event()
        assert isinstance(loop, SlowToHandOver)

        async def slow(x: int) -> None:
            inside.set()
            try:
                await asyncio.sleep(1000)
            finally:
                loop.go_on.set()  # its thread goes on while this cleans up
                await asyncio.sleep(0.05)
                ended.append(x)

        async with whilst.map(lambda x: slow(x), [7], concurrency=1, timeout=timeout) as run:
            taking = asyncio.ensure_future(run.outcomes().__aiter__().__anext__())
            await inside.wait()
            if timeout is None:
                taking.cancel()
                await asyncio.wait([taking])
            else:
                assert type((await taking).error) is TimeoutError
        await asyncio.sleep(0.1)

    with asyncio.Runner(loop_factory=SlowToHandOver) as runner:
        runner.run(main())
    assert ended == [7]


@virtually
async def test_what_the_awaitable_raises_is_the_error() -> None:
    error = KeyError("mine")
    (outcome,) = await whilst.map(lambda x: Gauge(bad={1: error})(x), [1]).outcomes()
    assert outcome.error is error


@pytest.mark.parametrize("name", ["whilst-lane", "whilst-source"])
def test_when_no_thread_can_be_started_the_run_fails_instead_of_hanging(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith(name):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError, match="can't start new thread"):
        whilst.map(str, iter(range(9))).list()


def test_when_no_thread_can_be_had_to_start_others_the_first_one_does_it_all(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("whilst-spawner"):
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    assert whilst.map(str, iter(range(9))).list() == [*map(str, range(9))]


def test_a_run_that_got_no_thread_begins_no_call_although_there_are_some_again(monkeypatch: pytest.MonkeyPatch) -> None:
    start, refused, calls = threading.Thread.start, [], []

    def refuse(thread: threading.Thread) -> None:
        if thread.name.startswith("whilst-lane") and not refused:
            refused.append(thread)
            raise RuntimeError("can't start new thread")
        start(thread)

    async def main() -> None:
        with pytest.raises(RuntimeError, match="can't start new thread"):
            await whilst.map(calls.append, range(9))

    monkeypatch.setattr(threading.Thread, "start", refuse)
    asyncio.run(main())
    assert refused
    assert calls == []


def test_when_few_threads_can_be_started_the_run_goes_on_with_those(monkeypatch: pytest.MonkeyPatch) -> None:
    start, left = threading.Thread.start, 2

    def refuse(thread: threading.Thread) -> None:
        nonlocal left
        if thread.name.startswith("whilst-lane"):
            left -= 1
            if left < 0:
                raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", refuse)
    both = threading.Barrier(2, timeout=10)
    assert whilst.map(lambda x: both.wait() * 0 + x, range(100), concurrency=20).list() == [*range(100)]


def test_many_short_runs_leave_no_thread(eventually) -> None:
    for i in range(100):
        assert whilst.map(str, range(i % 7), concurrency=1 + i % 5).list() == [str(x) for x in range(i % 7)]
    assert eventually(lambda: not lanes())


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_after_a_fork_the_child_maps_anew_and_an_inherited_run_raises() -> None:
    run = whilst.map(str, range(1000), concurrency=2)
    iterator = iter(run)
    assert next(iterator) == "0"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # 3.12 warns of a fork with threads; that is the point
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            try:
                for _ in iterator:
                    pass
            except RuntimeError as error:
                if "belongs to the parent process" in str(error):
                    code = 2
            if code == 2 and whilst.map(str, range(50)).list() == [str(i) for i in range(50)]:
                code = 0
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert [*iterator] == [str(i) for i in range(1, 1000)]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_run_that_was_not_started_works_in_the_child() -> None:
    whilst.map(str, range(5)).list()  # the engine is up
    run = whilst.map(str, range(50))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        code = 1
        try:
            signal.alarm(20)
            code = 0 if run.list() == [str(i) for i in range(50)] else 1
        finally:
            os._exit(code)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0


@virtually
async def test_a_run_that_is_left_waits_for_the_clean_up_of_awaitables_as_long_as_for_that_of_async_calls() -> None:
    """Longer than for idle threads, which need no time."""
    begun, ended = asyncio.Barrier(3), []

    async def slow(x: int) -> int:
        await begun.wait()
        try:
            await asyncio.sleep(1000 * x)
        finally:
            await asyncio.sleep(0.9 * bool(x))
            ended.append(x)
        return x

    async with whilst.map(lambda x: slow(x), range(3), concurrency=3) as run:
        async for _ in run:
            break
    assert sorted(ended) == [0, 1, 2]
    assert run.summary().abandoned == 0


@virtually
async def test_an_awaitable_that_ignores_its_cancellation_is_left_behind_with_its_run() -> None:
    begun = asyncio.Barrier(2)

    async def stubborn(x: int) -> int:
        await begun.wait()
        until = asyncio.get_running_loop().time() + 20 * x
        while (left := until - asyncio.get_running_loop().time()) > 0:
            try:
                await asyncio.sleep(left)
            except asyncio.CancelledError:
                pass
        return x

    async with whilst.map(lambda x: stubborn(x), range(2), concurrency=2) as run:
        async for _ in run:
            break
    assert run.summary().abandoned == 1
    await asyncio.sleep(30)


@pytest.mark.parametrize("asked", [False, True])
def test_what_calls_leave_running_keeps_no_run(asked: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """A context, that of a thread for example, that was copied inside a call; where calls have names, it has their run.

    What a call leaves running may still ask which call that was. It finds a run that has let go of what it was made of.
    """
    monkeypatch.setattr(wanted, "is_asked", asked)
    contexts = []

    def leave(x: int) -> None:
        contexts.append(contextvars.copy_context())

    run = whilst.map(leave, range(3))
    run.list()
    driver, function = weakref.ref(run._driver), weakref.ref(leave)
    del run, leave
    deadline = time.monotonic() + 20
    while function() is not None or (driver() is not None and not asked):
        assert time.monotonic() < deadline, [*map(repr, gc.get_referrers(driver()))]
        time.sleep(0.01)  # the engine's loop closes it
    assert function() is None
    assert len(contexts) == 3
    if asked:
        assert vars(driver()).keys() <= {*KEPT}
