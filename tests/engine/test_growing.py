"""Inputs that are added while a run goes on: by its consumer, by its calls, and again when a journal recalls them."""

from __future__ import annotations

import asyncio
import gc
import itertools
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import virtually

import whilst
from whilst import testing
from whilst.journal import read_status

LINKS = {"a": ["b", "c"], "b": ["c", "d"], "c": ["a", "e"], "d": [], "e": ["a"]}


def crawl(page: str) -> list[str]:
    return LINKS[page]


async def acrawl(page: str) -> list[str]:
    await asyncio.sleep(1)
    return LINKS[page]


async def follow(page: str) -> str:
    """Add what a page leads to."""
    call = whilst.current_call()
    assert call is not None
    await asyncio.sleep(1)
    for link in LINKS[page]:
        call.add(link, key=link)
    return page


class TestFromTheConsumer:
    def test_a_run_goes_on_as_long_as_its_consumer_adds(self) -> None:
        run, seen = whilst.map(crawl, []), []
        assert run.add("a", key="a") is True
        for outcome in run.outcomes():
            seen.append(outcome.input)
            for link in outcome.value:
                run.add(link, key=link)
        assert sorted(seen) == sorted(LINKS)
        assert run.summary().done

    @virtually
    async def test_in_async_code_too(self) -> None:
        run, seen = whilst.map(acrawl, ["a"]), []
        async for links in run:
            seen.append(links)
            for link in links:
                run.add(link, key=link)
        assert len(seen) == 6, "a came by itself and once by its key"
        assert run.summary().total == 6

    @pytest.mark.parametrize("ordered", [True, False])
    def test_the_last_outcome_counts_until_the_next_is_asked_for(self, ordered: bool) -> None:
        run = whilst.map(abs, [-1], ordered=ordered)
        given = iter(run)
        assert next(given) == 1
        assert not run.summary().done
        threading.Event().wait(0.1)
        assert run.add(-2)
        assert next(given) == 2
        assert next(given, None) is None
        with pytest.raises(
            RuntimeError, match=r"this run of abs has ended.*\n  try: add before you ask for the next outcome"
        ):
            run.add(-3)

    def test_any_thread_may_add_while_it_goes_on(self) -> None:
        gate = threading.Event()

        def wait(n: int) -> int:
            if n == 0:
                assert gate.wait(30)
            return n

        run = whilst.map(wait, [0], concurrency=4)

        def add() -> None:
            for n in range(1, 501):
                assert run.add(n)
            gate.set()

        thread = threading.Thread(target=add)
        thread.start()
        assert sorted(run) == [*range(501)]
        thread.join()

    def test_what_was_closed_or_taken_whole_takes_no_more(self) -> None:
        run = whilst.map(abs, [1])
        assert run.list() == [1]
        with pytest.raises(RuntimeError, match="has ended"):
            run.add(2)
        with whilst.map(abs, [1]) as run:
            pass
        with pytest.raises(RuntimeError, match="has ended"):
            run.add(2)

    def test_whoever_is_told_to_end_starts_nothing_new_and_raises_nothing(self) -> None:
        run, seen = whilst.map(abs, [1]), []
        for n in run:
            seen.append(n)
            run.drain()
            assert run.add(n + 1) is False
        assert seen == [1]
        run = whilst.map(abs, itertools.count(1), concurrency=2)
        for n in run:
            if n == 5:
                run.drain()
                threading.Event().wait(0.05)
                assert run.add(0) is False

    def test_it_is_cancelled_like_any_other(self) -> None:
        async def call(n: int) -> int:
            if n == 50:
                await asyncio.sleep(3600)
            return n

        run = whilst.map(call, [1])
        given = iter(run)
        for n in range(1, 50):
            assert next(given) == n
            run.add(n + 1)
        run.cancel()
        with pytest.raises(whilst.RunCancelled):
            [*given]

    def test_added_before_the_start(self) -> None:
        run = whilst.map(abs, [-1, -2])
        assert [run.add(-3, key="x"), run.add(-4, key="x"), run.add(-5)] == [True, False, True]
        assert sorted(run.list()) == [1, 2, 3, 5]

    @pytest.mark.parametrize("word", ["drain", "cancel"])
    def test_nothing_is_added_to_a_run_that_starts_nothing(self, word: str) -> None:
        run = whilst.map(abs, [-1, -2])
        assert run.add(-3)
        getattr(run, word)()
        assert not run.add(-4)

    @pytest.mark.parametrize("kind", ["list", "generator", "async"])
    def test_what_is_added_goes_before_what_the_source_has_not_given(self, kind: str) -> None:
        async def later() -> AsyncIterator[int]:
            for n in range(1000, 3000):
                yield n

        source: Any = {"list": [*range(1000, 3000)], "generator": (n for n in range(1000, 3000)), "async": later()}[
            kind
        ]
        run, seen = whilst.map(abs, source, concurrency=2), []
        for n in run:
            seen.append(n)
            if n == 1000:
                for extra in range(10):
                    run.add(extra)
        assert sorted(seen) == [*range(10), *range(1000, 3000)]
        assert seen.index(9) < 1500

    def test_a_source_that_fails_raises_when_what_was_added_is_through(self) -> None:
        def broken() -> Iterator[int]:
            yield 1
            raise OSError("the source broke")

        run = whilst.map(abs, broken())
        given = iter(run)
        assert next(given) == 1
        run.add(2)
        assert next(given) == 2
        with pytest.raises(OSError, match="the source broke"):
            next(given)

    def test_a_stream_and_a_bad_key_are_refused(self) -> None:
        with pytest.raises(TypeError, match="its items come from the stages"):
            whilst.each(abs).stream([1]).add(2)
        with pytest.raises(TypeError, match="not hashable\n  try: a string"):
            whilst.map(abs, [1]).add(2, key=[2])  # type: ignore[arg-type]

    def test_keys_of_different_types_are_different(self) -> None:
        run = whilst.map(str, [])
        long = "x" * 100
        keys: list[Any] = [1, "1", b"1", True, 1.0, (1,), long, long.encode(), long + "y"]
        assert [run.add(n, key=key) for n, key in enumerate(keys)] == [True] * len(keys)
        assert [run.add(n, key=key) for n, key in enumerate(keys)] == [False] * len(keys)

    @virtually
    async def test_a_deadline_that_passes_in_the_consumers_hands_holds_for_what_it_adds(self) -> None:
        run = whilst.map(acrawl, ["d"], deadline=5)
        async for _ in run:
            await asyncio.sleep(10)
        assert run.summary().done, "nothing was added, and nothing was late"
        run = whilst.map(acrawl, ["d"], deadline=5)
        given = aiter(run)
        await anext(given)
        await asyncio.sleep(10)
        run.add("d")
        with pytest.raises(whilst.DeadlineExceeded):
            await anext(given)

    def test_shares_of_failures_are_of_what_has_finished(self) -> None:
        run = whilst.map(int, [], stop_after="5%")
        run.add("x")
        given = run.outcomes()
        count = 0
        for outcome in given:
            count += 1
            if outcome.input == "x":
                for n in range(150):
                    run.add(str(n))
        assert count == 151, "one of 151 failed, and one of one is no share"

    def test_the_frontier_costs_at_most_200_bytes_an_input_key_included(self) -> None:
        count = 50_000
        urls = [f"https://example.com/a/rather/long/path/to/item/{n}?page=1&size=50" for n in range(count)]
        run = whilst.map(len, [])
        gc.collect()
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            for url in urls:
                run.add(url, key=url)
            took = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert took / count <= 200


