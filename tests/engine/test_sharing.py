"""Inputs without a call of their own: those equal to one in flight, and rows that are none."""

from __future__ import annotations

import asyncio
import itertools
import random
import tempfile
import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import Gauge, outcomes_until_error, virtually
from policykit import Server, reset

import whilst
from whilst import testing


class Trouble(Exception):
    """One that cannot be made by calling its class with its `args`."""

    def __init__(self, *, code: int) -> None:
        super().__init__(f"code {code}")
        self.code = code


@virtually
async def test_equal_inputs_in_flight_share_one_call_and_each_gets_its_outcome() -> None:
    gauge = Gauge()
    run = whilst.map(gauge, ["a", "b", "a", "a", "b", "c"], share=True)
    seen = await run.outcomes()
    assert gauge.started == ["a", "b", "c"]
    assert [(o.index, o.input, o.value, o.attempts) for o in seen] == [
        (0, "a", "a", 1),
        (1, "b", "b", 1),
        (2, "a", "a", 0),
        (3, "a", "a", 0),
        (4, "b", "b", 0),
        (5, "c", "c", 1),
    ]
    end = run.summary()
    assert (end.ok, end.shared, end.in_flight) == (6, 3, 0)
    assert "3 shared the call of an equal input" in str(end)


@virtually
async def test_those_that_share_a_call_that_fails_are_no_calls_that_fail_the_same_way() -> None:
    async def refuses(item: str) -> None:
        await asyncio.sleep(1)
        raise TypeError("no such field")

    run = whilst.map(refuses, ["a"] * 100, concurrency=2, share=True)
    seen = await run.outcomes()
    assert [type(o.error) for o in seen] == [TypeError] * 100  # and not `Stopped`: there was one call
    assert run.summary().called == 1


@virtually
async def test_what_comes_when_the_call_has_ended_is_called_again() -> None:
    gauge = Gauge()

    async def later() -> Any:
        yield "a"
        await asyncio.sleep(5)
        yield "a"

    run = whilst.map(gauge, later(), share=True)
    assert await run == ["a", "a"]
    assert (gauge.started, run.summary().shared) == (["a", "a"], 0)


@virtually
async def test_not_asked_for_nothing_is_shared() -> None:
    gauge = Gauge()
    run = whilst.map(gauge, ["a", "a"])
    await run
    assert (len(gauge.started), run.summary().shared) == (2, 0)
    assert len(await whilst.map(gauge, ["a", "a"], share=False)) == 2


def test_values_are_the_same_object() -> None:
    def make(_: str) -> list[int]:
        threading.Event().wait(0.05)
        return []

    one, other = whilst.map(make, ["a", "a"], share=True).list()
    assert one is other


@pytest.mark.parametrize(
    ("one", "other", "equal"),
    [
        ("a", "a", True),
        (1, 1, True),
        (b"a", b"a", True),
        (None, None, True),
        (("a", (1, None)), ("a", (1, None)), True),
        (1, True, False),
        ("1", 1, False),
        ("a", b"a", False),
        ((1,), (True,), False),
        ((1,), 1, False),
    ],
)
def test_equal_means_the_same_type_and_value(one: Any, other: Any, equal: bool) -> None:
    gauge = Gauge()

    async def main() -> int:
        run = whilst.map(gauge, [one, other], share=True)
        await run
        return run.summary().shared

    assert testing.run(main()) == equal


@virtually
async def test_inputs_of_other_types_fail_alone_and_say_what_to_write() -> None:
    gauge = Gauge()
    seen = await whilst.map(gauge, ["a", {"id": 1}, 1.5, ("a", [1])], share=True).outcomes()
    assert [(o.ok, o.attempts) for o in seen] == [(True, 1), (False, 0), (False, 0), (False, 0)]
    assert "is of type dict\n  try: share=lambda item: …" in str(seen[1].error)
    assert gauge.started == ["a"]


