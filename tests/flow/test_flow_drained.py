"""A flow that is told to start nothing new: what waits for its first call is not in flight, and is given back."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest

import whilst
from whilst import testing

Made = list[tuple[str, int]]


def called(name: str, made: Made) -> Callable[[int], Any]:
    async def call(x: int) -> int:
        made.append((name, x))
        await asyncio.sleep(0.01)
        return x

    return call


async def drained(flow: Any, made: Made, **policies: Any) -> tuple[list[int], float, whilst.Summary]:
    """Map the flow over a hundred inputs, drain after 0.7 s; return the values, when it was over, and the summary."""
    loop = asyncio.get_running_loop()
    run = whilst.map(flow, range(100), concurrency=10, **policies)
    began = loop.time()
    loop.call_later(0.7, run.drain)
    values = [value async for value in run]
    return values, loop.time() - began, run.summary()


@pytest.mark.parametrize("shape", ["map", "step", "sequence", "nested", "timeout"])
def test_inputs_that_wait_for_their_first_call_are_given_back(shape: str) -> None:
    made: Made = []
    limit = whilst.Limit(rate="2/s")
    first, then = called("first", made), called("then", made)
    step = whilst.step(first, limit=limit)
    flow: Any = {
        "map": first,
        "step": step,
        "sequence": whilst.sequence(step, then),
        "nested": whilst.sequence(whilst.sequence(step, then), then),
        "timeout": whilst.step(whilst.sequence(step, then), timeout=60),
    }[shape]
    values, took, summary = testing.run(drained(flow, made, **({"limit": limit} if shape == "map" else {})))
    assert values == [0, 1]  # two calls were let through: at once, and after half a second
    assert [x for name, x in made if name == "first"] == [0, 1]
    assert took == pytest.approx(0.7, abs=0.05)
    assert (summary.ok, summary.failed, summary.in_flight) == (2, 0, 0)


def test_what_has_had_its_first_call_flows_through_to_the_end() -> None:
    made: Made = []
    flow = whilst.sequence(called("first", made), whilst.step(called("then", made), limit=whilst.Limit(rate="20/s")))
    values, took, _ = testing.run(drained(flow, made))
    begun = [x for name, x in made if name == "first"]
    assert values == sorted(begun) == sorted(x for name, x in made if name == "then")
    assert took > 0.75  # those that had waited for the second step were not given up


@pytest.mark.parametrize("shape", ["all", "first", "fallback", "named", "nested", "retried"])
def test_a_join_whose_branches_all_wait_for_their_first_call_is_given_back(shape: str) -> None:
    made: Made = []
    limit = whilst.Limit(rate="4/s")  # two calls an input, so it goes on as above
    a, b = (whilst.step(called(name, made), limit=limit) for name in ("a", "b"))
    flow: Any = {
        "all": whilst.together(a, b),
        "first": whilst.first(a, b),
        "fallback": whilst.together(whilst.fallback(a, called("c", made)), b),
        "named": whilst.together(left=a, right=b),
        "nested": whilst.together(whilst.together(a, b), b),
        "retried": whilst.step(whilst.together(a, b), retry=RETRY),
    }[shape]
    values, took, summary = testing.run(drained(flow, made))
    begun = {x for _, x in made}
    assert len(values) == len(begun) == summary.ok < 10  # whose other branches waited were finished
    assert (summary.failed, summary.in_flight) == (0, 0)
    assert took < 3


def test_a_join_of_which_one_branch_is_through_is_finished() -> None:
    made: Made = []
    flow = whilst.together(called("at once", made), whilst.step(called("late", made), limit=whilst.Limit(rate="2/s")))
    values, took, _ = testing.run(drained(flow, made))
    begun = sorted(x for name, x in made if name == "at once")
    assert sorted(first for first, _ in values) == begun == sorted(x for name, x in made if name == "late")
    assert took > 4


RETRY = whilst.Retry(3, on=lambda error: 60.0, budget=None, breaker=False)  # after a minute


class Fails:
    """Fails at its first calls for each input, as often as told."""

    def __init__(self, made: Made, often: int = 1, name: str = "fails") -> None:
        self.made, self.often, self.name = made, often, name

    async def __call__(self, x: int) -> int:
        self.made.append((self.name, x))
        await asyncio.sleep(0.01)
        if self.made.count((self.name, x)) <= self.often:
            raise ConnectionError(f"{self.name} {x}")
        return x


def waiting_for_another_attempt(shape: str, made: Made) -> Any:
    """Return a flow whose inputs have failed once when it is drained, and wait for a minute."""
    fails, then = Fails(made), called("then", made)
    step = whilst.step(fails, retry=RETRY)
    flows: dict[str, Any] = {
        "map": fails,
        "step": step,
        "first of several": whilst.sequence(step, then),
        "second of two": whilst.sequence(called("before", made), step),
        "part": whilst.step(whilst.sequence(fails, then), retry=RETRY),
        "part behind a step": whilst.sequence(called("before", made), whilst.step(fails, retry=RETRY)),
        "part in a part": whilst.step(whilst.step(whilst.sequence(fails, then), retry=RETRY), timeout=600),
        "branch": whilst.together(step, called("other", made)),
        "fallback": whilst.fallback(step, then),
        "with a limit": whilst.step(fails, retry=RETRY, limit=whilst.Limit(concurrency=100)),
    }
    return flows[shape]


SHAPES = ["step", "first of several", "second of two", "part", "part behind a step", "part in a part", "branch"]


@pytest.mark.parametrize("shape", ["map", *SHAPES, "fallback", "with a limit"])
@pytest.mark.parametrize("taken", ["values", "outcomes"])
def test_what_waits_for_another_attempt_is_given_back(shape: str, taken: str) -> None:
    """Where outcomes are taken its last failure is one; who takes values gets none, and no failure."""
    made: Made = []

    async def main() -> tuple[list[Any], float, whilst.Summary]:
        loop = asyncio.get_running_loop()
        more = {"retry": RETRY} if shape == "map" else {}
        run = whilst.map(waiting_for_another_attempt(shape, made), range(3), **more)
        began = loop.time()
        loop.call_later(0.7, run.drain)
        found = [one async for one in (run if taken == "values" else run.outcomes())]
        return found, loop.time() - began, run.summary()

    found, took, summary = testing.run(main())
    assert took == pytest.approx(0.7, abs=0.05)
    assert made.count(("fails", 0)) == 1
    assert (summary.ok, summary.in_flight, summary.waiting) == (0, 0, 0)
    if taken == "values":
        assert (found, summary.failed) == ([], 0)
    else:
        assert [(o.index, str(o.error), o.attempts) for o in found] == [(x, f"fails {x}", 1) for x in range(3)]
        assert summary.failed == 3


@pytest.mark.parametrize("shape", ["step", "part", "part of parts"])
def test_what_waits_for_the_first_call_of_another_attempt_is_given_back(shape: str) -> None:
    """At a limit; its failure is that of the attempt before."""
    made: Made = []
    limit, retry = whilst.Limit(rate="3/min", burst=3), whilst.Retry(2, base=0.01, budget=None, breaker=False)
    limited, fails = whilst.step(called("first", made), limit=limit), Fails(made)
    flow: Any = {
        "step": whilst.step(Fails(made, name="first"), limit=limit, retry=retry),
        "part": whilst.step(whilst.sequence(limited, fails), retry=retry),
        "part of parts": whilst.step(
            whilst.sequence(whilst.step(whilst.sequence(limited), timeout=600, retry=2), fails), retry=retry
        ),
    }[shape]

    async def main() -> tuple[list[Any], whilst.Summary]:
        run = whilst.map(flow, range(3))
        asyncio.get_running_loop().call_later(0.6, run.drain)  # each was called once, the second calls come later
        return [one async for one in run.outcomes()], run.summary()

    found, summary = testing.run(main())
    name = "first" if shape == "step" else "fails"
    assert [(o.index, str(o.error), o.attempts) for o in found] == [(x, f"{name} {x}", 1) for x in range(3)]
    assert [x for which, x in made if which == "first"] == [0, 1, 2]
    assert summary.failed == 3


def test_the_second_step_of_another_attempt_is_waited_for() -> None:
    made: Made = []
    retry = whilst.Retry(2, base=0.01, budget=None, breaker=False)
    limited = whilst.step(Fails(made, name="second"), limit=whilst.Limit(rate="1/s"))
    flow = whilst.step(whilst.sequence(called("first", made), limited), retry=retry)

    async def main() -> list[Any]:
        run = whilst.map(flow, range(1))
        asyncio.get_running_loop().call_later(0.6, run.drain)
        return [one async for one in run]

    assert testing.run(main()) == [0]
    assert made == [("first", 0), ("second", 0), ("first", 0), ("second", 0)]


@pytest.mark.parametrize("shape", ["map", "step", "part"])
def test_what_fails_after_that_is_not_tried_again(shape: str) -> None:
    made: Made = []
    fails = Fails(made)

    async def slowly(x: int) -> int:
        await asyncio.sleep(1)
        return await fails(x)

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()
        more: dict[str, Any] = {"retry": RETRY} if shape == "map" else {}
        part = whilst.sequence(slowly, called("then", made))
        flow: Any = {"map": slowly, "step": whilst.step(slowly, retry=RETRY), "part": whilst.step(part, retry=RETRY)}
        run = whilst.map(flow[shape], range(2), **more)
        began = loop.time()
        loop.call_later(0.7, run.drain)
        return [(o.index, str(o.error)) async for o in run.outcomes()], loop.time() - began

    found, took = testing.run(main())
    assert found == [(0, "fails 0"), (1, "fails 1")]
    assert took == pytest.approx(1.01, abs=0.05)


def test_another_branch_is_finished_before_the_input_is_given_back() -> None:
    made: Made = []

    async def slow(x: int) -> int:
        await asyncio.sleep(2)
        made.append(("slow", x))
        return x

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()
        run = whilst.map(whilst.together(whilst.step(Fails(made), retry=RETRY), slow), range(1))
        began = loop.time()
        loop.call_later(0.7, run.drain)
        return [str(o.error) async for o in run.outcomes()], loop.time() - began

    found, took = testing.run(main())
    assert (found, made) == (["fails 0"], [("fails", 0), ("slow", 0)])
    assert took == pytest.approx(2, abs=0.05)


@pytest.mark.parametrize("failures", ["raise", "skip", "pass"])
def test_a_stage_gives_back_items_that_wait_for_another_attempt(failures: Any) -> None:
    made: Made = []
    stage = whilst.each(Fails(made), retry=RETRY, failures=failures)

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()
        run = whilst.sequence(range, stage).stream(2)
        began = loop.time()
        loop.call_later(0.7, run.drain)
        return [item async for item in run], loop.time() - began

    items, took = testing.run(main())
    assert [str(item.error) for item in items] == (["fails 0", "fails 1"] if failures == "pass" else [])
    assert took == pytest.approx(0.7, abs=0.05)


def test_a_failure_that_was_given_back_is_freed() -> None:
    class Kept(ConnectionError):
        pass

    async def fails(x: int) -> int:
        raise Kept

    async def main() -> weakref.ref[BaseException]:
        run = whilst.map(whilst.step(fails, retry=RETRY), range(1))
        asyncio.get_running_loop().call_later(0.7, run.drain)
        [outcome] = [one async for one in run.outcomes()]
        assert isinstance(outcome.error, Kept)
        return weakref.ref(outcome.error)

    gc.collect()
    gc.disable()
    try:
        assert testing.run(main())() is None
    finally:
        gc.enable()


def test_a_stage_gives_back_items_that_wait_for_its_first_call() -> None:
    made: Made = []
    step = whilst.step(called("first", made), limit=whilst.Limit(rate="2/s"))
    flow = whilst.sequence(range, whilst.each(step, concurrency=10), whilst.each(called("then", made)))

    async def main() -> tuple[list[Any], float]:
        loop = asyncio.get_running_loop()
        run = flow.stream(100)
        began = loop.time()
        loop.call_later(0.7, run.drain)
        return [item async for item in run], loop.time() - began

    items, took = testing.run(main())
    assert items == [0, 1]
    assert took == pytest.approx(0.7, abs=0.05)