class TestFromACall:
    @virtually
    async def test_what_a_call_adds_is_called(self) -> None:
        run = whilst.map(follow, ["a"])
        assert sorted(set(await run)) == sorted(LINKS)
        assert run.summary().ok == run.summary().total

    def test_from_a_thread(self) -> None:
        def halves(n: int) -> int:
            call = whilst.current_call()
            assert call is not None
            if n > 1:
                call.add(n // 2)
                call.add(n - n // 2)
            return n

        for concurrency in (1, 8):
            values = whilst.map(halves, [64], concurrency=concurrency).list()
            assert values.count(1) == 64
            assert len(values) == 127

    @virtually
    async def test_a_failed_attempt_adds_nothing_and_the_next_adds_it_again(self) -> None:
        tries: dict[str, int] = {}

        async def flaky(page: str) -> str:
            call = whilst.current_call()
            assert call is not None
            tries[page] = tries.get(page, 0) + 1
            for link in LINKS[page] if page in "ab" else ():
                call.add(link)
            if tries[page] == 1 and page == "a":
                raise ConnectionError
            if page == "c":
                raise ValueError("no")
            return page

        retry = whilst.Retry(attempts=3, base=0.0, budget=None)
        seen = await whilst.map(flaky, ["a"], retry=retry).outcomes()
        assert sorted(o.input for o in seen) == ["a", "b", "c", "c", "d"]

    @virtually
    async def test_with_limits_share_and_another_order(self) -> None:
        for more in (
            {"limit": whilst.Limit(concurrency=2)},
            {"rate": "10/s"},
            {"ordered": False},
            {"share": True},
            {"retry": 2},
            {"concurrency": 1},
        ):
            values = await whilst.map(follow, ["a"], **more)  # type: ignore[arg-type]
            assert sorted(set(values)) == sorted(LINKS)

    @virtually
    async def test_from_a_step_of_a_flow_and_from_a_stage_in_it(self) -> None:
        async def one_more(n: int) -> int:
            call = whilst.current_call()
            assert call is not None
            if n < 3:
                call.add(n + 1)
            return n

        assert await whilst.map(whilst.sequence(one_more, whilst.together(str, one_more)), [2]) == [
            ("2", 2),
            ("3", 3),
            ("3", 3),
        ]
        inside = whilst.sequence(lambda n: [n], whilst.each(one_more))
        assert await whilst.map(inside, [0]) == [[0], [1], [2], [3]]

    @virtually
    @pytest.mark.parametrize("colour", ["async", "blocking"])
    @pytest.mark.parametrize(
        "where", ["a sequence", "branches", "a stage", "a fallback", "with a limit", "hedged", "a part"]
    )
    async def test_what_a_failed_attempt_of_a_step_has_added_comes_once(self, where: str, colour: str) -> None:
        """Its next attempt adds it again; and nothing of it comes where that adds something else."""
        tries = dict[int, int]()

        def flaky(n: int) -> int:
            call = whilst.current_call()
            assert call is not None
            tries[n] = tries.get(n, 0) + 1
            if n < 30:
                call.add(n + 10)
                if tries[n] < 3:
                    call.add(1000 + n)
                    raise ConnectionError("lost")
            return n

        async def aflaky(n: int) -> int:
            return flaky(n)

        def adding(n: int) -> int:
            """Add something in an attempt of the part that fails behind it."""
            call = whilst.current_call()
            assert call is not None
            if n < 30 and tries.get(n, 0) < 2:
                call.add(2000 + n)
            return n

        fn: Any = aflaky if colour == "async" else flaky
        more: dict[str, Any] = {"with a limit": {"limit": whilst.Limit(concurrency=2)}, "hedged": {"hedge": True}}
        again = whilst.step(fn, retry=whilst.Retry(4, base=0.0, budget=None), **more.get(where, {}))
        flow: Any = {
            "a sequence": whilst.sequence(abs, again),
            "branches": whilst.together(again, abs),
            "a stage": whilst.sequence(lambda n: [n], whilst.each(again)),
            "a fallback": whilst.fallback(fn, fn, fn),
            "a part": whilst.step(whilst.sequence(adding, fn), retry=whilst.Retry(4, base=0.0, budget=None)),
        }.get(where, whilst.sequence(again, abs))
        seen = await whilst.map(flow, [1, 2]).outcomes()
        assert sorted(o.input for o in seen) == [1, 2, 11, 12, 21, 22, 31, 32]

    def test_a_flow_over_one_value_has_no_run_that_takes_inputs(self) -> None:
        def call(n: int) -> int:
            current = whilst.current_call()
            assert current is not None
            current.add(n + 1)
            return n

        async def aio() -> None:
            await whilst.sequence(call, str).aio(1)

        with pytest.raises(RuntimeError, match=r"no run here takes inputs.*\n  try: whilst.map\(flow, \[value\]\)"):
            asyncio.run(aio())
        with pytest.raises(RuntimeError, match="no run here takes inputs"):
            whilst.each(call).stream([1]).list()

    def test_a_call_left_behind_adds_to_nothing(self) -> None:
        left: list[Any] = []

        async def call(n: int) -> int:
            left.append(whilst.current_call())
            return n

        whilst.map(call, [1]).list()
        with pytest.raises(RuntimeError, match="has ended"):
            left[0].add(2)

    @virtually
    async def test_a_failure_ends_values_as_ever(self) -> None:
        async def grows(n: int) -> int:
            call = whilst.current_call()
            assert call is not None
            call.add(n + 1)
            if n == 5:
                raise ValueError("five")
            return n

        run = whilst.map(grows, [0])
        with pytest.raises(ValueError, match="five"):
            await run
        assert run.summary().ok == 5


class TestKept:
    @pytest.mark.parametrize("commit", ["buffered", "strict"])
    def test_what_a_call_added_is_added_again_when_it_is_recalled(self, tmp_path: Path, commit: Any) -> None:
        calls: list[str] = []

        def page(name: str) -> str:
            calls.append(name)
            call = whilst.current_call()
            assert call is not None
            for link in LINKS[name]:
                call.add(link, key=link)
            return name.upper()

        for again in (False, True):
            calls.clear()
            run = whilst.map(page, ["d", "a"], journal=whilst.Journal(tmp_path / "run.db", commit=commit))
            assert sorted(run.list()) == ["A", "A", "B", "C", "D", "D", "E"]
            assert run.summary().recalled == (7 if again else 0)
            assert len(calls) == (0 if again else 7)

    def test_values_of_any_kind_come_back_as_what_they_were(self, tmp_path: Path) -> None:
        from dataclasses import dataclass

        @dataclass
        class Point:
            x: int

        def point(n: int) -> Point:
            call = whilst.current_call()
            assert call is not None
            if n < 3:
                call.add(n + 1, key=("p", n + 1))
            return Point(n)

        for _ in range(2):
            run = whilst.map(point, [0], journal=whilst.Journal(tmp_path / "run.db", codec=Point))
            assert run.list() == [Point(0), Point(1), Point(2), Point(3)]
        assert run.summary().recalled == 4

    def test_an_input_that_cannot_be_kept_says_so(self, tmp_path: Path) -> None:
        def bad(n: Any) -> int:
            call = whilst.current_call()
            assert call is not None
            call.add(object())
            return 1

        with pytest.raises(whilst.Unstorable, match="added an input that the journal cannot store"):
            whilst.map(bad, [1], journal=tmp_path / "run.db").list()

    def test_what_the_consumer_adds_it_adds_again(self, tmp_path: Path) -> None:
        for again in (False, True):
            run = whilst.map(crawl, [], journal=tmp_path / "run.db")
            run.add("a", key="a")
            count = 0
            for links in run:
                count += 1
                for link in links:
                    run.add(link, key=link)
            assert count == 5
            assert run.summary().recalled == (5 if again else 0)

    def test_a_killed_run_goes_on_with_what_its_calls_had_added(self, tmp_path: Path) -> None:
        program = textwrap.dedent(
            """
            import os, sys, whilst
            calls = []
            def count_up(n):
                calls.append(n)
                if n < 300:
                    whilst.current_call().add(n + 1)
                return n
            run = whilst.map(count_up, [0], journal=whilst.Journal("run.db", commit="strict"))
            for n in run:
                if n == int(sys.argv[1]):
                    os._exit(9)
            print(len(calls), run.summary().ok, run.summary().recalled)
            """
        )
        (tmp_path / "program.py").write_text(program)
        command = [sys.executable, "program.py"]
        killed = subprocess.run([*command, "150"], cwd=tmp_path, check=False, timeout=100)
        assert killed.returncode == 9
        done = subprocess.run([*command, "-1"], cwd=tmp_path, check=True, capture_output=True, text=True, timeout=100)
        called, ok, recalled = map(int, done.stdout.split())
        assert ok == 301
        assert recalled >= 151
        assert called + recalled == 301

    def test_an_export_has_the_value_alone(self, tmp_path: Path) -> None:
        def page(name: str) -> str:
            call = whilst.current_call()
            assert call is not None
            for link in LINKS[name]:
                call.add(link, key=link)
            return name.upper()

        whilst.map(page, ["a"], journal=tmp_path / "run.db").list()
        command = [sys.executable, "-m", "whilst", "export", str(tmp_path / "run.db"), "--values"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=True)
        assert sorted(set(done.stdout.split())) == ['"A"', '"B"', '"C"', '"D"', '"E"']


MOVES = st.fixed_dictionaries(
    {
        "seeds": st.lists(st.integers(0, 6), max_size=4),
        "concurrency": st.integers(1, 4),
        "ordered": st.booleans(),
        "outcomes": st.booleans(),
        "limit": st.booleans(),
        "share": st.booleans(),
        "by_call": st.booleans(),
        "stop": st.sampled_from(["", "", "cancel", "drain", "leave"]),
        "at": st.floats(0, 6),
    }
)


@settings(max_examples=150, deadline=None)
@given(MOVES)
def test_whatever_happens_every_input_that_was_added_has_its_outcome_and_the_run_ends(moves: dict[str, Any]) -> None:
    """Each input of n adds n-1 and n-2, so the whole is known."""

    def size(n: int) -> int:
        return 1 + size(n - 1) + size(n - 2) if n > 1 else 1 + (size(n - 1) if n == 1 else 0)

    def below(n: int) -> list[int]:
        return [m for m in (n - 1, n - 2) if m >= 0]

    async def call(n: int) -> int:
        await asyncio.sleep(1)
        if moves["by_call"]:
            current = whilst.current_call()
            assert current is not None
            for m in below(n):
                current.add(m)
        return n

    async def main() -> None:
        limit = whilst.Limit(concurrency=2) if moves["limit"] else None
        run = whilst.map(
            call,
            moves["seeds"],
            concurrency=moves["concurrency"],
            ordered=moves["ordered"],
            limit=limit,
            share=moves["share"],
        )
        if moves["stop"] in ("cancel", "drain"):
            asyncio.get_running_loop().call_later(moves["at"], getattr(run, moves["stop"]))
        seen: list[int] = []
        try:
            async with run:
                async for given in run.outcomes() if moves["outcomes"] else run:
                    n = given.value if moves["outcomes"] else given
                    seen.append(n)
                    if moves["stop"] == "leave" and len(seen) > moves["at"]:
                        break
                    if not moves["by_call"]:
                        for m in below(n):
                            run.add(m)
        except whilst.RunCancelled:
            assert moves["stop"] == "cancel"
        assert run.summary().done
        assert run.summary().in_flight == 0
        if not moves["stop"] and not (moves["share"] and moves["by_call"]):
            assert len(seen) == sum(map(size, moves["seeds"]))

    testing.run(main())


@pytest.mark.parametrize("inputs", [["a"], iter(["a"])], ids=["known", "unknown"])
def test_the_status_of_a_journal_knows_how_many_inputs_there_are_by_now(tmp_path: Path, inputs: Any) -> None:
    path = tmp_path / "run.db"
    run = whilst.map(follow, inputs, journal=path)
    run.add("e")
    count = len(run.list())
    status = read_status(path)
    assert (status.done, status.total) == (count, count)
