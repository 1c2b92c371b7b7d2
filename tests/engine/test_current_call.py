"""`whilst.current_call()`: what the code inside a call is told of it."""

from __future__ import annotations

import asyncio
import contextvars
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

import whilst
from whilst import current_call, testing
from whilst.engine.leaf import Leaf
from whilst.lanes.calling import Names, wanted


def told() -> tuple[int, str, int] | None:
    call = current_call()
    return None if call is None else (call.index, call.path, call.attempt)


def key() -> str:
    call = current_call()
    assert call is not None
    return call.key


def test_outside_of_all_calls_there_is_none() -> None:
    assert told() is None

    async def main() -> None:
        assert told() is None
        assert await whilst.unblock(told)() is None

    asyncio.run(main())


def test_blocking_and_async_calls_know_their_index() -> None:
    async def fetch(x: str) -> Any:
        before = told()
        await asyncio.sleep(0)
        assert told() == before
        return before

    wanted = [(n, "", 1) for n in range(3)]
    assert whilst.map(lambda x: told(), ["a", "b", "c"], concurrency=1).list() == wanted
    assert whilst.map(fetch, ["a", "b", "c"], concurrency=1).list() == wanted
    assert whilst.map(fetch, ["a", "b", "c"], concurrency=3).list() == wanted
    assert whilst.map(fetch, ["a", "b", "c"], concurrency=2, limit=whilst.Limit(concurrency=2)).list() == wanted


def test_an_awaitable_that_a_plain_function_returns_knows_it() -> None:
    async def inner(x: int) -> Any:
        await asyncio.sleep(0)
        return told()

    assert whilst.map(lambda x: inner(x), range(2)).list() == [(0, "", 1), (1, "", 1)]


def test_attempts_are_counted_and_the_key_stays() -> None:
    seen: list[tuple[Any, str]] = []

    def fail_twice(x: int) -> None:
        seen.append((told(), key()))
        if len(seen) < 3:
            raise ConnectionError

    retry = whilst.Retry(attempts=5, base=0.001)
    whilst.map(fail_twice, ["x"], retry=retry).list()
    assert [call for call, _ in seen] == [(0, "", 1), (0, "", 2), (0, "", 3)]
    assert len({key for _, key in seen}) == 1
    seen.clear()
    whilst.map(whilst.step(fail_twice, retry=retry), ["x"]).list()
    assert [call for call, _ in seen] == [(0, "step", 1), (0, "step", 2), (0, "step", 3)]
    assert len({key for _, key in seen}) == 1


def test_started_counts_from_the_start_of_the_run() -> None:
    async def main() -> list[float]:
        async def nap(x: int) -> float:
            call = current_call()
            assert call is not None
            await asyncio.sleep(2)
            return call.started

        await asyncio.sleep(5)
        return [*await whilst.map(nap, range(2), concurrency=1), *await whilst.map(whilst.step(nap), [1])]

    assert testing.run(main()) == [0.0, 2.0, 0.0]


def test_the_steps_of_a_flow_know_their_path() -> None:
    async def one(x: Any) -> Any:
        return [told()]

    def two(x: Any) -> Any:
        return [*x, told()]

    flow = whilst.sequence(one, two, two, whilst.together(a=one, b=whilst.step(two, limit=whilst.Limit(rate="100/s"))))
    (found,) = whilst.map(flow, ["x"]).list()
    before = [(0, f"sequence[{place}]", 1) for place in range(3)]
    wanted = {
        "a": [(0, "sequence[3].together.a", 1)],
        "b": [*before, (0, "sequence[3].together.b", 1)],
    }
    assert found == wanted
    assert flow("x") == wanted
    assert asyncio.run(flow.aio("x")) == wanted


