"""Any run against a sequential reference: the same outcomes, the order, the bound, the time."""

import asyncio
import heapq
from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from kit import Gauge, asynchronously

import whilst
from whilst import testing

LATE = 0.006  # a call past its timeout is seen within 5 ms


@dataclass(frozen=True)
class Case:
    naps: list[float]
    bad: frozenset[int]
    concurrency: int
    ordered: bool
    timeout: float | None
    source: str
    pause: float


cases = st.builds(
    Case,
    naps=st.lists(st.sampled_from([0, 0.5, 1, 1, 2, 3, 7]), max_size=25),
    bad=st.frozensets(st.integers(0, 24), max_size=6),
    concurrency=st.integers(1, 7),
    ordered=st.booleans(),
    timeout=st.sampled_from([None, None, 1.75, 4]),
    source=st.sampled_from(["list", "async", "slow async"]),
    pause=st.sampled_from([0, 0, 0.25, 2]),
)


class Boom(Exception):
    pass


def gauge_of(case: Case) -> Gauge:
    return Gauge(dict(enumerate(case.naps)), {i: Boom(i) for i in case.bad})


def run_of(case: Case, gauge: Gauge) -> whilst.Run[int, int]:
    inputs = range(len(case.naps))
    gaps = {"async": 0.0, "slow async": 0.75}
    source = list(inputs) if case.source == "list" else asynchronously(inputs, gaps[case.source])
    return whilst.map(gauge, source, concurrency=case.concurrency, ordered=case.ordered, timeout=case.timeout)


def expected(case: Case, index: int) -> object:
    if case.timeout is not None and case.naps[index] > case.timeout:
        return TimeoutError
    return Boom if index in case.bad else index


def greedy_time(case: Case) -> float:
    """Return when the last call ends if a free lane always takes the next input at once."""
    free = [0.0] * case.concurrency
    for nap in case.naps:
        took = min(nap, case.timeout) if case.timeout is not None else nap
        heapq.heappush(free, heapq.heappop(free) + took)
    return max(free)


@settings(max_examples=150)
@given(cases)
def test_outcomes_are_those_of_calling_one_after_another(case: Case) -> None:
    async def main() -> None:
        gauge, seen = gauge_of(case), []
        run = run_of(case, gauge)
        async for outcome in run.outcomes():
            seen.append(outcome)
            assert len(gauge.started) - len(seen) <= 1024
            if case.pause:
                await asyncio.sleep(case.pause)
        wanted = [expected(case, index) for index in range(len(case.naps))]
        by_index = sorted(seen, key=lambda o: o.index)
        assert [o.value if o.ok else type(o.error) for o in by_index] == wanted
        assert [o.index for o in by_index] == [*range(len(case.naps))]
        if case.ordered:
            assert seen == by_index
        else:
            ends = [o.started + o.took for o in seen]
            assert ends == sorted(ends)
        assert sorted(gauge.started) == [*range(len(case.naps))]
        assert gauge.most <= case.concurrency
        if case.source == "list" and not case.pause and not case.ordered:
            late = LATE * len(case.naps) if case.timeout else 1e-6
            assert abs(run.summary().elapsed - greedy_time(case)) <= late
        end = run.summary()
        assert (end.ok + end.failed, end.in_flight, end.done) == (len(wanted), 0, True)

    testing.run(main())


@settings(max_examples=150)
@given(cases)
def test_values_are_those_before_the_first_failure(case: Case) -> None:
    async def main() -> None:
        gauge, values, raised = gauge_of(case), [], None
        try:
            async for value in run_of(case, gauge):
                values.append(value)
                if case.pause:
                    await asyncio.sleep(case.pause)
        except (Boom, TimeoutError) as error:
            raised = error
        wanted = [expected(case, index) for index in range(len(case.naps))]
        first_bad = next((i for i, want in enumerate(wanted) if want != i), None)
        if first_bad is None:
            assert raised is None
            assert sorted(values) == wanted
        else:
            assert raised is not None
        if case.ordered:
            assert values == wanted[:first_bad]
            assert raised is None or type(raised) is wanted[first_bad or 0]
        assert len(values) == len(set(values))
        assert gauge.most <= case.concurrency
        assert gauge.inside == 0
        assert sorted(gauge.started) == sorted(gauge.ended)

    testing.run(main())


@settings(max_examples=60)
@given(cases, st.floats(0, 20), st.sampled_from(["cancel", "drain"]))
def test_whatever_had_finished_when_a_word_is_said_is_delivered(case: Case, when: float, word: str) -> None:
    async def main() -> None:
        gauge, seen, raised = gauge_of(case), [], None
        run = run_of(case, gauge)
        asyncio.get_running_loop().call_later(when, getattr(run, word))
        try:
            async for outcome in run.outcomes():
                seen.append(outcome)  # noqa: PERF401
        except whilst.RunCancelled as error:
            raised = error
        assert [o.value if o.ok else type(o.error) for o in seen] == [expected(case, o.index) for o in seen]
        late = {i for i in gauge.cancelled if expected(case, i) is TimeoutError}
        assert {o.index for o in seen} >= set(gauge.ended) - set(gauge.cancelled) - late
        assert len({o.index for o in seen}) == len(seen)
        if word == "drain":
            assert raised is None
            assert sorted(o.index for o in seen) == sorted(gauge.started) == [*range(len(seen))]
        assert gauge.inside == 0

    testing.run(main())
