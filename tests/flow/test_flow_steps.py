"""Policies of single steps, and what is refused at construction, by path."""

import asyncio
import contextlib
import threading
import time
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from flowkit import Gate, eventually

import whilst
from whilst import testing


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


class TestTimeout:
    def test_an_async_step_is_cancelled_and_times_out_by_name(self) -> None:
        cancelled: list[bool] = []

        async def slow(value: int) -> int:
            try:
                await asyncio.sleep(100)
            except asyncio.CancelledError:
                cancelled.append(True)
                raise
            return value

        async def main() -> float:
            with pytest.raises(TimeoutError, match=r"slow\(\) took longer than its timeout of 2.5 s"):
                await whilst.step(slow, timeout=2.5).aio(1)
            return asyncio.get_running_loop().time()

        assert testing.run(main()) == pytest.approx(2.5)
        assert cancelled == [True]

    def test_a_blocking_step_is_left_behind_and_counted_and_named(self) -> None:
        gate = Gate()

        def stuck(value: int) -> int:
            return int(gate(value))

        run = whilst.map(whilst.step(stuck, timeout=0.01), [1])
        outcome = run.outcomes().list()[0]
        assert isinstance(outcome.error, TimeoutError)
        assert run.summary().abandoned == 1
        assert run.summary().left_behind[0].startswith("1 x stuck() (test_flow_steps.py line ")
        gate.open.set()
        assert eventually(lambda: run.summary().abandoned == 0)

    def test_a_call_that_is_left_behind_does_not_hold_up_the_others(self) -> None:
        gate = Gate()

        def sometimes(value: int) -> int:
            return int(gate(value)) if value == 0 else value

        run = whilst.map(whilst.step(sometimes, timeout=0.2), range(20), concurrency=1)
        outcomes = run.outcomes().list()
        gate.open.set()
        assert [o.ok for o in outcomes] == [False] + [True] * 19

    def test_waiting_for_a_permit_does_not_count(self) -> None:
        limit = whilst.Limit(concurrency=1)

        async def main() -> Any:
            return await whilst.map(whilst.step(nap, limit=limit, timeout=1.5), [1.0] * 5, concurrency=5)

        assert testing.run(main()) == [1.0] * 5

    def test_the_timeout_of_a_part_is_for_the_whole_of_it(self) -> None:
        part = whilst.step(whilst.sequence(nap, nap, whilst.together(nap, nap)), timeout=2.5)
        with pytest.raises(TimeoutError, match=r"sequence\[1\] took longer than its timeout of 2.5 s"):
            testing.run(whilst.sequence(nap, part).aio(1))
        assert testing.run(whilst.step(whilst.sequence(nap, nap), timeout=2.5).aio(1)) == 1

    def test_a_timeout_error_of_the_functions_own_comes_out_as_it_is(self) -> None:
        error = TimeoutError("mine")

        async def fails(_: Any) -> None:
            raise error

        with pytest.raises(TimeoutError) as caught:
            testing.run(whilst.step(fails, timeout=5).aio(1))
        assert caught.value is error

    def test_the_timeout_of_each_is_for_each_call(self) -> None:
        flow = whilst.sequence(lambda: [0.1, 0.2], whilst.each(nap, timeout=0.25, concurrency=1))
        assert testing.run(flow.aio()) == [0.1, 0.2]
        with pytest.raises(TimeoutError):
            testing.run(whilst.each(nap, timeout=0.25).aio([0.1, 0.3]))


def test_executor_thread_insists_on_a_thread() -> None:
    here = threading.current_thread()
    flow = whilst.step(lambda _: threading.current_thread() is here, executor="thread")
    assert flow(1) is False
    assert asyncio.run(flow.aio(1)) is False


def test_blocking_steps_never_use_asyncios_own_executor() -> None:
    before = threading.enumerate()  # those of a loop that another test has not closed, too

    async def main() -> Any:
        names = await whilst.map(whilst.step(lambda _: threading.current_thread().name), range(50))
        assert not [t for t in threading.enumerate() if t.name.startswith("asyncio_") and t not in before]
        return set(names)

    assert all(name.startswith("whilst-lane") for name in asyncio.run(main()))


def pages(n: int) -> Iterator[int]:
    yield n


async def pages_later(n: int) -> AsyncIterator[int]:
    yield n


def two(a: int, b: int) -> int:
    return a + b


def keyword(*, a: int) -> int:
    return a


session = whilst.resource(list, per="thread")