def test_inside_each_the_index_is_that_of_the_item_and_keys_differ() -> None:
    def look(item: int) -> tuple[Any, str]:
        return told(), key()

    flow = whilst.sequence(range, whilst.each(look, concurrency=2))
    first, second = whilst.map(flow, [3, 2]).list()
    assert [call for call, _ in first] == [(n, "sequence[1].each", 1) for n in range(3)]
    assert [call for call, _ in second] == [(n, "sequence[1].each", 1) for n in range(2)]
    assert len({key for _, key in [*first, *second]}) == 5


def test_inside_batched_the_index_is_that_of_the_batch() -> None:
    flow = whilst.sequence(range, whilst.batched(2), whilst.each(lambda batch: (batch, told())))
    assert flow(3) == [([0, 1], (0, "sequence[2].each", 1)), ([2], (1, "sequence[2].each", 1))]


def test_both_calls_of_a_hedged_attempt_say_the_same() -> None:
    async def main() -> list[Any]:
        seen = []
        slow = [False]

        async def fetch(x: int) -> None:
            call = current_call()
            assert call is not None
            seen.append((call.index, call.attempt, call.key))
            await asyncio.sleep(10 if x == 60 and not slow[0] else 0.1)
            slow[0] = slow[0] or x == 60

        await whilst.map(whilst.step(fetch, hedge=True), range(61), concurrency=1)
        return seen

    *_, first, second = testing.run(main())
    assert first == second
    assert first[0] == 60


def test_the_innermost_call_is_told() -> None:
    async def inner(x: int) -> Any:
        return told()

    def outer(x: int) -> Any:
        return told(), whilst.map(inner, [*"abc"]).list()[2], whilst.map(lambda y: told(), [*"ab"]).list()[1], told()

    async def aouter(x: int) -> Any:
        return told(), (await whilst.map(inner, [*"abc"]))[2], (await whilst.map(lambda y: told(), [*"ab"]))[1], told()

    for fn in (outer, aouter):
        assert whilst.map(fn, [1]).list() == [((0, "", 1), (2, "", 1), (1, "", 1), (0, "", 1))]
        flow = whilst.sequence(fn)
        at = (0, "sequence[0]", 1)
        assert whilst.map(flow, [1]).list() == [(at, (2, "", 1), (1, "", 1), at)]


@pytest.mark.parametrize("form", ["async", "thread", "step", "step on a thread"])
def test_what_a_call_leaves_running_never_sees_another_inputs_call(form: str) -> None:
    """It goes on to see its own."""

    async def main() -> list[Any]:
        left: list[Any] = []
        go = asyncio.Event()
        goes = threading.Event()

        async def later() -> Any:
            await go.wait()
            return told(), key()

        def later_on_thread() -> Any:
            goes.wait(10)
            return told(), key()

        async def call(x: int) -> None:
            left.append((x, asyncio.create_task(later()), key()))
            await asyncio.sleep(0)

        pool = ThreadPoolExecutor(8)

        def block(x: int) -> None:

            left.append(
                (x, asyncio.wrap_future(pool.submit(contextvars.copy_context().run, later_on_thread), loop=loop), key())
            )

        loop = asyncio.get_running_loop()
        fn: Any = call if form in ("async", "step") else block
        subject = whilst.step(fn) if form.startswith("step") else fn
        await whilst.map(subject, range(5), concurrency=1)
        go.set()
        goes.set()
        path = "step" if form.startswith("step") else ""
        for x, future, was in left:
            assert await future == ((x, path, 1), was)
        pool.shutdown()
        return left

    assert len(asyncio.run(main())) == 5


