"""`map(f, …)`, `map(step(f, …))` and `map(f, use=…, …)` are the same thing: the same calls at the same times.

On virtual time, over random policies, failures, pushback and keys. What is random in waits and pauses is held fast, and
all times are odd, as the order of what happens in one instant is nobody's promise.
"""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import dataclass, replace
from typing import Any
from unittest import mock

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from kit import alone
from policykit import Final, Server, busy, reset

import whilst
from whilst import testing

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
KINDS = {"final": Final, "reset": reset, "busy": busy(), "pause": busy(1.5391), "fine": None}


@dataclass(frozen=True)
class Case:
    scripts: list[list[str]]
    naps: list[float]
    attempts: int | None
    on: str
    total: float | None
    budget: float | None
    breaker: bool
    limits: list[str]
    bad_key: int | None = None
    bad_weight: int | None = None
    concurrency: int = 1
    ordered: bool = True
    timeout: float | None = None
    blocking: bool = False
    drained: float | None = None

    @property
    def untimed(self) -> bool:
        """Threads live on real time; a controller makes much of the order in which calls of one instant end.

        So does a run without limits that is refused: how many calls it counts before tells it of a rate.
        """
        return self.blocking or "adaptive" in self.limits or self.guesses

    @property
    def guesses(self) -> bool:
        """Whether it may learn a rate from a refusal."""
        return not self.limits and any("pause" in script for script in self.scripts)


scripts = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)
cases = st.builds(
    Case,
    scripts=st.lists(st.one_of(st.just(["fine"]), scripts), max_size=14),
    naps=st.lists(st.sampled_from([0.0531, 0.2513, 1.0037, 1.0711, 3.0119, 30.013]), min_size=1, max_size=9),
    attempts=st.sampled_from([None, None, 1, 2, 3, 4]),
    on=st.sampled_from(["transient", "soon", "after a second"]),
    total=st.sampled_from([None, None, 2.5391, 8.0713]),
    budget=st.sampled_from([None, 0.2]),
    breaker=st.booleans(),
    limits=st.lists(
        st.sampled_from(["two", "rate", "one a key", "rate a key", "weighed", "adaptive"]), max_size=1, unique=True
    ),
    bad_key=st.sampled_from([None, None, None, 0, 3]),
    bad_weight=st.sampled_from([None, None, None, 0, 4]),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
    timeout=st.sampled_from([None, None, 2.7573]),
    blocking=st.sampled_from([False, False, False, True]),
    drained=st.sampled_from([None, None, None, 0.0179, 0.6133, 1.9391, 5.0231]),
)


async def opened() -> object:
    return object()


def limit_of(case: Case) -> whilst.Limit | None:
    def by(item: int) -> int:
        if item == case.bad_key:
            raise KeyError(item)
        return item % 3

    def weight(item: int) -> int:
        if item == case.bad_weight:
            raise ValueError(item)
        return 1 + item % 2

    makers = {
        "two": lambda: whilst.Limit(concurrency=2),
        "rate": lambda: whilst.Limit(rate="4/s"),
        "one a key": lambda: whilst.Limit(concurrency=1, by=by),
        "rate a key": lambda: whilst.Limit(rate="4/s", by=by),
        "weighed": lambda: whilst.Limit(rate="4/s", weight=weight),
        "adaptive": lambda: whilst.Limit(concurrency="adaptive"),
    }
    return makers[case.limits[0]]() if case.limits else None


def policies_of(case: Case) -> dict[str, Any]:
    def seconds(error: BaseException) -> float | None:
        return None if isinstance(error, Final) else (1.0171 if case.on == "after a second" else 0.1327)

    retry = None
    if case.attempts is not None:
        retry = whilst.Retry(
            attempts=case.attempts,
            on=whilst.transient if case.on == "transient" else seconds,
            base=0.5173,
            total=None if case.untimed else case.total,
            budget=None if case.blocking else case.budget,
            breaker=case.breaker and not case.blocking,
        )
    return {"limit": limit_of(case), "retry": retry, "timeout": None if case.untimed else case.timeout}


