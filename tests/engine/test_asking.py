"""`by`, `weight` and `Retry(on=)` are the user's: asked in the context of the caller, and never for long at a time."""

from __future__ import annotations

import asyncio
import contextvars
import time
import warnings
from collections.abc import Callable
from typing import Any

import pytest

import whilst
from whilst import Limit, Retry, step, testing
from whilst.engine.asking import Asking, judge_of

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT")
COUNT = 200  # inputs; each question takes longer than a moment of the loop
SLOW = 0.003
ASKS = [0]


def by_tenant(item: int) -> str:
    return TENANT.get()


def weighs(item: int) -> float:
    return len(TENANT.get())


def judge(error: BaseException) -> bool:
    return TENANT.get() == "mine" and isinstance(error, ConnectionError)


class Flaky:
    """Fails twice for every input, and leaves a tenant of its own behind in the context of the call."""

    def __init__(self) -> None:
        self.tries: dict[int, int] = {}

    def blocking(self, item: int) -> str:
        tenant = TENANT.get()
        TENANT.set("somebody else's")
        self.tries[item] = self.tries.get(item, 0) + 1
        if self.tries[item] < 3:
            raise ConnectionError("reset")
        return tenant

    async def coro(self, item: int) -> str:
        await asyncio.sleep(0)
        return self.blocking(item)


def policies() -> dict[str, Any]:
    return {
        "limit": Limit(concurrency=3, rate="100000/s", by=by_tenant, weight=weighs),
        "retry": Retry(3, on=judge, base=0.001, budget=None, breaker=False),
    }


WAYS: dict[str, Callable[[Any, dict[str, Any]], Any]] = {
    "map": lambda fn, given: whilst.map(fn, range(20), **given),
    "step": lambda fn, given: whilst.map(whilst.step(fn, **given), range(20)),
    "each": lambda fn, given: whilst.sequence(range, whilst.each(fn, **given)).stream(20),
    "hedged": lambda fn, given: whilst.map(whilst.step(fn, hedge=True, **given), range(20)),
}


@pytest.mark.parametrize("way", list(WAYS))
@pytest.mark.parametrize("colour", ["blocking", "coro"])
@pytest.mark.parametrize("caller", ["plain", "async"])
def test_they_see_the_callers_context_at_every_attempt(way: str, colour: str, caller: str) -> None:
    given, fn = policies(), getattr(Flaky(), colour)

    def begin() -> Any:
        TENANT.set("mine")
        run = WAYS[way](fn, given)
        TENANT.set("later")
        return run

    async def main() -> Any:
        return await begin()

    if caller == "plain":
        values = contextvars.Context().run(lambda: begin().list())
    else:
        values = contextvars.Context().run(lambda: asyncio.run(main()))
    assert len(values) == 20
    if way == "map" or colour == "blocking":  # the attempts of an async step are made in one task
        assert set(values) == {"mine"}
    found = given["limit"].statistics()
    assert (found.keys, found.started) == (1, 60)


def test_a_judge_that_lacks_a_variable_does_not_hide_the_failure() -> None:
    def on(error: BaseException) -> bool:
        return bool(TENANT.get())

    def fail(item: int) -> None:
        raise ConnectionError("reset")

    [one] = contextvars.Context().run(lambda: whilst.map(fail, [1], retry=Retry(3, on=on)).outcomes().list())
    assert isinstance(one.error, ConnectionError)
    assert "Retry(on=…) itself raised LookupError" in one.error.__notes__[0]


def slow_by(item: int) -> int:
    ASKS[0] += 1
    time.sleep(SLOW)
    return item % 3


def slow_weight(item: int) -> int:
    ASKS[0] += 1
    time.sleep(SLOW)
    return 1


def slow_judge(error: BaseException) -> bool:
    ASKS[0] += 1
    time.sleep(SLOW)
    return True


async def quick(item: int) -> int:
    await asyncio.sleep(0)
    return item


def failing() -> Callable[[int], Any]:
    seen: set[int] = set()

    async def fail_once(item: int) -> int:
        await asyncio.sleep(0.001)
        if item not in seen:
            seen.add(item)
            raise ConnectionError("reset")
        return item

    return fail_once


