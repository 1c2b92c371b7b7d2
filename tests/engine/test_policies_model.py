"""Random failures, limits, retries, and words that end a run at random moments: nothing lost, nothing counted twice.

The model knows how each input must end if nothing ends the run; whatever ends it, the books of the other side, of the
run and of the limits must agree.
"""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from kit import alone, asynchronously
from policykit import Final, Server, busy, most_in_any, reset

import whilst
from whilst import testing
from whilst.limit.limit import state_of

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
KINDS = {"final": Final, "reset": reset, "busy": busy(), "pause": busy(1.5), "fine": None}
RETRIED = {"reset", "busy", "pause"}
RATE = 4  # a second


@dataclass(frozen=True)
class Case:
    scripts: list[list[str]]
    naps: list[float]
    attempts: int | None
    on: str
    base: float
    total: float | None
    budget: float | None
    breaker: bool
    limits: list[str]
    bad_key: int | None
    bad_weight: int | None
    concurrency: int
    ordered: bool
    timeout: float | None
    source: str
    pause: float
    values: bool
    word: str
    moment: float


scripts = st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=4)
cases = st.builds(
    Case,
    scripts=st.lists(st.one_of(st.just(["fine"]), scripts), max_size=14),
    naps=st.lists(st.sampled_from([0, 0, 0.25, 1, 1, 3, 30]), min_size=1, max_size=9),
    attempts=st.sampled_from([None, 1, 2, 3, 3, 4]),
    on=st.sampled_from(["transient", "transient", "at once", "after a second"]),
    base=st.sampled_from([0.0, 0.1, 2.0]),
    total=st.sampled_from([None, None, 2.5, 8.0]),
    budget=st.sampled_from([None, 0.2]),
    breaker=st.booleans(),
    limits=st.lists(
        st.sampled_from(["two", "rate", "one a key", "rate a key", "weighed", "adaptive"]), max_size=2, unique=True
    ),
    bad_key=st.sampled_from([None, None, None, 0, 3]),
    bad_weight=st.sampled_from([None, None, None, 0, 4]),
    concurrency=st.integers(1, 6),
    ordered=st.booleans(),
    timeout=st.sampled_from([None, None, 2.75]),
    source=st.sampled_from(["list", "async", "slow async"]),
    pause=st.sampled_from([0, 0, 0, 0.3]),
    values=st.booleans(),
    word=st.sampled_from(["", "", "", "drain", "cancel", "leave", "deadline", "stop_after", "task"]),
    moment=st.sampled_from([0.0, 0.1, 0.9, 1.0, 1.6, 2.5, 4.0, 11.0]),
)


def key_of(case: Case, item: int) -> int:
    if item == case.bad_key:
        raise KeyError(item)
    return item % 3


def weight_of(case: Case, item: int) -> int:
    if item == case.bad_weight:
        raise ValueError(item)
    return 1 + item % 2


def limits_of(case: Case) -> dict[str, whilst.Limit]:
    by, weight = (lambda item: key_of(case, item)), (lambda item: weight_of(case, item))
    makers = {
        "two": lambda: whilst.Limit(concurrency=2),
        "rate": lambda: whilst.Limit(rate=f"{RATE}/s"),
        "one a key": lambda: whilst.Limit(concurrency=1, by=by),
        "rate a key": lambda: whilst.Limit(rate=f"{RATE}/s", by=by),
        "weighed": lambda: whilst.Limit(rate=f"{RATE}/s", weight=weight),
        "adaptive": lambda: whilst.Limit(concurrency="adaptive"),
    }
    return {name: makers[name]() for name in case.limits}


def retry_of(case: Case) -> whilst.Retry | None:
    if case.attempts is None:
        return None

    def seconds(error: BaseException) -> float | None:
        return None if isinstance(error, Final) else (1.0 if case.on == "after a second" else 0.0)

    return whilst.Retry(
        attempts=case.attempts,
        on=whilst.transient if case.on == "transient" else seconds,
        base=case.base,
        total=case.total,
        budget=case.budget,
        breaker=case.breaker,
    )