REFUSED: list[tuple[Any, str]] = [
    (lambda: whilst.sequence(abs, 42), r"sequence\[1\]: must be callable, got 42 \(int\)"),
    (lambda: whilst.sequence(abs, None), r"sequence\[1\]: must be callable, got None \(NoneType\)"),
    (lambda: whilst.together(abs, "x"), r"together\[1\]: must be callable"),
    (lambda: whilst.together(a=abs, orders=[]), r"together\.orders: must be callable, got \[\] \(list\)"),
    (lambda: whilst.first(3), r"first\[0\]: must be callable"),
    (lambda: whilst.each(3), r"each: must be callable"),
    (lambda: whilst.step(3), r"step: must be callable"),
    (
        lambda: whilst.sequence(abs, two),
        r"sequence\[1\]: two\(a: int, b: int\) -> int cannot be called with one pos.*or none",
    ),
    (lambda: whilst.together(x=two), r"together\.x: two"),
    (lambda: whilst.step(keyword), r"step: keyword.*\n  try: functools.partial\(keyword"),
    (lambda: whilst.each(lambda: 1), r"each: <lambda>\(\) takes no argument, so the items would be ignored\n  to call"),
    (lambda: whilst.each(two), r"each: two"),
    (lambda: whilst.sequence(), r"sequence\(\) needs at least one step"),
    (lambda: whilst.together(), r"together\(\) needs at least one branch"),
    (lambda: whilst.first(), r"first\(\) needs at least one branch"),
    (lambda: whilst.together(abs, b=abs), r"by position .* or by name .*, not both"),
    (lambda: whilst.step(nap, executor="thread"), r'nap\(\) is async and cannot run with executor="thread"'),
    (lambda: whilst.each(nap, executor="thread"), r"nap\(\) is async and cannot"),
    (lambda: whilst.step(pages_later, executor="thread"), r"pages_later\(\) is a generator function and cannot"),
    (lambda: whilst.step(nap, use={"s": session}), r"nap\(\) is async.*'s' cannot be one per thread\n.*|step: "),
    (lambda: whilst.step(lambda v, s: v, use={"s": list}), r"use\['s'\] must be a whilst.resource"),
    (
        lambda: whilst.step(abs, limit=3),
        r"limit must be a whilst.Limit, or a list of them, got 3\n  try: concurrency=3",
    ),
    (lambda: whilst.each(abs, limit="3/s"), r"limit must be a whilst.Limit"),
    (lambda: whilst.step(abs, timeout="3"), r"timeout must be a number of seconds, got '3'"),
    (lambda: whilst.step(whilst.sequence(abs), executor="thread"), r"executor= and use= belong to a function"),
    (lambda: whilst.step(whilst.sequence(abs), use={"s": session}), r"executor= and use= belong to a function"),
    (lambda: whilst.map(whilst.sequence(abs), [1], executor="thread"), r"executor= and use= belong to a function"),
    (lambda: whilst.batched("3"), r"n must be a whole number"),
    (lambda: whilst.batched(3, within="x"), r"within must be a number of seconds"),
    (lambda: whilst.each(abs, concurrency=True), r"concurrency must be a whole number"),
    (lambda: whilst.each(abs, ordered=1), r"ordered must be True or False"),
    (lambda: whilst.sequence(nap(1)), r"sequence\[0\]: must be callable.*\(coroutine\); give the function itself"),
]


@pytest.mark.filterwarnings("ignore:coroutine 'nap' was never awaited")
@pytest.mark.parametrize(("build", "message"), REFUSED, ids=[m[:40] for _, m in REFUSED])
def test_what_cannot_be_meant_is_a_type_error_at_construction(build: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        build()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: whilst.batched(0), "n must be at least 1, got 0"),
        (lambda: whilst.batched(-3), "n must be at least 1, got -3"),
        (lambda: whilst.batched(1, within=0), "within must be more than 0 seconds"),
        (lambda: whilst.each(abs, concurrency=0), "concurrency must be at least 1, got 0"),
        (lambda: whilst.step(abs, timeout=0), "timeout must be more than 0"),
        (lambda: whilst.step(abs, timeout=float("inf")), "finite"),
        (
            lambda: whilst.step(abs, executor="fork"),
            r"an object such as whilst.processes.Processes\(…\), got 'fork'\n  try: executor=\"process\"",
        ),
        (lambda: whilst.resource(list, per="call"), 'per must be "thread", "run" or "process"'),
    ],
)
def test_a_value_out_of_range_is_a_value_error_at_construction(build: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build()


def test_a_generator_function_cannot_have_a_resource_per_thread() -> None:
    def rows(n: int, s: list[int]) -> Iterator[int]:
        yield n

    with pytest.raises(
        TypeError, match=r"rows\(\) is a generator function, so 's' cannot be one per thread\n.*per=\"run\""
    ):
        whilst.step(rows, use={"s": session})


def test_a_named_step_is_called_so_in_notes() -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        whilst.sequence(whilst.step(int, name="parse"))("x")
    assert any("step sequence[0] (parse)" in note for note in caught.value.__notes__)


def test_nothing_runs_before_the_call() -> None:
    called: list[Any] = []
    flow = whilst.sequence(called.append, whilst.each(called.append))
    flow.plan()
    repr(flow)
    hash(flow)
    run = flow.stream([1])
    assert called == []
    with contextlib.suppress(TypeError):
        run.list()
    assert called == [[1]]


def test_a_flow_from_plain_code_costs_little_above_its_leaves() -> None:
    flow = whilst.sequence(nap)
    flow(0)
    best = min(_timed(lambda: flow(0)) for _ in range(50))
    assert best < 0.02  # 1 ms is measured by the benchmarks; here only that nothing waits for a timer


def _timed(action: Any) -> float:
    began = time.perf_counter()
    action()
    return time.perf_counter() - began