ASKED: dict[str, tuple[Callable[[], Any], dict[str, Any]]] = {
    "Limit(by=slow_by)": (lambda: quick, {"limit": Limit(concurrency=COUNT, by=slow_by)}),
    "Limit(weight=slow_weight)": (lambda: quick, {"limit": Limit(rate="1000000/s", weight=slow_weight)}),
    "Retry(on=slow_judge)": (failing, {"retry": Retry(2, on=slow_judge, base=0.001, budget=None, breaker=False)}),
}


async def most_in_one_round(main: Any) -> int:
    """Return how many questions were asked at most in one round of the loop while `main` was awaited."""
    most, over = 0, False

    async def tick() -> None:
        nonlocal most
        while not over:
            before = ASKS[0]
            await asyncio.sleep(0)
            most = max(most, ASKS[0] - before)

    ticker = asyncio.ensure_future(tick())
    await main
    over = True
    await ticker
    return most


@pytest.mark.parametrize("asked", list(ASKED))
@pytest.mark.parametrize("way", ["map", "step"])
def test_slow_ones_hold_the_loop_for_a_moment_only_and_are_named_once(asked: str, way: str) -> None:
    make, given = ASKED[asked]

    async def main() -> tuple[int, Any]:
        fn, mapped = make(), range(COUNT)
        run = (
            whilst.map(fn, mapped, concurrency=COUNT, **given)
            if way == "map"
            else whilst.map(whilst.step(fn, **given), mapped, concurrency=COUNT)
        )

        async def take() -> None:
            assert await run == list(range(COUNT))

        return await most_in_one_round(take()), run.summary()

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        most, summary = asyncio.run(main())
    told = [str(each.message) for each in caught if "stands still" in str(each.message)]
    assert len(told) == 1
    assert told[0].startswith(f"{asked} takes ")
    assert [note for note in summary.notes if note.startswith(asked)]
    assert 1 <= most <= 5  # a moment is shorter than two of them; all at once would be 200


class Passing:
    """A clock that goes on only while somebody is asked."""

    def __init__(self) -> None:
        self.now = 0.0

    def perf_counter(self) -> float:
        return self.now


