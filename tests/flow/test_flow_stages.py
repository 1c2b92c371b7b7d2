"""Stages: item by item from one to the next, bounded, in order, and ended together whatever fails."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from typing import Any

import pytest
from flowkit import Gate, Gauge, eventually

import whilst
from whilst import testing


async def nap(item: Any) -> Any:
    await asyncio.sleep(1)
    return item


async def same(item: Any) -> Any:
    return item


def test_the_third_stage_starts_before_the_first_has_ended() -> None:
    log: list[str] = []

    def stage(name: str) -> Callable[[int], Any]:
        async def work(item: int) -> int:
            log.append(f"{name}{item}")
            await asyncio.sleep(1)
            return item

        return work

    one = whilst.each
    flow = whilst.sequence(
        range, one(stage("a"), concurrency=1), one(stage("b"), concurrency=1), one(stage("c"), concurrency=1)
    )

    async def main() -> float:
        assert await flow.aio(10) == [*range(10)]
        return asyncio.get_running_loop().time()

    took = testing.run(main())
    assert log.index("c0") < log.index("a9")
    assert log.index("c0") == pytest.approx(5, abs=2)
    assert took == pytest.approx(12, abs=0.5)  # 10 items through 3 stages of 1 s each: not 30


def test_started_minus_consumed_is_bounded_over_an_endless_source() -> None:
    started = {"source": 0, "a": 0, "b": 0}
    most = dict.fromkeys(started, 0)
    consumed = 0

    def note(name: str) -> None:
        started[name] += 1
        most[name] = max(most[name], started[name] - consumed)

    def endless() -> Iterator[int]:
        for i in itertools.count():
            note("source")
            yield i

    async def a(item: int) -> int:
        note("a")
        return item

    async def b(item: int) -> int:
        note("b")
        return item

    flow = whilst.sequence(endless, whilst.each(a, concurrency=4), whilst.each(b, concurrency=2))

    async def main() -> None:
        nonlocal consumed
        run = flow.stream()
        async with run:
            async for _ in run:
                consumed += 1
                if consumed % 10 == 0:
                    await asyncio.sleep(0.0005)  # a slow consumer
                if consumed == 3000:
                    break

    asyncio.run(main())
    assert most["b"] <= 1024 + 64
    assert most["a"] <= 2 * 1024 + 64
    assert most["source"] <= 3 * 1024 + 64
    seen = dict(started)
    assert eventually(lambda: seen == started)


@pytest.mark.parametrize("last", [whilst.flatten(), whilst.batched(7), whilst.batched(7, within=5.0)])
def test_every_stage_reads_an_endless_source_only_as_far_as_it_must(last: Any) -> None:
    read = 0

    async def endless(_: Any) -> AsyncIterator[list[int]]:
        nonlocal read
        for i in itertools.count():
            read += 1
            yield [i]

    async def main() -> list[Any]:
        run = whilst.sequence(endless, last).stream()
        async with run:
            return [item async for item in _taken(run, 3)]

    assert len(testing.run(main())) == 3
    assert read <= 7 * 1024


async def _taken(items: AsyncIterator[Any], n: int) -> AsyncIterator[Any]:
    async for item in items:
        yield item
        n -= 1
        if not n:
            return


def test_items_stay_in_order_unless_told_otherwise() -> None:
    async def backwards(item: int) -> int:
        await asyncio.sleep(10 - item)
        return item

    ordered = whilst.sequence(range, whilst.each(backwards), whilst.each(same))
    unordered = whilst.sequence(range, whilst.each(backwards, ordered=False), whilst.each(same, ordered=False))
    assert testing.run(ordered.aio(8)) == [*range(8)]
    assert testing.run(unordered.aio(8)) == [*reversed(range(8))]
    assert testing.run(_all(unordered.stream(8))) == [*reversed(range(8))]


async def _all(run: Any) -> list[Any]:
    return [item async for item in run]


class Line:
    """Three stages over an endless source, of which one fails at item 50; `fails_at` names it."""

    def __init__(self, fails_at: str, source: str) -> None:
        self.fails_at = fails_at
        self.closed = threading.Event()
        self.flow = whilst.sequence(
            {"generator": self.generator, "async generator": self.async_generator, "list": lambda: [*range(5000)]}[
                source
            ],
            whilst.each(self.stage("first"), concurrency=3),
            whilst.each(self.stage("middle"), concurrency=2),
            whilst.each(self.stage("last"), concurrency=1),
        )
        if source == "list":
            self.closed.set()

    def generator(self) -> Iterator[int]:
        try:
            for i in itertools.count():
                if self.fails_at == "source" and i == 50:
                    raise LookupError("at source")
                yield i
        finally:
            self.closed.set()

    async def async_generator(self) -> AsyncIterator[int]:
        try:
            for i in itertools.count():
                if self.fails_at == "source" and i == 50:
                    raise LookupError("at source")
                yield i
        finally:
            await asyncio.sleep(0)
            self.closed.set()

    def stage(self, name: str) -> Callable[[int], Any]:
        async def work(item: int) -> int:
            if name == "last":
                await asyncio.sleep(0.0001)  # so that those before it wait on full buffers
            if name == self.fails_at and item == 50:
                raise LookupError(f"at {name}")
            return item

        return work


POSITIONS = [
    (fails_at, source)
    for fails_at in ("source", "first", "middle", "last")
    for source in ("generator", "async generator", "list")
    if (fails_at, source) != ("source", "list")
]


@pytest.mark.parametrize(("fails_at", "source"), POSITIONS)
def test_a_failing_stage_ends_its_neighbours_without_a_hang(fails_at: str, source: str) -> None:
    line = Line(fails_at, source)
    with pytest.raises(LookupError, match=f"at {fails_at}"):
        line.flow()
    assert line.closed.wait(5)


@pytest.mark.parametrize(("fails_at", "source"), POSITIONS)
def test_a_stream_gives_what_stands_before_the_failure_then_raises(fails_at: str, source: str) -> None:
    line = Line(fails_at, source)
    seen: list[int] = []

    async def main() -> None:
        async for item in line.flow.stream():
            seen.append(item)  # noqa: PERF401

    with pytest.raises(LookupError, match=f"at {fails_at}"):
        testing.run(main())
    assert seen == [*range(50)]
    assert line.closed.wait(5)


@pytest.mark.parametrize("where", [0, 1, 2])
@pytest.mark.parametrize("kind", [whilst.batched(3), whilst.batched(3, within=5.0), whilst.flatten()])
def test_a_failure_passes_through_every_kind_of_stage(where: int, kind: Any) -> None:
    async def fails(item: Any) -> Any:
        if item == 7:
            raise LookupError("seven")
        return [item]

    async def fails_on_list(item: Any) -> Any:
        if 7 in item:
            raise LookupError("seven")
        return item

    stages = [whilst.each(same), whilst.each(same)]
    stages.insert(where, whilst.sequence(whilst.each(fails), kind))
    endless = whilst.sequence(lambda: itertools.count(), *stages)
    with pytest.raises(LookupError, match="seven"):
        testing.run(endless.aio())
    with pytest.raises(LookupError, match="seven"):
        whilst.sequence(lambda: itertools.count(), whilst.batched(2), whilst.each(fails_on_list), kind)()


def test_a_blocking_generator_that_waits_is_closed_when_a_stage_fails() -> None:
    closed = threading.Event()

    def pages() -> Iterator[int]:
        try:
            yield from itertools.count()
        finally:
            closed.set()

    def fails(item: int) -> int:
        raise LookupError(item)

    with pytest.raises(LookupError):
        whilst.sequence(pages, whilst.each(fails))()
    assert closed.wait(5)


def test_an_async_generator_source_is_closed_when_its_stream_is_left_early() -> None:
    closed: list[str] = []

    async def pages() -> AsyncIterator[int]:
        try:
            for i in itertools.count():
                yield i
        finally:
            await asyncio.sleep(1)
            closed.append("pages")

    async def main(flow: Any) -> None:
        run = flow.stream()
        async with run:
            async for item in run:
                if item == 3:
                    break
        assert closed == ["pages"]

    testing.run(main(whilst.sequence(pages, whilst.each(same), whilst.each(same))))
    closed.clear()
    testing.run(main(whilst.sequence(pages, whilst.each(_one), whilst.flatten())))


async def _one(item: Any) -> list[Any]:
    return [item]


def test_an_async_iterable_that_makes_its_own_generator_is_closed_too() -> None:
    closed: list[str] = []

    class Pages:
        async def __aiter__(self) -> AsyncIterator[int]:
            try:
                for i in itertools.count():
                    yield i
            finally:
                closed.append("pages")

    async def main() -> None:
        async for _ in whilst.sequence(Pages, whilst.flatten()).stream():
            break

    async def batches() -> None:
        run = whilst.sequence(Pages, whilst.batched(2, within=1)).stream()
        async with run:
            async for _ in run:
                break
        assert closed == ["pages"]

    testing.run(batches())


class TestBatched:
    def test_it_flushes_when_full_and_at_the_end(self) -> None:
        flow = whilst.sequence(range, whilst.batched(4))
        assert flow(10) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
        assert flow(8) == [[0, 1, 2, 3], [4, 5, 6, 7]]
        assert flow(0) == []

    @pytest.mark.parametrize("within", [None, 100.0])
    def test_with_and_without_a_time_limit_full_batches_are_the_same(self, within: float | None) -> None:
        flow = whilst.sequence(range, whilst.batched(4, within=within))
        assert testing.run(flow.aio(10)) == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]

    def test_it_flushes_when_the_first_item_has_waited_long_enough(self) -> None:
        async def drip() -> AsyncIterator[float]:
            for delay in (0, 1, 1, 9, 1, 0.5):
                await asyncio.sleep(delay)
                yield asyncio.get_running_loop().time()

        async def main() -> list[tuple[float, list[float]]]:
            now = asyncio.get_running_loop().time
            return [(now(), batch) async for batch in whilst.sequence(drip, whilst.batched(100, within=2.5)).stream()]

        times = [(round(at, 3), [round(t, 3) for t in batch]) for at, batch in testing.run(main())]
        assert times == [(2.5, [0, 1, 2]), (12.5, [11, 12, 12.5])]

    def test_no_item_waits_longer_than_within(self) -> None:
        async def drip() -> AsyncIterator[float]:
            for i in range(100):
                await asyncio.sleep(i % 7 / 10)
                yield asyncio.get_running_loop().time()

        async def main() -> None:
            async for batch in whilst.sequence(drip, whilst.batched(5, within=1.0)).stream():
                assert len(batch) <= 5
                assert asyncio.get_running_loop().time() - batch[0] <= 1.0 + 1e-6

        testing.run(main())

    @pytest.mark.parametrize("within", [None, 100.0])
    def test_what_came_before_a_failure_goes_out_before_it(self, within: float | None) -> None:
        async def breaks() -> AsyncIterator[int]:
            yield 1
            yield 2
            yield 3
            raise LookupError("broken")

        seen: list[list[int]] = []

        async def main() -> None:
            async for batch in whilst.sequence(breaks, whilst.batched(2, within=within)).stream():
                seen.append(batch)  # noqa: PERF401

        with pytest.raises(LookupError, match="broken"):
            testing.run(main())
        assert seen == [[1, 2], [3]]

    @pytest.mark.parametrize("within", [None, 1.0])
    def test_a_source_that_raises_cancelled_error_does_not_look_like_its_end(self, within: float | None) -> None:
        async def odd() -> AsyncIterator[int]:
            yield 1
            raise asyncio.CancelledError

        async def odd_step(_: object) -> list[int]:
            raise asyncio.CancelledError

        for source in (odd, odd_step):
            with pytest.raises(RuntimeError, match="CancelledError of its own accord"):
                testing.run(whilst.sequence(source, whilst.batched(5, within=within)).aio())
            with pytest.raises(RuntimeError, match="CancelledError of its own accord"):
                testing.run(whilst.sequence(source, whilst.batched(5, within=within), whilst.each(same)).aio())

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_an_exit_in_the_source_comes_out(self, kind: type[BaseException]) -> None:
        async def stops() -> AsyncIterator[int]:
            yield 1
            raise kind

        for within in (None, 1.0):
            with pytest.raises(kind):
                whilst.sequence(stops, whilst.batched(5, within=within))()
        assert whilst.sequence(abs)(-1) == 1

    def test_a_slow_consumer_keeps_the_buffer_at_one_batch(self) -> None:
        read = delivered = most = 0

        async def endless() -> AsyncIterator[int]:
            nonlocal read, most
            for i in itertools.count():
                read += 1
                most = max(most, read - delivered)
                yield i

        async def slow(batch: list[int]) -> int:
            nonlocal delivered
            await asyncio.sleep(10)
            delivered += len(batch)
            return len(batch)

        async def main() -> None:
            flow = whilst.sequence(endless, whilst.batched(8, within=1.0), whilst.each(slow, concurrency=1))
            run = flow.stream()
            async with run:
                async for _ in _taken(run, 20):
                    pass

        testing.run(main())
        assert most <= 8 * 12  # a batch being made, and the batches that the next stage has read ahead


class TestFlatten:
    def test_it_gives_the_items_of_lists_generators_and_async_generators(self) -> None:
        def blocking(n: int) -> Iterator[int]:
            yield from range(n)

        async def asynchronous(n: int) -> AsyncIterator[int]:
            for i in range(n):
                yield i

        for many in (lambda n: [*range(n)], blocking, asynchronous, lambda n: iter(range(n)), set, range):
            flow = whilst.sequence(range, whilst.each(lambda n: [n] if many is set else n), whilst.each(many))  # noqa: B023
            expected = [0, 1, 2] if many is set else [0, 0, 1]
            assert whilst.sequence(flow, whilst.flatten())(3) == expected

    def test_right_after_a_plain_step_it_takes_the_value_as_one_item(self) -> None:
        def pages(n: int) -> Iterator[list[int]]:
            for page in range(n):
                yield [page] * 2

        assert whilst.sequence(lambda n: [[n], [n]], whilst.flatten())(1) == [[1], [1]]
        assert whilst.sequence(pages, whilst.flatten())(2) == [[0, 0], [1, 1]]
        assert whilst.sequence(pages, whilst.flatten(), whilst.flatten())(2) == [0, 0, 1, 1]

    def test_an_item_without_items_is_refused_by_path(self) -> None:
        flow = whilst.sequence(lambda: [[1], 2], whilst.each(same), whilst.flatten())
        with pytest.raises(TypeError, match=r"sequence\[2\]\.flatten needs something to iterate over, got 2 \(int\)"):
            flow()

    def test_the_rest_of_an_inner_generator_is_closed_when_the_stream_is_left(self) -> None:
        closed: list[int] = []

        async def inner(n: int) -> AsyncIterator[int]:
            try:
                for i in itertools.count():
                    yield i
            finally:
                closed.append(n)

        async def main() -> None:
            run = whilst.sequence(lambda: [1, 2], whilst.each(inner), whilst.flatten()).stream()
            async with run:
                async for item in run:
                    if item == 5:
                        break
            assert closed == [1]

        testing.run(main())


def test_a_plain_step_after_a_stage_gets_the_list() -> None:
    assert whilst.sequence(range, whilst.each(abs), sum, str)(5) == "10"
    assert whilst.sequence(range, whilst.batched(2), len)(5) == 3
    assert whilst.sequence(range, whilst.each(abs), whilst.together(max, min, list))(5) == (4, 0, [0, 1, 2, 3, 4])


def test_stages_after_such_a_step_start_a_new_stream() -> None:
    assert whilst.sequence(range, whilst.each(abs), reversed, whilst.each(str))(3) == ["2", "1", "0"]


def test_a_nested_sequence_that_ends_in_a_stage_streams_into_the_next_one() -> None:
    log: list[str] = []

    async def a(item: int) -> int:
        log.append(f"a{item}")
        await asyncio.sleep(1)
        return item

    async def b(item: int) -> int:
        log.append(f"b{item}")
        return item

    inner = whilst.sequence(range, whilst.each(a, concurrency=1))
    flow = whilst.sequence(whilst.sequence(inner), whilst.each(b, concurrency=1))
    assert testing.run(flow.aio(5)) == [*range(5)]
    assert log.index("b0") < log.index("a4")


def test_an_each_may_call_a_whole_flow_with_stages_of_its_own() -> None:
    inner = whilst.sequence(range, whilst.each(nap), sum)
    flow = whilst.sequence(range, whilst.each(inner, concurrency=5), whilst.batched(3))

    async def main() -> float:
        assert await flow.aio(5) == [[0, 0, 1], [3, 6]]
        return asyncio.get_running_loop().time()

    assert testing.run(main()) == pytest.approx(1, abs=0.1)


def test_each_of_each_over_lists_of_lists() -> None:
    inner = whilst.each(whilst.each(whilst.each(nap)))
    assert testing.run(inner.aio([[[1, 2], [3]], [[4]]])) == [[[1, 2], [3]], [[4]]]


def test_an_empty_stream_gives_an_empty_list_everywhere() -> None:
    def nothing() -> list[int]:
        return []

    flow = whilst.sequence(
        nothing, whilst.each(same), whilst.flatten(), whilst.batched(2), whilst.batched(2, within=1), list
    )
    assert flow() == []


@pytest.mark.parametrize("colour", ["async", "blocking"])
def test_leaving_a_stream_early_ends_everything_in_it(colour: str) -> None:
    gauge = Gauge()

    async def later(item: int) -> int:
        with gauge:
            await asyncio.sleep(0)
        return item

    def blocking(item: int) -> int:
        with gauge:
            return item

    fn = later if colour == "async" else blocking
    flow = whilst.sequence(lambda: itertools.count(), whilst.each(fn, concurrency=3), whilst.each(fn, concurrency=3))
    for item in flow.stream():
        if item == 10:
            break
    assert eventually(lambda: gauge.inside == 0)
    calls = gauge.calls
    assert calls < 5000
    assert not eventually(lambda: gauge.calls > calls, within=0.02)


def test_an_async_stream_may_be_left_early_too() -> None:
    async def main() -> int:
        count = 0
        run = whilst.sequence(lambda: itertools.count(), whilst.each(nap), whilst.each(same)).stream()
        async with run, aclosing(aiter(run)) as items:  # type: ignore[type-var]
            async for _ in items:
                count += 1
                if count == 3:
                    break
        assert len(asyncio.all_tasks()) == 1
        return count

    assert testing.run(main()) == 3


def test_cancelling_a_stream_raises_run_cancelled() -> None:
    run = whilst.sequence(lambda: itertools.count(), whilst.each(same)).stream()
    items = iter(run)
    assert next(items) == 0
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        list(items)


def test_a_blocking_call_in_a_stage_that_is_left_early_is_counted() -> None:
    gate = Gate()

    def sometimes(item: int) -> int:
        return int(gate(item)) if item == 1 else item

    run = whilst.sequence(range, whilst.each(sometimes, concurrency=2)).stream(3)
    try:
        for _ in run:
            gate.wait_until_entered()
            break
        assert run.summary().abandoned == 1
    finally:
        gate.open.set()


@pytest.mark.parametrize("value", [5, None, 3.5, "text", b"bytes"])
def test_each_over_what_has_no_items_is_refused_by_path_with_the_type_and_the_mend(value: Any) -> None:
    flow = whilst.sequence(abs, str, whilst.together(orders=whilst.sequence(lambda _: value, whilst.each(same))))
    with pytest.raises(TypeError) as caught:
        flow(1)
    text = str(caught.value)
    assert "sequence[2].together.orders[1].each needs something to iterate over" in text
    assert f"({type(value).__name__})" in text
    assert "try:" in text


def test_the_path_of_a_stage_that_is_a_branch_itself_names_the_branch() -> None:
    flow = whilst.sequence(abs, str, whilst.together(orders=whilst.each(same)))
    with pytest.raises(TypeError, match=r"^sequence\[2\]\.together\.orders\.each needs .* \(str\)"):
        flow(1)
    with pytest.raises(TypeError, match=r"^batched needs .* \(int\)"):
        whilst.batched(2)(1)
    with pytest.raises(TypeError, match=r"^sequence\[1\]\.batched needs .* \(int\)"):
        list(whilst.sequence(abs, whilst.batched(2)).stream(1))
    with pytest.raises(TypeError, match=r"^sequence\[1\]\.each needs"):
        list(whilst.sequence(abs, whilst.each(same)).stream(1))

    with pytest.raises(TypeError, match=r"^sequence\[1\]\.each needs"):
        list(whilst.sequence(abs, whilst.each(same), whilst.batched(2)).stream(1))
    with pytest.raises(TypeError, match=r"^sequence\[1\]\.each needs"):
        list(whilst.sequence(abs, whilst.each(same), whilst.each(same)).stream(1))


def test_ten_thousand_items_pass_through_three_stages() -> None:
    flow = whilst.sequence(range, whilst.each(same), whilst.batched(100), whilst.flatten(), whilst.each(same), sum)
    assert flow(10_000) == sum(range(10_000))


def test_a_stage_of_several_steps_holds_no_more_items_than_it_may_over_all_inputs() -> None:
    inside = most = 0

    async def begin(item: int) -> int:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(1.0)
        return item

    async def end(item: int) -> int:
        nonlocal inside
        await asyncio.sleep(1.0)
        inside -= 1
        return item

    async def main() -> list[list[int]]:
        flow = whilst.sequence(range, whilst.each(whilst.sequence(begin, end), concurrency=3))
        return await whilst.map(flow, [5, 5, 5, 5], concurrency=4)

    assert testing.run(main()) == [[*range(5)]] * 4
    assert most == 3
