"""One contract for every place where calls are made: the same call, the same outcomes; only `executor=` changes.

What a place cannot keep is in `CANNOT`, and a row of the table in docs/processes.md.
"""

from __future__ import annotations

import asyncio
import itertools
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import calls
import pytest
from standin import StandIn

import whilst


class Place(NamedTuple):
    """A place where calls are made, as a user asks for it."""

    name: str
    executor: Any
    is_async: bool = False
    per: str = "process"
    start: float = 0.0
    """Seconds that it may take until the first call is made."""

    def fn(self, name: str) -> Callable[[Any], Any]:
        """Return the function of that name, in this place's colour."""
        found: Callable[[Any], Any] = getattr(calls, name + "_async" * self.is_async)
        return found


PLACES = [
    Place("loop", "auto", is_async=True, per="run"),
    Place("thread", "thread", per="thread"),
    Place("process", "process", start=3.0),
    Place("node", StandIn("here"), start=8.0),
    Place("node, async", StandIn("here"), is_async=True, start=8.0),
    Place("ray", None, start=10.0),
    Place("ray, async", None, is_async=True, start=10.0),
]
"""Another executor is another row here. A node is a stand-in for one of Ray's, which needs no Ray."""

CANNOT: dict[str, set[str]] = {
    "loop": set(),
    "thread": {"end a call"},
    "process": set(),
    "node": {"end a call before the run ends"},
    "node, async": set(),
    "ray": {"end a call before the run ends"},
    "ray, async": set(),
}


@pytest.fixture(params=PLACES, ids=lambda place: place.name)
def place(request: pytest.FixtureRequest) -> Place:
    found: Place = request.param
    if found.executor is None:
        found = found._replace(executor=request.getfixturevalue("cluster"))
    return found


@pytest.fixture
def cluster(machines: Any) -> Any:
    """The cluster of the tests; two of them would be too much for a machine."""
    from whilst.ray import Ray

    return Ray(machines.address, nodes=1, trusted=True)


def test_order(place: Place) -> None:
    inputs = [0.06, 0.0, 0.03, 0.0, 0.01, 0.0]
    run = whilst.map(place.fn("nap"), inputs, executor=place.executor, concurrency=3)
    assert run.list() == inputs
    run = whilst.map(place.fn("same"), range(500), executor=place.executor, concurrency=3, ordered=False)
    assert sorted(run) == list(range(500))


def test_failures_are_data_of_the_users_own_types(place: Place) -> None:
    outcomes = list(whilst.map(place.fn("refuse"), range(50), executor=place.executor, concurrency=3).outcomes())
    assert [outcome.index for outcome in outcomes if not outcome.ok] == list(range(3, 50, 5))
    assert all(type(outcome.error) is calls.Refused for outcome in outcomes if not outcome.ok)
    assert (str(outcomes[8].error), outcomes[8].error.x) == ("no 8", 8)
    assert "the user's note" in outcomes[8].error.__notes__


def test_a_failure_raises_at_its_place_with_its_input(place: Place) -> None:
    got: list[int] = []
    with pytest.raises(calls.Refused) as caught:
        got.extend(whilst.map(place.fn("refuse"), range(10), executor=place.executor, concurrency=3))
    assert got == [0, 1, 2]
    assert any(note.startswith("whilst: input 3 was 3") for note in caught.value.__notes__)


def test_cancellation(place: Place) -> None:
    async def main() -> float:
        run = whilst.map(place.fn("nap"), [0.0, 4.0, 4.0, 4.0], executor=place.executor, concurrency=2)
        values = aiter(run)
        assert await anext(values) == 0.0
        began = time.monotonic()
        run.cancel()
        with pytest.raises(whilst.RunCancelled):
            await anext(values)
        return time.monotonic() - began

    assert asyncio.run(main()) < 3.5


def test_a_timeout_costs_its_own_input(place: Place) -> None:
    run = whilst.map(place.fn("nap"), [0.0, 4.0, 0.0], executor=place.executor, concurrency=2, timeout=0.4)
    outcomes = list(run.outcomes())
    assert [type(outcome.error) for outcome in outcomes] == [type(None), TimeoutError, type(None)]
    assert 0.35 <= outcomes[1].took < 3.9
    assert bool(run.summary().left_behind) == ("end a call" in CANNOT[place.name])


