"""Streams that are sorted, filtered, read several at a time, and merged."""

import asyncio
import itertools
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
from flowkit import cancelled_at_every_round, eventually

import whilst
from whilst import testing
from whilst.engine.batching import MOST_KEYS


async def _all(run: Any) -> list[Any]:
    return [item async for item in run]


async def ticks(name: str, every: float, count: int) -> AsyncIterator[str]:
    for number in range(count):
        await asyncio.sleep(every)
        yield f"{name}{number}"


class TestBatchedBy:
    def test_a_list_has_items_of_one_key_and_is_given_when_full(self) -> None:
        flow = whilst.sequence(range, whilst.batched(2, by=lambda n: n % 3))
        assert flow(8) == [[0, 3], [1, 4], [2, 5], [6], [7]]

    def test_no_item_waits_longer_for_its_own_key_than_it_may(self) -> None:
        async def source(_: Any) -> AsyncIterator[str]:
            for item in ["a1", "b1", "a2", "c1"]:
                yield item
                await asyncio.sleep(1)
            await asyncio.sleep(10)
            yield "a3"

        async def main() -> list[tuple[float, list[str]]]:
            flow, loop = (
                whilst.sequence(source, whilst.batched(3, within=2.5, by=lambda it: it[0])),
                asyncio.get_running_loop(),
            )
            return [(loop.time(), batch) async for batch in flow.stream()]

        assert testing.run(main()) == [
            (pytest.approx(2.5), ["a1", "a2"]),
            (pytest.approx(3.5), ["b1"]),
            (pytest.approx(5.5), ["c1"]),
            (pytest.approx(14), ["a3"]),
        ]

    @pytest.mark.parametrize("within", [None, 1000.0])
    def test_of_too_many_keys_the_oldest_goes_on_although_it_is_not_full(self, within: float | None) -> None:
        read = [0]

        async def note(n: int) -> int:
            read.append(n)
            return n

        flow = whilst.sequence(itertools.count, whilst.each(note), whilst.batched(2, within=within, by=str))

        async def first() -> Any:
            async with flow.stream(0) as run:
                return await anext(aiter(run))

        assert asyncio.run(first()) == [0]
        assert read[-1] >= MOST_KEYS

    @pytest.mark.parametrize("within", [None, 5.0])
    def test_a_key_that_cannot_be_found_fails_its_item_after_what_came_before(self, within: float | None) -> None:
        def by(item: int) -> Any:
            if item == 3:
                raise KeyError("tenant")
            return item % 2

        batches = iter(whilst.sequence(range, whilst.batched(9, within=within, by=by)).stream(5))
        assert [next(batches), next(batches)] == [[0, 2], [1]]
        with pytest.raises(KeyError, match="tenant") as caught:
            next(batches)
        assert "whilst: item of sequence[1].batched was 3" in caught.value.__notes__

    def test_what_cannot_be_asked_or_be_a_key_is_refused(self) -> None:
        async def later(item: int) -> int:
            return item

        with pytest.raises(TypeError, match="by must be a plain function"):
            whilst.batched(2, by=later)
        with pytest.raises(TypeError, match="by is called with one argument"):
            whilst.batched(2, by=lambda: 1)
        with pytest.raises(TypeError, match="cannot be a key"):
            whilst.sequence(range, whilst.batched(2, by=lambda n: [n]))(3)  # type: ignore[arg-type,return-value]
        with pytest.raises(TypeError, match="something to await"):
            whilst.sequence(range, whilst.batched(2, by=lambda n: later(n)))(3)

    def test_cancelled_anywhere_it_leaves_nothing(self) -> None:
        flow = whilst.sequence(lambda _: ticks("a", 1, 5), whilst.batched(2, within=3, by=len))
        assert cancelled_at_every_round(lambda: flow.aio(0), lambda: None) > 5

    def test_it_is_drawn_and_written(self) -> None:
        assert str(whilst.batched(5, within=2, by=len).plan()) == "batched · at most 5, within 2 s, by len()"
        assert repr(whilst.batched(5, within=2, by=len)) == "batched(5, within=2, by=len)"