class World:
    """One run of one case, and what became of it."""

    def __init__(self, case: Case) -> None:
        self.case = case
        self.limits = limits_of(case)
        self.server = Server(
            {index: [KINDS[kind] for kind in script] for index, script in enumerate(case.scripts)},
            naps=lambda item, attempt: case.naps[(item + attempt) % len(case.naps)],
            by=lambda item: item % 3,
        )
        self.seen: list[whilst.Outcome[int, int]] = []
        self.values: list[int] = []
        self.raised: BaseException | None = None
        self.said: float | None = None
        inputs = range(len(case.scripts))
        gap = {"async": 0.0, "slow async": 0.6}.get(case.source, 0.0)
        first, *more = [*self.limits.values(), None]
        flow: Any = self.server
        self.run = whilst.map(
            flow,
            [*inputs] if case.source == "list" else asynchronously(inputs, gap),
            concurrency=case.concurrency,
            limit=first,
            retry=retry_of(case),
            ordered=case.ordered,
            timeout=case.timeout,
            deadline=case.moment or 0.05 if case.word == "deadline" else None,
            stop_after=2 if case.word == "stop_after" else None,
            total=len(case.scripts),
        )
        if more and more[0] is not None:  # a second limit; the public way takes one
            self.run._plan = self.run._plan._replace(limits=tuple(map(state_of, self.limits.values())))

    async def main(self) -> None:
        case, loop = self.case, asyncio.get_running_loop()
        taking = asyncio.ensure_future(self.take())
        if case.word in ("drain", "cancel", "task"):
            await asyncio.sleep(case.moment)
            self.said = loop.time()
            {"drain": self.run.drain, "cancel": self.run.cancel, "task": taking.cancel}[case.word]()
        await asyncio.wait([taking])
        if taking.cancelled():
            self.raised = asyncio.CancelledError()
        elif taking.exception() is not None:
            self.raised = taking.exception()
        self.end = self.run.summary()

    async def take(self) -> None:
        leaves = self.case.moment if self.case.word == "leave" else None
        loop = asyncio.get_running_loop()
        async with self.run:
            if self.case.values:
                async for value in self.run:
                    self.values.append(value)
                    if leaves is not None and loop.time() >= leaves:
                        break
                    await asyncio.sleep(self.case.pause)
                return
            async for outcome in self.run.outcomes():
                self.seen.append(outcome)
                if leaves is not None and loop.time() >= leaves:
                    break
                await asyncio.sleep(self.case.pause)

    # -- what must be true -----------------------------------------------------------------------------------------

    def check_books(self) -> None:
        case, server, end = self.case, self.server, self.end
        assert server.most_in_all <= case.concurrency
        assert not server.twice, "two attempts of one input at once"
        assert not server.inside[Server]
        assert end.done
        assert end.in_flight == end.waiting == end.abandoned == 0
        assert end.retried == sum(server.calls.values()) - len(server.calls)
        for name, limit in self.limits.items():
            now = limit.statistics()
            assert (now.in_flight, now.waiting) == (0, 0), name
            assert now.started >= sum(server.calls.values())
        if "two" in self.limits:
            assert server.most_in_all <= 2
        if "one a key" in self.limits:
            assert max((server.most[key] for key in range(3)), default=0) <= 1
        # while all permits of another limit are taken a rate saves up what it gives, a call for each permit at most
        saved = {"two": 2, "one a key": 3}.get(next(iter({*self.limits} - {"rate", "rate a key"}), ""), 0)
        if "rate" in self.limits:
            assert most_in_any([when for when, _ in server.starts], 1.0) <= RATE + 1 + saved
        if "rate a key" in self.limits:
            for key in range(3):
                assert most_in_any([when for when, item in server.starts if item % 3 == key], 1.0) <= RATE + 1 + saved
        if self.said is not None:
            assert all(when <= self.said + 1e-9 for when, _ in server.starts)

    def check_outcomes(self) -> None:
        case, end, indexes = self.case, self.end, [outcome.index for outcome in self.seen]
        assert len(set(indexes)) == len(indexes)
        if case.ordered:
            assert indexes == sorted(indexes)
        for outcome in self.seen:
            assert outcome.input == outcome.index
            assert outcome.attempts == self.server.calls[outcome.index], outcome
            assert outcome.attempts <= (case.attempts or 1)
            self.check_one(outcome)
        if case.word not in ("leave", "task"):
            assert end.ok == sum(outcome.ok for outcome in self.seen)
            assert end.failed == sum(not outcome.ok for outcome in self.seen)
        if case.word == "drain":
            assert self.raised is None
        if not case.word:
            assert self.raised is None
            assert sorted(indexes) == [*range(len(case.scripts))]
        if case.word in ("", "drain", "deadline", "stop_after"):
            # who was called has an outcome, however the run ended
            assert set(self.server.calls) <= set(indexes)

    def check_one(self, outcome: Any) -> None:
        """Compare with how the input ends if it is left alone, as far as time plays no part."""
        case, expected = self.case, expectation(self.case, outcome.index)
        cut = case.word or case.total is not None or case.timeout is not None or not outcome.attempts
        if outcome.ok:
            assert outcome.value == outcome.index
            assert case.timeout is not None or expected == (True, outcome.attempts)
        elif not cut:
            assert expected == (False, outcome.attempts), outcome

    def check_values(self) -> None:
        case = self.case
        if case.ordered:
            assert self.values == [*range(len(self.values))]
        else:
            assert len(set(self.values)) == len(self.values)
        if case.word or case.total is not None or case.timeout is not None:
            return
        ends = {index: expectation(case, index) for index in range(len(case.scripts))}
        failing = [index for index, end in ends.items() if end is not None and not end[0]]
        assert (self.raised is not None) == bool(failing)
        if failing and case.ordered:
            assert self.values == [*range(failing[0])]
        if failing:
            (note,) = getattr(self.raised, "__notes__", [""])[-1:]
            index = failing[0] if case.ordered else next(i for i in failing if f"input {i} was {i}," in note)
            attempts = ends[index][1]  # type: ignore[index]
            called = f"attempt {attempts}" if attempts else "without a call of its own"
            assert note == f"whilst: input {index} was {index}, {called}"


def expectation(case: Case, index: int) -> tuple[bool, int]:
    """Return whether an input that is left alone ends well, and after how many attempts."""
    if {"one a key", "rate a key"} & {*case.limits} and index == case.bad_key:
        return False, 0
    if "weighed" in case.limits and index == case.bad_weight:
        return False, 0
    script = case.scripts[index]
    for attempt in range(1, (case.attempts or 1) + 1):
        kind = script[min(attempt, len(script)) - 1]
        if kind == "fine":
            return True, attempt
        if kind not in RETRIED:
            break
    return False, attempt


@pytest.mark.slow
@pytest.mark.usefixtures("checked_book")
@pytest.mark.timeout(300)  # a time limit in the midst of an example looks like a failure that comes and goes
@settings(max_examples=400 * SOAK)
@given(cases)
def test_whatever_happens_the_books_agree(case: Case) -> None:
    async def main() -> World:
        world = World(case)
        await alone(world.main())
        return world

    world = testing.run(main())
    world.check_books()
    if case.values:
        world.check_values()
    else:
        world.check_outcomes()
