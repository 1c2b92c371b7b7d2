"""Random trees with random colours, failures, limits: the same result as a plain sequential interpreter's.

The model walks the same tree with `for` loops and `try`. What a flow may choose (which of several failures of a
`together` comes first) is compared as a set of possible failures.
"""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from flowkit import Gauge, eventually
from hypothesis import given, settings
from hypothesis import strategies as st

import whilst
from whilst import testing

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
LIMITS = (1, 2, 3)
RATES = (2, 9, 1000)  # a second
HURRY = 100  # how many times as fast rates and retries are where time is real
SETTLED = 7


class Broken(Exception):
    pass


@dataclass(frozen=True)
class Leaf:
    """A step that adds `by`, or fails on multiples of `bad`."""

    by: int
    bad: int
    colour: str
    naps: int
    flaky: bool = False  # fails once before; only leaves that are tried again do

    def value(self, value: Any) -> Any:
        number = total(value)
        if self.bad and number % self.bad == 0:
            raise Broken(self.by)
        return number + self.by


def total(value: Any) -> int:
    if isinstance(value, dict):
        return sum(map(total, value.values()))
    return sum(map(total, value)) if isinstance(value, (list, tuple)) else value


class World:
    """What one example runs in: gauges around every limit and around the run as a whole; `hurry` shortens waits."""

    def __init__(self, hurry: int = 1) -> None:
        self.hurry = hurry
        self.limits = [whilst.Limit(concurrency=n) for n in LIMITS]
        self.rates = [whilst.Limit(rate=f"{rate * hurry}/s") for rate in RATES]
        self.flaky: set[tuple[int, int]] = set()  # what failed once and will not again
        self.gauges = [Gauge() for _ in LIMITS]
        self.all = Gauge()

    def stumble(self, leaf: Leaf, value: Any) -> None:
        """Fail the first time, in a way that is worth another attempt."""
        call = (id(leaf), total(value))
        if leaf.flaky and call not in self.flaky:
            self.flaky.add(call)
            raise ConnectionResetError(leaf.by)

    def function(self, leaf: Leaf, held: tuple[int, ...]) -> Callable[[Any], Any]:
        gauges = [self.all, *(self.gauges[i] for i in set(held))]

        async def later(value: Any) -> Any:
            for gauge in gauges:
                gauge.__enter__()
            try:
                for _ in range(leaf.naps):
                    await asyncio.sleep(0.25 * leaf.naps)
                self.stumble(leaf, value)
                return leaf.value(value)
            finally:
                for gauge in gauges:
                    gauge.__exit__()

        def blocking(value: Any) -> Any:
            for gauge in gauges:
                gauge.__enter__()
            try:
                self.stumble(leaf, value)
                return leaf.value(value)
            finally:
                for gauge in gauges:
                    gauge.__exit__()

        return {"async": later, "blocking": blocking, "hidden": lambda value: later(value)}[leaf.colour]


def leaves(colours: list[str]) -> st.SearchStrategy[Any]:
    return st.builds(
        Leaf, st.integers(1, 5), st.sampled_from([0, 0, 0, 2, 5, 7]), st.sampled_from(colours), st.integers(0, 2)
    )


def shapes(colours: list[str]) -> st.SearchStrategy[Any]:
    """Trees as tuples: ("leaf", Leaf), (kind, [trees], number)."""
    return st.recursive(
        leaves(colours).map(lambda leaf: ("leaf", [leaf], 0)),
        lambda inner: st.one_of(
            st.tuples(st.just("sequence"), st.lists(inner, min_size=1, max_size=3), st.just(0)),
            st.tuples(st.just("together"), st.lists(inner, min_size=1, max_size=3), st.integers(0, 1)),
            st.tuples(st.just("first"), st.lists(inner, min_size=1, max_size=3), st.just(0)),
            st.tuples(st.just("limit"), st.lists(inner, min_size=1, max_size=1), st.integers(0, len(LIMITS) - 1)),
            st.tuples(st.just("rate"), st.lists(inner, min_size=1, max_size=1), st.integers(0, len(RATES) - 1)),
            st.tuples(st.just("retry"), st.lists(inner, min_size=1, max_size=1), st.integers(1, 3)),
            st.tuples(st.just("stages"), st.lists(inner, min_size=1, max_size=2), st.integers(1, 3)),
        ),
        max_leaves=10,
    )


def spread(value: Any) -> list[int]:
    number = total(value)
    return [number, number + 1, number + 2]


def build(shape: Any, world: World, held: tuple[int, ...] = ()) -> Any:
    kind, parts, number = shape
    if kind == "leaf":
        return whilst.step(world.function(parts[0], held))
    if kind == "limit":
        return whilst.step(build(parts[0], world, (*held, number)), limit=world.limits[number])
    if kind == "rate":
        return whilst.step(build(parts[0], world, held), limit=world.rates[number])
    if kind == "retry":
        base = 0.2 * number / world.hurry
        retry = whilst.Retry(attempts=2 + len(RATES), on=ConnectionError, base=base, budget=None, breaker=False)
        if parts[0][0] != "leaf":
            return whilst.step(build(parts[0], world, held), retry=retry, timeout=1000.0)
        function = world.function(flaky(parts[0][1][0]), held)
        return whilst.step(function, retry=retry, timeout=1000.0, hedge=number == 3)
    inner = [build(part, world, held) for part in parts]
    if kind == "sequence":
        return whilst.sequence(*inner)
    if kind == "together":
        return whilst.together(**{f"b{i}": one for i, one in enumerate(inner)}) if number else whilst.together(*inner)
    if kind == "first":
        return whilst.sequence(whilst.first(*inner), _settle)
    stages = [whilst.each(one, concurrency=number) for one in inner]
    return whilst.sequence(_spread_later, *stages, whilst.batched(2, within=50.0), whilst.flatten())