class TestFlatten:
    def test_items_of_several_streams_come_as_they_are_there(self) -> None:
        def streams(_: Any) -> list[AsyncIterator[str]]:
            return [ticks("a", 3.6, 3), ticks("b", 2, 3), ticks("c", 1, 2)]

        at_once = whilst.sequence(streams, whilst.each(lambda it: it), whilst.flatten(concurrency=2))
        assert testing.run(at_once.aio(0)) == ["b0", "a0", "b1", "b2", "c0", "a1", "c1", "a2"]

    def test_never_more_than_so_many_are_open(self) -> None:
        inside = most = 0

        async def stream(n: int) -> AsyncIterator[int]:
            nonlocal inside, most
            inside += 1
            most = max(most, inside)
            for item in range(3):
                await asyncio.sleep(1)
                yield n * 10 + item
            inside -= 1

        flow = whilst.sequence(range, whilst.each(lambda n: stream(n)), whilst.flatten(concurrency=4))
        assert sorted(testing.run(flow.aio(20))) == [n * 10 + item for n in range(20) for item in range(3)]
        assert most == 4

    def test_the_first_that_fails_ends_the_others_after_what_came_before(self) -> None:
        closed: list[str] = []

        async def stream(name: str) -> AsyncIterator[str]:
            try:
                for number in itertools.count():
                    await asyncio.sleep(1)
                    if name == "b" and number == 2:
                        raise OSError("b broke")
                    yield f"{name}{number}"
            finally:
                closed.append(name)

        got: list[str] = []

        async def main() -> None:
            flow = whilst.sequence(str.split, whilst.each(lambda name: stream(name)), whilst.flatten(concurrency=3))
            async for item in flow.stream("a b c"):
                got.append(item)  # noqa: PERF401 - what came before the failure counts

        with pytest.raises(OSError, match="b broke"):
            testing.run(main())
        assert set(got) >= {"a0", "b0", "c0", "a1", "b1", "c1"}
        assert sorted(closed) == ["a", "b", "c"]

    def test_a_slow_consumer_holds_the_streams_back(self) -> None:
        read = 0

        async def endless(n: int) -> AsyncIterator[int]:
            nonlocal read
            for item in itertools.count():
                read += 1
                yield item

        async def main() -> None:
            flow = whilst.sequence(range, whilst.each(lambda n: endless(n)), whilst.flatten(concurrency=3))
            async with flow.stream(3) as run:
                async for _ in run:
                    await asyncio.sleep(100)
                    break

        testing.run(main())
        assert read < 2000

    def test_cancelled_anywhere_it_leaves_nothing(self) -> None:
        flow = whilst.sequence(
            lambda _: [ticks("a", 1, 2), ticks("b", 2, 2)], whilst.each(lambda it: it), whilst.flatten(concurrency=2)
        )
        assert cancelled_at_every_round(lambda: flow.aio(0), lambda: None) > 5

    def test_a_plain_value_in_the_stream_is_refused_by_the_path(self) -> None:
        flow = whilst.sequence(range, whilst.each(abs), whilst.flatten(concurrency=2))
        with pytest.raises(TypeError, match=r"sequence\[2\].flatten needs something to iterate over"):
            flow(3)
        with pytest.raises(ValueError, match="concurrency must be at least 1"):
            whilst.flatten(concurrency=0)

    def test_it_is_drawn_and_written(self) -> None:
        assert str(whilst.flatten(concurrency=3).plan()) == "flatten · one level, 3 at once, unordered"
        assert repr(whilst.flatten(concurrency=3)) == "flatten(concurrency=3)"
        assert repr(whilst.flatten()) == "flatten()"


class TestFilter:
    def test_items_stay_for_which_it_says_yes_in_order(self) -> None:
        async def odd(n: int) -> bool:
            await asyncio.sleep(10 - n)
            return bool(n % 2)

        flow = whilst.sequence(range, whilst.filter(odd, concurrency=10), whilst.each(str))
        assert testing.run(flow.aio(6)) == ["1", "3", "5"]
        at_once = whilst.sequence(range, whilst.filter(odd, ordered=False))
        assert testing.run(_all(at_once.stream(6))) == [5, 3, 1]
        assert whilst.sequence(range, whilst.filter(bool))(3) == [1, 2], "blocking ones are called on threads"

    def test_one_that_fails_ends_the_stage_and_names_the_item(self) -> None:
        with pytest.raises(ZeroDivisionError) as caught:
            whilst.sequence(range, whilst.filter(lambda n: 1 / (n - 2)))(4)
        assert "whilst: item of sequence[1].filter was 2" in caught.value.__notes__

    def test_it_takes_the_policies_of_each(self) -> None:
        calls: list[int] = []

        async def flaky(n: int) -> bool:
            calls.append(n)
            if len(calls) == 1:
                raise ConnectionError
            return True

        assert testing.run(whilst.sequence(range, whilst.filter(flaky, retry=2, timeout=5)).aio(1)) == [0]
        assert calls == [0, 0]
        assert str(whilst.filter(flaky, concurrency=3).plan()) == "filter flaky() · 3 at once, async"
        assert repr(whilst.filter(flaky, concurrency=3)) == "filter(flaky, concurrency=3)"


class TestMerge:
    def test_items_come_as_they_are_there_in_either_colour(self) -> None:
        async def main() -> list[str]:
            return await whilst.merge(ticks("a", 3, 2), ticks("b", 2, 3), ["x"])

        assert testing.run(main()) == ["x", "b0", "a0", "b1", "a1", "b2"]
        assert sorted(whilst.merge(ticks("a", 0.01, 2), (n for n in "xy"), whilst.map(str.upper, ["p", "q"]))) == [
            "P",
            "Q",
            "a0",
            "a1",
            "x",
            "y",
        ]

    def test_it_is_a_source_like_another(self) -> None:
        both = whilst.merge(range(3), whilst.sequence(range, whilst.each(abs)).stream(3))
        assert sorted(whilst.map(str, both)) == ["0", "0", "1", "1", "2", "2"]

    def test_a_blocking_stream_holds_up_no_other(self) -> None:
        stuck = threading.Event()

        def blocked() -> Iterator[str]:
            assert stuck.wait(30)
            yield "late"

        got = []
        for item in whilst.merge(blocked(), ["early"]):
            got.append(item)
            stuck.set()
        assert got == ["early", "late"]

    def test_leaving_early_closes_all(self) -> None:
        closed: list[str] = []

        def endless(name: str) -> Iterator[str]:
            try:
                while True:
                    yield name
            finally:
                closed.append(name)

        with whilst.merge(endless("a"), endless("b")) as run:
            assert next(iter(run)) in ("a", "b")
        assert eventually(lambda: len(closed) == 2)

    def test_a_stream_that_fails_raises(self) -> None:
        def broken() -> Iterator[int]:
            yield 1
            raise OSError("gone")

        with pytest.raises(OSError, match="gone"):
            whilst.merge(broken(), itertools.count()).list()

    def test_none_at_all_and_what_is_no_stream(self) -> None:
        assert whilst.merge().list() == []
        with pytest.raises(TypeError, match="the 2nd of 2 is 5"):
            whilst.merge([1], 5)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="the 1st of 1 is 'abc'"):
            whilst.merge("abc")