@pytest.mark.parametrize("retry", [None, 2])
@pytest.mark.parametrize("form", ["async", "waiting", "thread", "step"])
def test_a_call_that_somebody_keeps_goes_on_to_say_the_same(form: str, retry: int | None) -> None:
    """One that nobody keeps becomes that of the lane's next input."""
    kept: list[tuple[int, int, Any]] = []
    failed: set[int] = set()

    def look(x: int) -> int:
        call = current_call()
        assert call is not None
        if x % 3 == 0:
            kept.append((x, call.attempt, call))
        if retry and x % 5 == 0 and x not in failed:
            failed.add(x)
            raise ConnectionResetError
        return call.index

    async def quick(x: int) -> int:
        return look(x)

    async def waiting(x: int) -> int:
        call = current_call()
        before = None if call is None else (call.index, call.attempt)
        await asyncio.sleep(0)
        after = current_call()
        assert before == (None if after is None else (after.index, after.attempt))
        return look(x)

    subject: Any = {"async": quick, "waiting": waiting, "thread": look, "step": whilst.step(quick)}[form]
    patience = None if retry is None else whilst.Retry(retry, base=0.0, budget=None)
    assert whilst.map(subject, range(60), concurrency=4, retry=patience).list() == [*range(60)]
    assert [(call.index, call.attempt) for *_, call in kept] == [(x, attempt) for x, attempt, _ in kept]
    assert {x for x, *_ in kept} == {*range(0, 60, 3)}
    assert len({call.key for *_, call in kept}) == 20


def test_what_nobody_keeps_is_not_made_anew_for_each_call(monkeypatch: pytest.MonkeyPatch) -> None:
    renewed: list[object] = []
    renew = Names.renew

    def counting(names: Names, context: contextvars.Context) -> contextvars.Context:
        renewed.append(names)
        return renew(names, context)

    async def ask(x: int) -> bool:
        return told() == (x, "", 1)

    monkeypatch.setattr(Names, "renew", counting)
    assert all(whilst.map(ask, range(1000), concurrency=2).list())
    assert len(renewed) < 10


def keys_of_names(name: str) -> str:
    if name == "bad":
        raise ValueError(key())
    return key()


def test_with_a_journal_the_key_is_of_what_the_input_is(tmp_path: Path) -> None:
    def once(names: list[str], journal: Any) -> dict[tuple[str, int], str]:
        given = whilst.map(keys_of_names, names, journal=journal, concurrency=1).outcomes().list()
        keys: dict[tuple[str, int], str] = {}
        for outcome in given:
            if not outcome.recalled:
                occurrence = names[: outcome.index].count(outcome.input)
                keys[outcome.input, occurrence] = str(outcome.error or outcome.value)
        return keys

    path = tmp_path / "run.db"
    first = once(["a", "bad", "bad", "c"], path)
    again = once(["c", "x", "bad", "bad", "a"], whilst.Journal(path, retry_failed=True))
    assert again.keys() == {("x", 0), ("bad", 0), ("bad", 1)}
    assert first["bad", 0] == again["bad", 0]
    assert first["bad", 1] == again["bad", 1]
    assert len({*first.values(), again["x", 0]}) == 5
    other = once(["a", "bad", "bad", "c"], tmp_path / "other.db")
    assert not set(other.values()) & set(first.values())


def test_without_a_journal_each_run_has_keys_of_its_own() -> None:
    def keys() -> list[str]:
        return whilst.map(lambda x: key(), ["a", "a"]).list()

    first, second = keys(), keys()
    assert len({*first, *second}) == 4
    assert all(len(one) == 32 and int(one, 16) >= 0 for one in first)


FIRST_TIME = """
import asyncio
import whilst

async def awaits(x):
    await asyncio.sleep(0)
    call = whilst.current_call()
    return call.index, call.path, call.attempt

def blocks(x):
    call = whilst.current_call()
    return call.index, call.path, call.attempt

def quick(x):
    return x

print({expression})
"""


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("whilst.map(awaits, [*'ab']).list()", [(0, "", 1), (1, "", 1)]),
        ("whilst.map(blocks, [*'ab']).list()", [(0, "", 1), (1, "", 1)]),
        ("whilst.map(whilst.step(awaits), [*'ab']).list()", [(0, "step", 1), (1, "step", 1)]),
        ("whilst.map(whilst.step(blocks), [*'ab']).list()", [(0, "step", 1), (1, "step", 1)]),
        ("whilst.map(whilst.sequence(quick, blocks), [*'ab']).list()", [(n, "sequence[1]", 1) for n in range(2)]),
        ("whilst.map(whilst.step(blocks, limit=whilst.Limit(rate='99/s')), ['a']).list()", [(0, "step", 1)]),
        ("whilst.map(whilst.step(awaits, limit=whilst.Limit(rate='99/s')), ['a']).list()", [(0, "step", 1)]),
        ("[whilst.together(awaits, blocks)('x')]", [((0, "together[0]", 1), (0, "together[1]", 1))]),
    ],
)
def test_the_first_one_to_ask_is_told_too(expression: str, wanted: Any) -> None:
    """Before that no call had a name."""
    code = FIRST_TIME.replace("{expression}", expression)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == repr(wanted)
    assert done.stderr == ""