async def _settle(_: Any) -> int:
    return SETTLED  # which branch of `first` wins is a matter of time


async def _spread_later(value: Any) -> list[int]:
    return spread(value)


Result = tuple[Any, frozenset[int] | None]  # a value, or the numbers of the leaves whose failure may come out


def model(shape: Any, value: Any) -> Result:
    """Interpret a shape one call after the other; for failures, which of them may come out."""
    kind, parts, number = shape
    if kind == "leaf":
        try:
            return parts[0].value(value), None
        except Broken as error:
            return None, frozenset(error.args)
    if kind in ("sequence", "limit", "rate", "retry"):
        for part in parts:
            value, failed = model(part, value)
            if failed is not None:
                return None, failed
        return value, None
    if kind == "together":
        results = [model(part, value) for part in parts]
        failures = [failed for _, failed in results if failed is not None]
        if failures:
            return None, frozenset().union(*failures)
        values = [value for value, _ in results]
        return ({f"b{i}": one for i, one in enumerate(values)} if number else tuple(values)), None
    if kind == "first":
        results = [model(part, value) for part in parts]
        if all(failed is not None for _, failed in results):
            return None, frozenset().union(*(failed for _, failed in results if failed is not None))
        return SETTLED, None
    items: list[Any] = spread(value)
    broken: set[int] = set()
    for part in parts:
        results = [model(part, item) for item in items]
        broken.update(*(failed for _, failed in results if failed is not None))
        items = [value for value, failed in results if failed is None]  # these may be in the next stage already
    return (None, frozenset(broken)) if broken else (items, None)


def leaves_of(error: BaseException) -> set[int]:
    if isinstance(error, BaseExceptionGroup):
        return set().union(*(leaves_of(one) for one in error.exceptions))
    assert isinstance(error, Broken), error
    return {error.args[0]}


def check(shape: Any, world: World, outcomes: list[Any], concurrency: int) -> None:
    for outcome in outcomes:
        value, failed = model(shape, outcome.input)
        assert outcome.ok == (failed is None), (outcome, failed)
        if failed is None:
            assert outcome.value == value
        else:
            assert leaves_of(outcome.error) <= failed
    for limit, gauge, n in zip(world.limits, world.gauges, LIMITS, strict=True):
        assert gauge.most <= n
        assert eventually(lambda limit=limit: limit.statistics().in_flight == limit.statistics().waiting == 0)
    assert world.all.most <= concurrency
    assert world.all.inside == 0


@settings(max_examples=100 * SOAK)
@given(shapes(["async"]), st.integers(1, 6), st.lists(st.integers(0, 20), min_size=1, max_size=6))
def test_random_async_trees_on_virtual_time_give_what_the_model_gives(
    shape: Any, concurrency: int, inputs: list[int]
) -> None:
    world = World()
    flow = build(shape, world)

    async def main() -> list[Any]:
        outcomes = [o async for o in whilst.map(flow, inputs, concurrency=concurrency).outcomes()]
        assert asyncio.all_tasks() == {asyncio.current_task()}
        return outcomes

    check(shape, world, testing.run(main()), concurrency)  # a deadlock raises testing.Deadlock


@pytest.mark.slow
@pytest.mark.timeout(60 * SOAK)
@settings(max_examples=60 * SOAK)
@given(shapes(["async", "blocking", "hidden"]), st.integers(1, 5), st.lists(st.integers(0, 20), min_size=1, max_size=5))
def test_random_trees_of_all_colours_give_what_the_model_gives(shape: Any, concurrency: int, inputs: list[int]) -> None:
    world = World(HURRY)
    flow = build(without_naps(shape), world)
    outcomes = whilst.map(flow, inputs, concurrency=concurrency).outcomes().list()
    check(shape, world, outcomes, concurrency)
    assert eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("whilst-lane")])


def flaky(one: Leaf) -> Leaf:
    """Return the same leaf, which fails once before it does what it does."""
    return Leaf(one.by, one.bad, one.colour, one.naps, flaky=True)


def without_naps(shape: Any) -> Any:
    kind, parts, number = shape
    if kind == "leaf":
        one = parts[0]
        return kind, [Leaf(one.by, one.bad, one.colour, 0)], number
    return kind, [without_naps(part) for part in parts], number


@settings(max_examples=60 * SOAK)
@given(shapes(["async"]), st.integers(0, 30), st.integers(1, 4))
def test_random_trees_cancelled_at_a_random_time_leave_nothing(shape: Any, tenths: int, concurrency: int) -> None:
    world = World()
    flow = build(shape, world)

    async def main() -> None:
        task = asyncio.ensure_future(_take(whilst.map(flow, range(5), concurrency=concurrency)))
        await asyncio.sleep(tenths / 10)
        task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            task.exception()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    testing.run(main())
    assert world.all.inside == 0
    for limit in world.limits:
        assert limit.statistics().in_flight == limit.statistics().waiting == 0


async def _take(run: Any) -> Any:
    return [outcome async for outcome in run.outcomes()]