class Seen:
    """What one way to write it came to."""

    def __init__(self, case: Case, way: str) -> None:
        self.case, self.way = case, way
        self.server = Server(
            {index: [KINDS[kind] for kind in script] for index, script in enumerate(case.scripts)},
            naps=lambda item, attempt: case.naps[(item + attempt) % len(case.naps)] + 0.00137 * (item + 1),
            by=lambda item: item % 3,
        )
        self.outcomes: list[Any] = []
        self.tally: dict[str, Any] = {}

    def function(self) -> Any:
        server, script = self.server, self.server.script

        async def call(item: int, opened: object = None) -> Any:
            return await server(item)

        def block(item: int, opened: object = None) -> Any:
            server.calls[item] += 1
            trouble = script[item][min(server.calls[item], len(script[item])) - 1]
            server.starts.append((virtual_now(), item))
            if trouble is None:
                return item
            raise trouble() if callable(trouble) else trouble

        return block if self.case.blocking else call

    async def main(self) -> None:
        case, fn, policies, inputs = self.case, self.function(), policies_of(self.case), range(len(self.case.scripts))
        concurrency = (
            min(2, case.concurrency) if "two" in case.limits else case.concurrency
        )  # as many lanes, either way
        if {"one a key", "rate a key"} & {*case.limits}:
            concurrency += 14  # keys do not compete for lanes, where the one that goes first is nobody's promise
        common: dict[str, Any] = {"concurrency": concurrency, "ordered": case.ordered}
        run: Any
        match self.way:
            case "map":
                run = whilst.map(fn, inputs, **common, **policies)
            case "step":
                run = whilst.map(whilst.step(fn, **policies), inputs, **common)
            case _:
                run = whilst.map(fn, inputs, use={"opened": whilst.resource(opened, per="run")}, **common, **policies)
        run._plan = run._plan._replace(run_ahead=64)  # how early inputs are read is nobody's promise either
        if case.drained is not None and not case.untimed:
            asyncio.get_running_loop().call_later(case.drained, run.drain)
        async for o in run.outcomes():
            took = 0.0 if case.untimed else round(o.took, 6)
            self.outcomes.append((o.index, o.input, o.ok, o.value, repr(o.error), o.attempts, took))
        if not case.ordered:
            self.outcomes.sort()
        end = run.summary()
        self.tally = {
            "ok": end.ok,
            "failed": end.failed,
            "failures": dict(end.failures),
            "retried": end.retried,
            "rejected": end.rejected,
            "waiting": end.waiting,
            "in_flight": end.in_flight,
            "elapsed": 0.0 if case.untimed else round(end.elapsed, 6),
        }

    @property
    def starts(self) -> list[tuple[float, int]]:
        return sorted((0.0 if self.case.untimed else round(when, 6), item) for when, item in self.server.starts)


def virtual_now() -> float:
    return CLOCK[0]()


CLOCK: list[Any] = [lambda: 0.0]


def seen(case: Case, way: str) -> Seen:
    async def main() -> Seen:
        CLOCK[0] = asyncio.get_running_loop().time
        one = Seen(case, way)
        await alone(one.main())
        return one

    half = mock.patch("os.urandom", side_effect=lambda size: b"\x80" + bytes(size - 1))  # what draws are made of
    fine = mock.patch("whilst.engine.deadlines.COARSE", 0.0)  # when a look comes is no promise
    patient = mock.patch("whilst.engine.asking.MOMENT", math.inf)  # a busy machine makes `by` seem to take long
    with half, fine, patient:
        return testing.run(main())


def case(*scripts: list[str], **more: Any) -> Case:
    plain: dict[str, Any] = {
        "naps": [0.0531], "attempts": 2, "on": "soon", "total": None, "budget": 0.2, "breaker": False, "limits": [],
        "bad_key": None, "bad_weight": None, "concurrency": 1, "ordered": False, "timeout": None, "blocking": False,
    }  # fmt: skip
    return Case(scripts=list(scripts), **{**plain, **more})