def test_a_call_shows_what_it_is() -> None:
    assert whilst.map(lambda x: repr(current_call()), ["a"]).list() == ["<Call for input 0, attempt 1>"]
    assert whilst.map(whilst.step(lambda x: repr(current_call())), ["a"]).list() == [
        "<Call for input 0 at step, attempt 1>"
    ]


@pytest.mark.parametrize("way", ["async", "blocking"])
def test_who_asks_first_is_told_of_the_call_of_its_lane(way: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "is_asked", False)

    def blocking(item: str) -> tuple[int, int]:
        call = whilst.current_call()
        assert call is not None
        return call.index, call.attempt

    async def asynchronous(item: str) -> tuple[int, int]:
        return blocking(item)

    assert whilst.map(asynchronous if way == "async" else blocking, ["only"]).list() == [(0, 1)]


def test_who_asks_first_in_a_step_is_told_when_its_call_began(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(wanted, "is_asked", False)

    async def second(item: int) -> float | None:
        if item == 0:
            await asyncio.sleep(10)
            return None
        call = whilst.current_call()
        assert call is not None
        return call.started

    async def main() -> list[float | None]:
        return await whilst.map(whilst.step(second), range(2), concurrency=1)

    assert testing.run(main()) == [None, 10.0]


def test_who_asks_first_in_a_call_that_went_straight_is_told_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A limited step whose permit is at hand goes past what is for the others."""
    monkeypatch.setattr(wanted, "is_asked", False)
    the_long_way: list[int] = []
    call = Leaf.call

    def counted(leaf: Leaf, value: int, tries: Any) -> Any:
        the_long_way.append(value)
        return call(leaf, value, tries)

    monkeypatch.setattr(Leaf, "call", counted)

    async def ask(item: int) -> tuple[int, str, int, float] | None:
        if item < 5:  # of which the first are timed
            return None
        await asyncio.sleep(10)
        call = whilst.current_call()
        assert call is not None
        return call.index, call.path, call.attempt, call.started

    async def main() -> list[Any]:
        return await whilst.map(whilst.step(ask, limit=whilst.Limit(concurrency=1)), range(6), concurrency=1)

    assert testing.run(main()) == [*[None] * 5, (5, "step", 1, 0.0)]
    assert 5 not in the_long_way


def test_a_value_through_a_flow_inside_a_call_has_no_place_in_the_run_around_it() -> None:
    """It is no input of that run: its index is 0, and its keys are its own."""
    seen: list[tuple[int, str]] = []
    keys: set[str] = set()

    async def inside(x: int) -> int:
        call = whilst.current_call()
        assert call is not None
        seen.append((call.index, call.path))
        keys.add(call.key)
        return x

    flow = whilst.sequence(inside, lambda x: x)

    async def around(x: int) -> int:
        value = await flow.aio(x)
        call = whilst.current_call()
        assert call is not None
        assert (call.index, call.path) == (x, "")
        return value

    assert testing.run(collected(whilst.map(around, range(3)))) == [0, 1, 2]
    assert seen == [(0, "sequence[0]")] * 3
    assert len(keys) == 3


async def collected(run: Any) -> list[Any]:
    return [value async for value in run]