def test_a_deadline_ends_what_is_in_flight(place: Place) -> None:
    for start in (place.start / 4, place.start):  # which is waited for, and most need no more than a part
        began = time.monotonic()
        outcomes: list[Any] = []
        inputs, deadline = [0.0, *[6.0 + start] * 3], 1.5 + start
        run = whilst.map(place.fn("nap"), inputs, executor=place.executor, concurrency=2, deadline=deadline)
        with pytest.raises(whilst.DeadlineExceeded):
            outcomes.extend(run.outcomes())
        took = time.monotonic() - began
        if outcomes and outcomes[0].ok:
            break
    assert took < 5.0 + start
    assert [outcome.ok for outcome in outcomes][:1] == [True]
    assert all(isinstance(outcome.error, whilst.DeadlineExceeded) for outcome in outcomes[1:])
    assert len(outcomes) == 3


def test_stop_after(place: Place) -> None:
    run = whilst.map(place.fn("refuse"), itertools.count(), executor=place.executor, concurrency=2, stop_after=4)
    outcomes: list[Any] = []
    with pytest.raises(whilst.Stopped):
        outcomes.extend(run.outcomes())
    assert sum(not outcome.ok for outcome in outcomes) >= 4


def test_laziness_and_backpressure(place: Place) -> None:
    read = 0

    def source() -> Iterator[int]:
        nonlocal read
        while True:
            read += 1
            yield read

    run = whilst.map(place.fn("same"), source(), executor=place.executor, concurrency=2)
    assert read == 0
    with run:
        for value in itertools.islice(run, 20):
            time.sleep(0.01)
            assert read <= value + 64, "a slow consumer is hardly ahead of its source"


def test_context_variables_reach_calls_and_do_not_leak(place: Place) -> None:
    token = calls.TENANT.set("acme")
    try:
        found = whilst.map(place.fn("tenant"), range(40), executor=place.executor, concurrency=2).list()
    finally:
        calls.TENANT.reset(token)
    assert set(found) == {"acme"}


@pytest.mark.parametrize("is_step", [False, True])
def test_what_the_program_does_with_warnings_is_done_with_those_of_calls(place: Place, *, is_step: bool) -> None:
    old = place.fn("old")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        fn = whilst.sequence(calls.same, whilst.step(old, executor=place.executor)) if is_step else old
        given = {} if is_step else {"executor": place.executor}
        assert whilst.map(fn, [1], concurrency=1, **given).list() == [1]
        warnings.filterwarnings("error", "ol", DeprecationWarning)
        outcome, *_ = whilst.map(fn, [1], concurrency=1, **given).outcomes()
    assert isinstance(outcome.error, DeprecationWarning)