@virtually
async def test_a_function_tells_others_by_their_key() -> None:
    calls: list[Any] = []

    async def call(row: dict[str, int]) -> int:
        calls.append(row)
        await asyncio.sleep(1)
        return row["id"]

    rows = [{"id": 1, "at": 0}, {"id": 2, "at": 1}, {"id": 1, "at": 2}]
    run = whilst.map(call, rows, share=lambda row: row["id"])
    assert await run == [1, 2, 1]
    assert calls == rows[:2]
    bad = await whilst.map(call, [*rows, {"at": 3}, {"id": [1]}], share=lambda row: row["id"]).outcomes()
    assert [o.ok for o in bad] == [True, True, True, False, False]
    assert isinstance(bad[3].error, KeyError)
    assert "cannot be a key: it is not hashable" in str(bad[4].error)


def test_what_cannot_tell_is_refused_at_once() -> None:
    async def later(item: Any) -> Any:
        return item

    with pytest.raises(TypeError, match="share must be a plain function"):
        whilst.map(str, ["a"], share=later)
    with pytest.raises(TypeError, match="share must be True or a function"):
        whilst.map(str, ["a"], share="id")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="share is called with one argument"):
        whilst.map(str, ["a"], share=lambda: 1)  # type: ignore[arg-type,misc]


@virtually
async def test_a_failure_reaches_each_with_its_own_notes() -> None:
    for error in (ValueError("no"), Trouble(code=7), OSError(5, "broken", "file")):
        gauge = Gauge(bad={"x": error})
        seen = await whilst.map(gauge, ["x", "a", "x", "x"], share=True).outcomes()
        failed = [o for o in seen if not o.ok]
        assert [o.index for o in failed] == [0, 2, 3]
        assert [type(o.error) for o in failed] == [type(error)] * 3
        assert {str(o.error) for o in failed} == {str(error)}
        notes = []
        for o in failed:
            with pytest.raises(type(error)) as caught:
                o.unwrap()
            notes.append(caught.value.__notes__)
        assert notes == [
            ["whilst: input 0 was 'x', attempt 1"],
            ["whilst: input 2 was 'x', without a call of its own"],
            ["whilst: input 3 was 'x', without a call of its own"],
        ]
        assert failed[2].error is not None
        assert failed[2].error.__traceback__ is not None


@virtually
async def test_one_call_takes_one_permit_and_one_of_the_rate() -> None:
    limit = whilst.Limit(concurrency=2)
    gauge = Gauge()
    run = whilst.map(gauge, ["a"] * 50 + ["b"] * 50 + ["c"] * 50, limit=limit, concurrency=100, share=True)
    await run
    assert (gauge.started, gauge.most) == (["a", "b", "c"], 2)
    loop = asyncio.get_running_loop()
    before = loop.time()
    await whilst.map(Gauge(), ["a"] * 100 + ["b"] * 100, rate="1/s", concurrency=300, share=True)
    assert loop.time() - before == pytest.approx(2, abs=0.01)


@virtually
async def test_attempts_are_those_of_the_call() -> None:
    server = Server({"a": [reset, reset, None], "b": [reset, reset, reset]})
    retry = whilst.Retry(attempts=3, base=0.0, budget=None, breaker=False)
    seen = await whilst.map(server, ["a", "b", "a", "b"], retry=retry, share=True).outcomes()
    assert [(o.ok, o.attempts) for o in seen] == [(True, 3), (False, 3), (True, 0), (False, 0)]


@virtually
async def test_a_timeout_is_everybodys_who_shares() -> None:
    run = whilst.map(Gauge({"slow": 100}), ["slow", "a", "slow"], timeout=5, share=True)
    assert [type(o.error) for o in await run.outcomes()] == [TimeoutError, type(None), TimeoutError]


@virtually
async def test_a_deadline_ends_those_who_wait_too() -> None:
    run = whilst.map(Gauge({"slow": 100}), ["slow", "a", "slow"], deadline=5, share=True)
    seen, raised = await outcomes_until_error(run)
    assert isinstance(raised, whilst.DeadlineExceeded)
    assert seen == [whilst.DeadlineExceeded, "a", whilst.DeadlineExceeded]
    assert run.summary().in_flight == 0