@pytest.mark.parametrize("took", [0.0001, 0.0011, 0.003, 0.005], ids=str)
@pytest.mark.parametrize("shape", ["step", "sequence", "together", "each", "weighed"])
def test_inputs_are_admitted_in_their_order_however_slow_by_is(
    took: float, shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Inputs that begin while others wait for their turn to be asked come behind those."""
    clock, asked, started = Passing(), list[int](), list[int]()
    monkeypatch.setattr("whilst.engine.asking.time", clock)

    def by(item: int) -> int:
        clock.now += took
        asked.append(item)
        return item % 3

    async def call(item: int) -> int:
        started.append(item)
        await asyncio.sleep(0.01)
        return item

    limit = Limit(
        concurrency=2, by=by, **({"weight": lambda item: 1, "rate": "100000/s"} if shape == "weighed" else {})
    )
    step = whilst.step(call, limit=limit)
    flows: dict[str, Any] = {"sequence": whilst.sequence(step, quick), "together": whilst.together(step, quick)}

    async def main() -> None:
        if shape == "each":
            await whilst.sequence(range, whilst.each(call, limit=limit, concurrency=50)).aio(300)
        else:
            await whilst.map(flows.get(shape, step), range(300), concurrency=50)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        testing.run(main())
    assert [*dict.fromkeys(asked)] == list(range(300))
    for key in range(3):
        assert [item for item in started if item % 3 == key] == list(range(key, 300, 3))


@pytest.mark.parametrize("cancelled", ["first", "told", "last", "all"])
def test_who_is_cancelled_while_it_waits_for_its_turn_holds_nobody_up(
    cancelled: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = Passing()
    monkeypatch.setattr("whilst.engine.asking.time", clock)
    asked: list[int] = []

    def question(number: int) -> None:
        clock.now += 0.003
        asked.append(number)

    async def main() -> None:
        asking = Asking(asyncio.get_running_loop(), contextvars.copy_context())
        asking.ask("", question, -1)
        asking.ask("", question, -2)

        async def ask(number: int) -> None:
            await asking.turn()
            asking.ask("", question, number)

        tasks = [asyncio.ensure_future(ask(number)) for number in range(6)]
        await asyncio.sleep(0)
        if cancelled == "told":
            await asyncio.sleep(0)
        for task in {"first": tasks[:1], "told": tasks[:2], "last": tasks[-1:], "all": tasks}[cancelled]:
            task.cancel()
        late = asyncio.ensure_future(ask(6))
        await asyncio.wait([*tasks, late])
        await ask(7)

    testing.run(main())
    gone = {"first": {0}, "told": {0, 1}, "last": {5}, "all": {*range(6)}}[cancelled]
    assert asked[2:] == [number for number in range(8) if number not in gone]


def test_callbacks_and_tasks_are_asked_in_the_order_in_which_they_came(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Passing()
    monkeypatch.setattr("whilst.engine.asking.time", clock)
    asked: list[str] = []

    def question(name: str) -> None:
        clock.now += 0.005  # one a round
        asked.append(name)

    async def main() -> None:
        asking = Asking(asyncio.get_running_loop(), contextvars.copy_context())

        async def ask(name: str) -> None:
            await asking.turn()
            asking.ask("", question, name)

        def again() -> None:
            if len(asked) < 8 and asking.has_time(again):
                asking.ask("", question, "callback")
                again()

        again()
        await asyncio.wait([asyncio.ensure_future(ask(name)) for name in "abc"])

    testing.run(main())
    assert asked[:7] == ["callback", "callback", "callback", "a", "b", "c", "callback"]


@pytest.mark.parametrize(
    ("slow", "told"),
    [
        (lambda item: item < 100, True),
        (lambda item: item >= 100, True),  # it became slow: a host that is looked up, say
        (lambda item: item % 2 == 0, True),
        (lambda item: item % 4 == 0, False),  # now and then
    ],
    ids=["at first", "later", "every other", "one in four"],
)
def test_one_that_is_slow_mostly_is_named_whenever_that_begins(slow: Callable[[int], bool], told: bool) -> None:
    def by(item: int) -> int:
        if slow(item):
            time.sleep(0.0011)
        return 0

    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        whilst.map(quick, range(200), limit=Limit(concurrency=8, by=by)).list()
    assert len([each for each in caught if "stands still" in str(each.message)]) == told


class Touchy:
    """Cannot be compared."""

    def __eq__(self, other: object) -> bool:
        raise RuntimeError("never compare me")

    __hash__ = object.__hash__


LAST: contextvars.ContextVar[object] = contextvars.ContextVar("LAST", default=None)


@pytest.mark.parametrize("leaves", [1, Touchy()], ids=["a value", "what cannot be compared"])
@pytest.mark.parametrize("form", ["map", "step"])
def test_what_by_does_to_its_context_ends_with_each_input(form: str, leaves: object) -> None:
    seen: list[object] = []

    def by(item: int) -> int:
        seen.append(LAST.get())
        LAST.set(leaves)
        return item % 3

    limit = Limit(concurrency=2, by=by)
    run = (
        whilst.map(quick, range(150), limit=limit)
        if form == "map"
        else whilst.map(step(quick, limit=limit), range(150))
    )
    assert run.list() == list(range(150))
    assert seen == [None] * 150


def test_inputs_whose_by_fails_are_those_that_fail_and_no_others() -> None:
    def by(item: int) -> int:
        if item % 7 == 3:
            raise LookupError(f"no key for {item}")
        return item % 3

    found = whilst.map(quick, range(150), concurrency=20, limit=Limit(concurrency=2, by=by)).outcomes().list()
    assert [(each.input, each.value, str(each.error or "")) for each in found] == [
        (item, None, f"no key for {item}") if item % 7 == 3 else (item, item, "") for item in range(150)
    ]


def test_a_slow_one_does_not_fail_a_run_where_warnings_are_errors() -> None:
    assert whilst.map(quick, range(40), limit=Limit(concurrency=4, by=slow_by)).list() == list(range(40))


def test_what_waits_to_be_judged_when_a_run_ends_is_not_lost() -> None:
    async def fail(item: int) -> None:
        await asyncio.sleep(0.001)
        raise ConnectionError(str(item))

    async def main() -> list[Any]:
        run = whilst.map(fail, range(COUNT), concurrency=COUNT, retry=Retry(2, on=slow_judge, base=5.0, breaker=False))
        asyncio.get_running_loop().call_later(0.1, run.drain)
        return await run.outcomes()

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        taken = asyncio.run(main())
    assert [outcome.index for outcome in taken] == list(range(COUNT))
    assert all(isinstance(outcome.error, ConnectionError) for outcome in taken)


@pytest.mark.parametrize(
    ("retry", "asked"),
    [
        (Retry(), ""),
        (Retry(on=ConnectionError), ""),
        (Retry(on=(ConnectionError, TimeoutError)), ""),
        (Retry(on=judge), "Retry(on=judge)"),
        (Retry(on_value=weighs), "Retry(on_value=weighs)"),
        (Retry(on=judge, on_value=weighs), "Retry(on=judge, on_value=weighs)"),
    ],
)
def test_only_what_is_the_users_is_asked_of_a_retry(retry: Retry, asked: str) -> None:
    assert judge_of(retry) == asked


@pytest.mark.parametrize("in_flow", [False, True], ids=["map", "step"])
@pytest.mark.parametrize("keys", [1, 3, 40])
def test_each_input_is_asked_once_for_its_key_and_once_for_its_weight(keys: int, in_flow: bool) -> None:
    by, weight = list[int](), list[int]()
    limit = Limit(
        concurrency=4,
        rate="1000000/s",
        by=lambda item: by.append(item) or item % keys,
        weight=lambda item: weight.append(item) or 1.0,
    )
    run = whilst.map(whilst.step(str, limit=limit), range(40)) if in_flow else whilst.map(str, range(40), limit=limit)
    assert run.list() == [str(x) for x in range(40)]
    assert sorted(by) == [*range(40)]
    assert sorted(weight) == [*range(40)]


async def all_outcomes(run: Any) -> None:
    async for _ in run.outcomes():
        pass


async def all_values(run: Any) -> None:
    await run


def leaves(_: Any) -> Any:
    raise SystemExit(3)


def fails(x: int) -> int:
    raise ValueError(x)


@pytest.mark.parametrize("plain", [True, False])
@pytest.mark.parametrize("outcomes", [True, False])
@pytest.mark.parametrize(
    "policies",
    [
        {"limit": Limit(concurrency=1, by=leaves)},
        {"limit": Limit(rate="100/s", weight=leaves)},
        {"retry": Retry(attempts=2, on=leaves)},
        {"retry": Retry(attempts=2, on_value=leaves)},
        {"share": leaves},
    ],
    ids=["by", "weight", "on", "on_value", "share"],
)
def test_what_is_no_exception_and_is_raised_by_a_question_ends_the_run(
    policies: dict[str, Any], *, outcomes: bool, plain: bool
) -> None:
    """As when a call raises it; a panic of a library in Rust is such a thing, too."""
    run = whilst.map(fails if getattr(policies.get("retry"), "on", None) is leaves else abs, range(20), **policies)
    taken = run.outcomes() if outcomes else run

    async def take() -> None:
        await taken

    with pytest.raises(SystemExit, match="3"):
        taken.list() if plain else asyncio.run(take())
    assert run.summary().done
    assert whilst.map(abs, [-1]).list() == [1], "the engine goes on"


@pytest.mark.parametrize(
    ("take", "policies", "error"), [(all_values, {}, ValueError), (all_outcomes, {"stop_after": 1}, whilst.Stopped)]
)
def test_what_waits_to_be_asked_for_what_it_shares_is_forgotten_when_the_run_stops(
    take: Callable[[Any], Any], policies: dict[str, Any], error: type[Exception], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One input is asked in a round of the loop; the first call fails and ends the run, so the others are not."""
    clock, asked, called = Passing(), list[int](), list[int]()
    monkeypatch.setattr("whilst.engine.asking.time", clock)

    def slow_key(item: int) -> int:
        clock.now += 1.0
        asked.append(item)
        return item

    async def fail(item: int) -> int:
        called.append(item)
        raise ValueError(item)

    async def main() -> None:
        run = whilst.map(fail, range(20), concurrency=8, share=slow_key, **policies)
        with pytest.raises(error):
            await take(run)
        assert called[0] == 0
        assert set(called) <= set(asked)
        assert len(asked) < 8

    testing.run(main())