def test_resources_are_opened_and_closed(place: Place, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("WHILST_TEST_OPENED", str(tmp_path / "opened"))
    if place.name.startswith("ray"):  # whose environment is that of its nodes
        place.executor._place.options["runtime_env"] = {"env_vars": {"WHILST_TEST_OPENED": str(tmp_path / "opened")}}
    use = {"opened": whilst.resource(calls.Opened, per=place.per)}  # type: ignore[arg-type]
    run = whilst.map(place.fn("with_opened"), range(20), executor=place.executor, concurrency=2, use=use)
    assert all(run.list())
    found = Counter((tmp_path / "opened").read_text().split())
    assert found["opened"] == found["closed"]
    assert 1 <= found["opened"] <= 2


def test_retries(place: Place, tmp_path: Path) -> None:
    inputs = [(str(tmp_path), x) for x in range(6)]
    retry = whilst.Retry(attempts=5, base=0.01, budget=None)
    run = whilst.map(place.fn("third_time"), inputs, executor=place.executor, concurrency=3, retry=retry)
    outcomes = list(run.outcomes())
    assert [outcome.value for outcome in outcomes] == list(range(6))
    assert {outcome.attempts for outcome in outcomes} == {3}
    assert run.summary().retried == 12


def test_pushback_pauses_all_and_counts_no_attempt_of_others(place: Place, tmp_path: Path) -> None:
    inputs = [(str(tmp_path), x) for x in range(100)]
    run = whilst.map(place.fn("slower_once"), inputs, executor=place.executor, concurrency=2, retry=3)
    outcomes = list(run.outcomes())
    assert [outcome.value for outcome in outcomes] == list(range(100))
    assert [outcome.index for outcome in outcomes if outcome.attempts > 1] == [10]
    assert (run.summary().rejected, run.summary().elapsed >= 0.3) == (1, True)


def test_what_an_answer_says_of_calls_left_slows_the_run_down(place: Place) -> None:
    made = whilst.map(place.fn("learn"), range(3), executor=place.executor, concurrency=1).list()
    assert made[1] - made[0] > 1.0


def test_a_limit_is_shared_with_other_runs(place: Place) -> None:
    limit = whilst.Limit(concurrency=1)

    async def main() -> list[tuple[float, float]]:
        runs = [
            whilst.map(place.fn("span"), [0.02] * 6, executor=place.executor, concurrency=2, limit=limit)
            for _ in range(2)
        ]
        return [one for spans in await asyncio.gather(*(_awaited(run) for run in runs)) for one in spans]

    spans = sorted(asyncio.run(main()))
    assert len(spans) == 12
    assert all(one[1] <= other[0] for one, other in itertools.pairwise(spans))


async def _awaited(run: Any) -> list[Any]:
    found: list[Any] = await run
    return found


def test_a_journal_goes_on_where_a_run_ended(place: Place, tmp_path: Path) -> None:
    path = tmp_path / "run.db"
    for value in whilst.map(place.fn("same"), range(100), executor=place.executor, concurrency=2, journal=path):
        if value == 30:
            break
    run = whilst.map(place.fn("same"), range(100), executor=place.executor, concurrency=2, journal=path)
    outcomes = list(run.outcomes())
    assert [outcome.value for outcome in outcomes] == list(range(100))
    assert run.summary().recalled >= 30


def test_a_call_knows_which_one_it_is(place: Place, tmp_path: Path) -> None:
    inputs = [(str(tmp_path), x) for x in range(5)]
    retry = whilst.Retry(attempts=3, base=0.01)
    run = whilst.map(place.fn("which"), inputs, executor=place.executor, concurrency=2, retry=retry)
    found = run.list()
    assert [(index, attempt) for index, attempt, _ in found] == [(0, 1), (1, 1), (2, 2), (3, 1), (4, 1)]
    assert len({key for *_, key in found}) == 5


def test_a_stage_of_a_flow(place: Place) -> None:
    stage = whilst.each(place.fn("same"), executor=place.executor, concurrency=2)
    assert whilst.sequence(range, stage, sum)(50) == sum(range(50))


def test_a_call_adds_inputs_to_its_run(place: Place) -> None:
    run = whilst.map(place.fn("half"), [20], executor=place.executor, concurrency=2)
    assert run.list() == [20, 10, 5, 2, 1]


def test_what_a_call_adds_and_nobody_understands_fails_that_call(place: Place) -> None:
    """Such an item kept all that came behind it from being heard."""
    if place.name in ("loop", "thread"):
        return  # nothing is sent
    outcomes = list(whilst.map(place.fn("add_odd"), range(20), executor=place.executor, deadline=60.0).outcomes())
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [1]
    assert isinstance(outcomes[1].error, LookupError)
    assert [outcome.value for outcome in outcomes if outcome.ok] == [0, *range(2, 20)]


def test_a_step_adds_inputs_to_the_run_of_its_flow(place: Place) -> None:
    flow = whilst.sequence(calls.same, whilst.step(place.fn("half"), executor=place.executor))
    assert whilst.map(flow, [20]).list() == [20, 10, 5, 2, 1]


def test_what_a_call_has_spent_is_counted(place: Place) -> None:
    limit = whilst.Limit(rate="100/s", weight=lambda cost: 1)
    began = time.monotonic()
    run = whilst.map(place.fn("spend"), [40.0] * 5, executor=place.executor, concurrency=1, limit=limit)
    assert run.list() == [40.0] * 5
    assert time.monotonic() - began > 1.4, "four times what was spent, at the rate"


def test_what_nothing_counts_cannot_be_spent(place: Place) -> None:
    outcomes = list(whilst.map(place.fn("spend"), [1.0, 2.0], executor=place.executor, concurrency=1).outcomes())
    assert all("so nothing counts what it has spent" in str(outcome.error) for outcome in outcomes)


def test_the_summary_says_what_each_worker_did(place: Place) -> None:
    run = whilst.map(place.fn("nap"), [0.01] * 12, executor=place.executor, concurrency=2)
    run.list()
    workers = run.summary().workers
    if place.name in ("loop", "thread"):
        assert workers == {}
    else:
        assert sum(each["calls"] for each in workers.values()) == 12
        assert sum(each["seconds"] for each in workers.values()) >= 0.12
        assert all(name.startswith("worker " if place.name == "process" else "node ") for name in workers)