@pytest.mark.slow
@example(case(["fine"], ["busy"], ["fine"], ["fine"], ["busy"], limits=["one a key"]))  # who waits has not been called
@example(case(["fine"], ["busy"], ["fine"], naps=[0.0531, 3.0119], on="transient", total=2.5391, budget=None))
@example(case(["reset", "fine"], naps=[0.0531], drained=0.0791, concurrency=4))  # it waits for its second attempt
@example(case(["reset", "reset"], naps=[1.0037], drained=0.6133, concurrency=4))  # it fails after that
@example(case(["reset", "fine"], ["fine"], ["reset", "fine"], naps=[0.0531], limits=["rate"], drained=0.6133))
@pytest.mark.timeout(300 * SOAK)  # a time limit in the midst of an example looks like a failure that comes and goes
@settings(max_examples=120 * SOAK)
@given(cases)
def test_the_three_ways_are_the_same(case: Case) -> None:
    first, *others = [seen(case, way) for way in ("map", "step", "use")]
    ends = [round(when, 6) for when, _ in first.server.ends]
    assume(len({*ends}) == len(ends))  # what follows from an order within one instant may differ
    for other in others:
        assert other.starts == first.starts, other.way
        assert other.outcomes == first.outcomes, other.way
        assert other.tally == first.tally, other.way


@pytest.mark.parametrize("way", ["map", "step", "use"])
def test_an_input_that_cannot_be_weighed_keeps_nobody_behind_it_waiting(way: str) -> None:
    """Where one call is made at a time, and the last look was at the one that fails."""
    case = Case([["fine"], ["busy"], ["fine"], ["fine"]], [0.05], None, "soon", None, None, False, ["weighed"])
    world = seen(replace(case, bad_weight=2), way)
    assert [outcome[2] for outcome in world.outcomes] == [True, False, False, True]


@pytest.mark.parametrize("way", ["map", "step", "use"])
def test_a_full_key_holds_nobody_up(way: str) -> None:
    """600 inputs for two hosts, one of 100/s and one of 10/s: the fast ones are through when their own rate says so."""

    async def main() -> None:
        ends: dict[str, float] = {}

        async def call(item: tuple[str, int], opened: object = None) -> None:
            ends[item[0]] = asyncio.get_running_loop().time()

        inputs = [(host, number) for number in range(300) for host in ("fast", "slow")]
        limit = whilst.Limit(concurrency=1, by=lambda item: item[0])
        policies: dict[str, Any] = {"limit": limit}

        async def nap(item: tuple[str, int], opened: object = None) -> None:
            await asyncio.sleep(0.01 if item[0] == "fast" else 0.1)
            await call(item)

        run: Any
        if way == "map":
            run = whilst.map(nap, inputs, **policies)
        elif way == "step":
            run = whilst.map(whilst.step(nap, **policies), inputs)
        else:
            run = whilst.map(nap, inputs, use={"opened": whilst.resource(opened, per="run")}, **policies)
        await run
        assert ends["fast"] < 3.5
        assert 30.0 - 1e-6 <= ends["slow"] < 30.5  # a sum of many floats

    testing.run(main())


@pytest.mark.parametrize("way", ["map", "step", "use"])
def test_no_lane_is_idle_while_another_key_waits_behind_a_full_one(way: str) -> None:
    async def main() -> None:
        starts: dict[str, float] = {}

        async def call(item: str, opened: object = None) -> None:
            starts.setdefault(item, asyncio.get_running_loop().time())
            await asyncio.sleep(0.1)

        inputs = ["slow"] * 32 + ["other"] * 4
        limit = whilst.Limit(concurrency=1, by=str)
        if way == "map":
            await whilst.map(call, inputs, limit=limit)
        elif way == "step":
            await whilst.map(whilst.step(call, limit=limit), inputs)
        else:
            await whilst.map(call, inputs, limit=limit, use={"opened": whilst.resource(opened, per="run")})
        assert starts["other"] < 0.05

    testing.run(main())