@virtually
async def test_values_end_at_the_first_failure() -> None:
    for ordered in (True, False):
        run = whilst.map(Gauge(bad={"x": ValueError("x")}), ["a", "x", "a", "x", "x", "b"], ordered=ordered, share=True)
        with pytest.raises(ValueError, match="x"):
            await run
        assert run.summary().done


@virtually
async def test_each_that_shares_a_failure_counts_for_stop_after() -> None:
    run = whilst.map(
        Gauge(bad={"x": ValueError("x")}),
        itertools.chain(["x"] * 5, "abcdefghij"),
        stop_after=3,
        concurrency=10,
        share=True,
    )
    with pytest.raises(whilst.Stopped):
        await run.outcomes()
    assert run.summary().failed >= 3


@virtually
async def test_drained_those_who_share_what_is_in_flight_get_it() -> None:
    gauge = Gauge()
    run = whilst.map(gauge, ["a", "b", "a", "b", *range(1000)], concurrency=4, share=True)
    seen = []
    async for outcome in run.outcomes():
        seen.append(outcome.input)
        run.drain()
    assert seen[:4] == ["a", "b", "a", "b"]
    assert len(seen) < 20


@virtually
async def test_a_cancelled_run_ends_whatever_waits() -> None:
    run = whilst.map(Gauge({"a": 100}), ["a"] * 10, share=True)
    task = asyncio.ensure_future(_all(run))
    await asyncio.sleep(1)
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        await task


async def _all(run: Any) -> list[Any]:
    return [value async for value in run]


def test_a_flow_is_shared_as_a_whole() -> None:
    calls: list[str] = []

    async def first(x: str) -> str:
        calls.append(f"first {x}")
        await asyncio.sleep(1)
        return x

    async def second(x: str) -> str:
        calls.append(f"second {x}")
        return x * 2

    async def main() -> list[str]:
        return await whilst.map(whilst.sequence(first, second), ["a", "b", "a"], share=True)

    assert testing.run(main()) == ["aa", "bb", "aa"]
    assert sorted(calls) == ["first a", "first b", "second a", "second b"]


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_each_that_shares_is_kept_and_recalled_as_its_own(tmp_path: Path, commit: Any) -> None:
    calls: list[str] = []

    async def call(x: str) -> str:
        calls.append(x)
        await asyncio.sleep(0.01)
        if x == "bad":
            raise ValueError(x)
        return x.upper()

    inputs = ["a", "b", "a", "bad", "a", "bad"]
    for again in (False, True):
        calls.clear()
        run = whilst.map(call, inputs, journal=whilst.Journal(tmp_path / "run.db", commit=commit), share=True)
        seen = run.outcomes().list()
        assert [o.value for o in seen] == ["A", "B", "A", None, "A", None]
        assert sorted(calls) == (["bad"] if again else ["a", "b", "bad"])
        assert run.summary().recalled == (4 if again else 0)
        assert run.summary().shared == (1 if again else 3)


def test_blocking_calls_share_from_plain_code() -> None:
    guard, calls = threading.Lock(), Counter[str]()

    def call(x: str) -> str:
        with guard:
            calls[x] += 1
        threading.Event().wait(0.02)
        return x

    run = whilst.map(call, ["a", "b"] * 100, concurrency=8, ordered=False, share=True)
    assert Counter(run.list()) == {"a": 100, "b": 100}
    assert sum(calls.values()) + run.summary().shared == 200
    assert sum(calls.values()) < 50


MOVES = st.fixed_dictionaries(
    {
        "inputs": st.lists(st.sampled_from(["a", "b", "c", "bad", "slow", 1, None]), max_size=40),
        "concurrency": st.integers(1, 5),
        "ordered": st.booleans(),
        "retry": st.sampled_from([None, 2]),
        "limit": st.booleans(),
        "outcomes": st.booleans(),
        "stop": st.sampled_from(["", "cancel", "drain", "leave"]),
        "at": st.floats(0, 6),
    }
)


