"""What holds a run up is said while it does, and in its summary: pauses with their key and reason, the retry budget."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from typing import Any

import pytest
from kit import virtually
from policykit import Server, busy, reset

import whilst
from whilst.core.held import DOWN, Held, key_name
from whilst.core.summary import pending

Host = dict[str, Any]


async def looked_at(run: Any, *moments: float) -> list[whilst.Summary]:
    """Take a run, and return its summaries at some times and at its end."""
    loop, seen = asyncio.get_running_loop(), list[whilst.Summary]()
    for moment in moments:
        loop.call_later(moment, lambda: seen.append(run.summary()))
    await run.outcomes()
    return [*seen, run.summary()]


@virtually
async def test_a_pause_of_all_calls_is_said_with_its_reason() -> None:
    server = Server({3: [busy(30.0), None]}, naps=lambda item, attempt: 0.1)
    then, end = await looked_at(whilst.map(server, range(50), concurrency=5, retry=3), 10.0)
    assert then.held == ("paused for 20 s (busy)",)
    assert then.paused == pytest.approx(20.1, abs=0.11)
    assert "paused for 20 s (busy)" in pending(then)
    assert (end.held, end.paused) == ((), 0.0)


@virtually
async def test_a_pause_of_a_key_is_said_with_the_key() -> None:
    server = Server({3: [busy(30.0), None], 4: [busy(60.0), None]}, naps=lambda item, attempt: 0.1)
    limit = whilst.Limit(concurrency=2, by=lambda item: f"{'abc'[item % 3]}.example")
    run = whilst.map(server, range(60), limit=limit, concurrency=6, retry=3, ordered=False)
    then, end = await looked_at(run, 10.0)
    assert [text.partition(" for ")[0] for text in then.held] == ["b.example paused", "a.example paused"]
    assert all(text.endswith(" s (busy)") for text in then.held)
    assert end.held == ()


@virtually
async def test_an_answer_that_says_none_are_left_is_a_reason_too() -> None:
    from whilst.core.headers import Left
    from whilst.lanes.calling import listener_now

    async def fn(item: int) -> int:
        await asyncio.sleep(0.1)
        listener = listener_now()
        if item == 3 and listener is not None:
            listener.allow(Left(0, 30))
        return item

    then, _ = await looked_at(whilst.map(fn, range(50), concurrency=1), 10.0)
    assert then.held[0].endswith("(no calls are left)")


@virtually
async def test_the_key_that_a_breaker_paused_is_named() -> None:
    server = Server({item: [reset] for item in range(0, 400, 2)}, naps=lambda item, attempt: 0.01)
    limit = whilst.Limit(concurrency=1, by=lambda item: f"{'ab'[item % 2]}.example")
    run = whilst.map(server, range(400), limit=limit, retry=whilst.Retry(attempts=1), ordered=False, concurrency=8)
    then, end = await looked_at(run, 2.0)
    assert then.held[0].startswith("a.example paused for ")
    assert then.held[0].endswith(f"({DOWN})")
    assert end.notes[-1].startswith("paused ")
    assert "(a.example)" in end.notes[-1]
    assert "fewer than one in ten calls within 10 s went well" in end.notes[-1]


@virtually
async def test_an_adaptive_run_of_which_all_is_refused_goes_on_once_a_second_and_says_why() -> None:
    server = Server({item: [busy()] for item in range(100)}, naps=lambda item, attempt: 0.05)
    limit = whilst.Limit(concurrency="adaptive")
    then, end = await looked_at(whilst.map(server, range(100), limit=limit), 10.0)
    words = "everything is refused: single calls, one a second at least"
    assert words in then.held
    assert words in end.notes
    assert words in repr(limit)
    assert limit.statistics().found == words
    assert (end.failed, end.elapsed <= 105) == (100, True)
    gaps = [later - earlier for (earlier, _), (later, _) in itertools.pairwise(server.starts)]
    assert max(gaps) <= 1.0 + 0.06


# -- the retry budget -------------------------------------------------------------------------------------------------


def failing(share: float, attempts: int = 1) -> Server:
    """Return a server where that share of 2,000 inputs fails at the first attempts."""
    every = round(1 / share)
    script = {item: [*[reset] * attempts, None] for item in range(2000) if item % every == 0}
    return Server(script, naps=lambda item, attempt: 0.01)


@virtually
async def test_retries_that_wait_for_their_budget_say_so_and_name_the_way_out() -> None:
    run = whilst.map(failing(0.33), range(2000), retry=5)
    then, end = await looked_at(run, 3.0)
    assert then.held == ("waits for the retry budget (20 %)",)
    assert "waits for the retry budget (20 %)" in pending(then)
    (note,) = end.notes
    assert note.startswith("waits for the retry budget (20 %): ")
    assert "Retry(budget=0.5)" in note
    patient = whilst.Retry(7, on=(ConnectionError, OSError), cap=2.0, on_value=lambda value: value == "later")
    _, end = await looked_at(whilst.map(failing(0.33), range(2000), retry=patient), 3.0)
    (note,) = end.notes  # what was given stays
    assert "; Retry(attempts=7, on=(ConnectionError, OSError), cap=2.0, budget=0.5, on_value=…) lets more" in note
    wider = whilst.map(failing(0.33), range(2000), retry=whilst.Retry(budget=0.5))
    _, fine = await looked_at(wider, 0.1)
    assert fine.notes == ()
    assert fine.elapsed < end.elapsed / 3


@virtually
async def test_retries_within_their_budget_say_nothing() -> None:
    then, end = await looked_at(whilst.map(failing(0.1), range(2000), retry=5), 0.3)
    assert (then.held, end.notes) == ((), ())


@virtually
async def test_a_step_whose_retries_wait_says_so_by_name() -> None:
    flow = whilst.sequence(whilst.step(failing(0.33), retry=5))
    _, end = await looked_at(whilst.map(flow, range(2000)), 0.1)
    assert [note.partition(" (")[0] for note in end.notes] == ["Server(): waits for the retry budget"]


# -- a host that is ill, and one that is down -------------------------------------------------------------------------


def hosts(ill: Callable[[int], bool]) -> tuple[Server, whilst.Limit]:
    """Return a server of three hosts, where calls number n of the first fail if `ill(n)`; and a limit for each host."""
    calls = 0

    class Hosts(Server):
        async def __call__(self, item: int) -> int:
            nonlocal calls
            value: int = await super().__call__(item)
            if item % 3 == 0:
                calls += 1
                if ill(calls):
                    raise reset()
            return value

    return Hosts(naps=lambda item, attempt: 0.1), whilst.Limit(concurrency=4, by=lambda item: item % 3)


@virtually
async def test_a_host_that_fails_half_the_time_takes_no_longer_than_without_a_breaker() -> None:
    took: dict[bool, float] = {}
    for breaker in (True, False):
        rng = random.Random(1)
        server, limit = hosts(lambda _: rng.random() < 0.5)  # noqa: B023 - the run ends within the round
        retry = whilst.Retry(attempts=50, base=0.0, breaker=breaker, budget=None)
        run = whilst.map(server, range(500), limit=limit, retry=retry, ordered=False)
        outcomes = await run.outcomes()
        assert all(outcome.ok for outcome in outcomes)
        took[breaker] = run.summary().elapsed
    assert took[True] <= 1.15 * took[False]


@virtually
@pytest.mark.parametrize("limit", [None, whilst.Limit(concurrency=32)])
async def test_what_went_well_before_the_first_failure_counts_although_nothing_was_watched_then(limit: Any) -> None:
    """A run without limits makes its breaker when the first call fails."""
    server = Server({item: [reset, None] for item in range(200, 232)}, naps=lambda item, attempt: 0.01)
    run = whilst.map(server, range(300), limit=limit, concurrency=32, retry=whilst.Retry(5, base=0.01))
    assert len(await run) == 300
    assert run.summary().elapsed < 2.0  # a breaker pauses for as long


@virtually
async def test_a_host_that_is_down_sees_probes_only() -> None:
    server, limit = hosts(lambda number: True)
    run = whilst.map(server, range(3000), limit=limit, retry=3, ordered=False, deadline=300)
    try:
        await run.outcomes()
    except whilst.DeadlineExceeded:
        pass
    dead = sorted(when for when, item in server.starts if item % 3 == 0)
    assert sum(when > 5.0 for when in dead) <= 10  # after 5, 10, 20, 40, 60, 60 … s
    assert sum(item % 3 != 0 for _, item in server.ends) == 2000


# -- the words --------------------------------------------------------------------------------------------------------


def test_pauses_that_are_over_are_forgotten_and_the_longest_come_first() -> None:
    held = Held()
    for number in range(6):
        held.pause(f"host{number}", 10.0 + number, "busy")
    held.pause("host5", 2.0, "a shorter one")
    assert held.words(5.0) == (
        *("host5 paused for 10 s (busy)", "host4 paused for 9 s (busy)", "host3 paused for 8 s (busy)"),
        "3 more keys paused",
    )
    assert held.words(14.5) == ("host5 paused for 0 s (busy)",)
    assert held.words(20.0) == ()
    assert held.until("host5") == 0.0


def test_a_key_says_no_secret_and_no_more_than_fits() -> None:
    assert key_name(["https://me:canary@api.example/", None]) == "https://…@api.example/"
    assert len(key_name(["x" * 500])) <= 60