@settings(max_examples=150, deadline=None)
@given(MOVES)
def test_whatever_happens_the_run_ends_and_each_input_has_one_outcome_at_most(moves: dict[str, Any]) -> None:
    gauge = Gauge({"slow": 3}, {"bad": ConnectionError("bad")})

    async def main() -> None:
        run = whilst.map(
            gauge,
            moves["inputs"],
            concurrency=moves["concurrency"],
            ordered=moves["ordered"],
            retry=moves["retry"],
            limit=whilst.Limit(concurrency=2) if moves["limit"] else None,
            share=True,
        )
        seen: list[Any] = []
        if moves["stop"] in ("cancel", "drain"):
            asyncio.get_running_loop().call_later(moves["at"], getattr(run, moves["stop"]))
        ended = "left"
        try:
            async with run:
                async for given in run.outcomes() if moves["outcomes"] else run:
                    seen.append(given)
                    if moves["stop"] == "leave" and len(seen) > moves["at"]:
                        break
                else:
                    ended = "whole"
        except (ConnectionError, whilst.RunCancelled):
            ended = "raised"
        now = run.summary()
        assert now.done
        assert now.in_flight == now.waiting == 0
        if ended == "whole" and not moves["stop"]:
            assert len(seen) == len(moves["inputs"])
            assert now.ok + now.failed == len(moves["inputs"])
        if moves["outcomes"]:
            indexes = [o.index for o in seen]
            assert len(set(indexes)) == len(indexes)
            assert all(o.input == moves["inputs"][o.index] for o in seen)
            if moves["ordered"] and moves["stop"] != "cancel":
                assert indexes == sorted(indexes)
            assert all((o.attempts == 0) <= (moves["inputs"].count(o.input) > 1) for o in seen)

    testing.run(main())


class TestRows:
    def test_a_row_that_is_none_is_a_failed_outcome_without_a_call(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('"a"\n{bad\n"b"\n')
        called: list[Any] = []

        def call(item: str) -> str:
            called.append(item)
            return item.upper()

        for more in (
            {},
            {"limit": whilst.Limit(concurrency=1, by=lambda item: item[0])},
            {"journal": tmp_path / "run.db"},
            {"retry": 3},
        ):
            called.clear()
            run = whilst.map(call, whilst.rows(path), concurrency=1, **more)  # type: ignore[call-overload]
            seen = run.outcomes().list()
            assert [(o.ok, o.attempts) for o in seen] == [(True, 1), (False, 0), (True, 1)]
            assert isinstance(seen[1].error, whilst.RowRejected)
            assert (seen[1].error.line, seen[1].error.excerpt) == (2, "{bad")
            assert dict(run.summary().failures) == {"RowRejected": 1}
            assert called == ["a", "b"]

    def test_values_end_there_and_name_the_row(self, tmp_path: Path) -> None:
        path = tmp_path / "rows.jsonl"
        path.write_text('"a"\n{bad\n"b"\n')
        with pytest.raises(whilst.RowRejected, match="row 2 of"):
            whilst.map(str.upper, whilst.rows(path)).list()
        with pytest.raises(whilst.RowRejected, match="row 2 of"):
            whilst.each(str.upper)(whilst.rows(path))

    def test_in_async_code_and_with_share(self) -> None:
        random.seed(1)
        path = Path(tempfile.mkdtemp(), "rows.txt")
        path.write_text("\n".join(random.choice("abc") for _ in range(500)))

        async def call(item: str) -> str:
            await asyncio.sleep(0.001)
            return item.upper()

        async def main() -> Any:
            run = whilst.map(call, whilst.rows(path), share=True)
            return await run, run.summary()

        values, summary = asyncio.run(main())
        assert values == path.read_text().upper().split()
        assert summary.shared > 100
