"""Promise 7: who says "slower" is obeyed by every call on that key, and a breaker pauses what is broken."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from kit import asynchronously, outcomes_until_error, virtually
from policykit import Server, busy, reset

import whilst
from whilst import testing

RESUMED_WITHIN = 0.25


def generator(items: range) -> Iterator[int]:
    yield from items


SOURCES: dict[str, Any] = {"list": list, "generator": generator, "async": asynchronously}
LIMITS: dict[str, Any] = {
    "none": lambda: None,
    "concurrency": lambda: whilst.Limit(concurrency=20),
    "rate": lambda: whilst.Limit(rate="500/s"),
    "adaptive": lambda: whilst.Limit(concurrency="adaptive"),
}


@pytest.mark.parametrize("nap", [0.0, 0.01])
@pytest.mark.parametrize("retry", [None, 3])
@pytest.mark.parametrize("limit", sorted(LIMITS))
@pytest.mark.parametrize("source", ["list", "async"])
def test_no_call_begins_before_its_time_and_the_next_within_a_quarter_of_a_second(
    source: str, limit: str, retry: int | None, nap: float
) -> None:
    @virtually
    async def main() -> None:
        server = Server({7: [busy(30.0), None]}, naps=lambda item, attempt: nap)
        run = whilst.map(
            server,
            SOURCES[source](range(60)),
            concurrency=10 if limit != "adaptive" else "adaptive",  # type: ignore[arg-type]
            limit=LIMITS[limit]() if limit != "adaptive" else None,
            retry=retry,
        )
        seen = await run.outcomes()
        ((said, begun),) = server.pushbacks
        later = [when - said for when, _ in server.starts[begun:]]
        assert not later or 30.0 <= min(later) <= 30.0 + RESUMED_WITHIN
        assert len(seen) == 60
        assert run.summary().rejected == 1
        assert [o.ok for o in seen].count(False) == (retry is None)

    main()


def test_calls_that_were_let_through_and_not_begun_wait_too() -> None:
    """With calls that return at once, one lane serves what was let through for all of them."""

    @virtually
    async def main() -> None:
        for limit in (None, whilst.Limit(concurrency=50), whilst.Limit(rate="1000/s", burst=50)):
            server = Server({0: [busy(10.0), None]}, naps=lambda item, attempt: 0)
            await whilst.map(server, range(30), concurrency=20, limit=limit).outcomes()
            began = server.starts_of(0)[0]
            assert sum(when < began + 10.0 for when, _ in server.starts) == 1

    main()


@pytest.mark.parametrize("limited", [True, False])
def test_calls_that_return_before_the_lane_that_was_told_has_another_turn_pass_no_permit_on(
    limited: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.lanes.loop.SLICE", -1.0)  # each lane gives the others a turn after each call

    @virtually
    async def main(item: int) -> None:
        limit = whilst.Limit(concurrency=8) if limited else None
        server = Server({item: [busy(10.0), None]}, naps=lambda item, attempt: 0.01)
        run = whilst.map(server, range(400), concurrency=8, limit=limit, retry=3)
        run._plan = run._plan._replace(run_ahead=500)  # so that there is always something to be passed a permit
        assert await run == [*range(400)]
        ((said, begun),) = server.pushbacks
        assert min(when - said for when, _ in server.starts[begun:]) >= 10.0

    for item in (0, 3, 77, 203, 350):
        main(item)


def test_only_the_key_that_said_so_pauses() -> None:
    @virtually
    async def main() -> None:
        server = Server({0: [busy(20.0), None]}, naps=lambda item, attempt: 0.1 if item else 0.09)
        limit = whilst.Limit(concurrency=2, by=lambda item: item % 3)
        run = whilst.map(server, range(30), concurrency=12, limit=limit, ordered=False)
        await run.outcomes()
        assert max(when for when, item in server.starts if item % 3) < 1.0
        slow = sorted(when for when, item in server.starts if item % 3 == 0)
        assert slow[:2] == [0, 0]
        assert all(when >= 20.09 for when in slow[2:])
        assert slow[2] <= 20.09 + RESUMED_WITHIN

    main()


def test_the_longest_of_several_waits_holds() -> None:
    @virtually
    async def main() -> None:
        server = Server({0: [busy(5.0)], 1: [busy(40.0)], 2: [busy(1.0)]})
        await whilst.map(server, range(9), concurrency=3).outcomes()
        assert 41.0 <= min(when for when, item in server.starts if item > 2) <= 41.0 + RESUMED_WITHIN

    main()


def test_a_pause_without_retries_is_kept_and_the_call_has_failed() -> None:
    @virtually
    async def main() -> None:
        server = Server({0: [busy(5.0)]})
        seen, raised = await outcomes_until_error(whilst.map(server, range(3), concurrency=1))
        assert (seen, raised) == ([whilst.Throttled, 1, 2], None)
        assert server.starts_of(1)[0] >= 6.0

    main()


def test_a_pause_can_be_drained_cancelled_and_left() -> None:
    @virtually
    async def main() -> None:
        for word in ("drain", "cancel"):
            server = Server({0: [busy(500.0)]})
            run = whilst.map(server, range(50), concurrency=2)
            task = asyncio.ensure_future(outcomes_until_error(run))
            await asyncio.sleep(5)
            getattr(run, word)()
            seen, raised = await task
            assert seen == [whilst.Throttled, 1]
            assert isinstance(raised, whilst.RunCancelled) == (word == "cancel")

    main()


@pytest.mark.parametrize("limited", [True, False])
@pytest.mark.parametrize("source", sorted(SOURCES))
@pytest.mark.parametrize("asynchronous", [True, False])
def test_it_holds_on_the_real_clock_for_every_source_and_colour(
    source: str, limited: bool, asynchronous: bool, eventually: Callable[..., bool]
) -> None:
    """All that is in flight stays there until the run knows of the pause, so none can begin meanwhile."""
    guard, starts, said, known = threading.Lock(), [], [], threading.Event()
    pause = 0.4

    def begin() -> int:
        with guard:
            starts.append(time.monotonic())
            return len(starts)

    def refuse() -> None:
        said.append(time.monotonic())
        raise whilst.Throttled(retry_after=pause)

    async def later(x: int) -> int:
        number = begin()
        if number == 40:
            refuse()
        await asyncio.sleep(0.001)
        return x

    def blocking(x: int) -> int:
        number = begin()
        if number == 40:
            assert eventually(lambda: len(starts) == 47, within=20)
            refuse()
        if number > 40:
            assert known.wait(20)
        return x

    def watch() -> None:
        eventually(lambda: run.summary().held or (said and time.monotonic() > said[0] + pause), within=20)
        known.set()

    inputs = SOURCES[source](range(80))
    limit = whilst.Limit(concurrency=8) if limited else None
    run = whilst.map(later if asynchronous else blocking, inputs, concurrency=8, limit=limit, retry=3)
    watching = threading.Thread(target=watch)
    watching.start()
    values = run.list() if source != "async" or not asynchronous else asyncio.run(_await(run))
    watching.join()
    assert values == [*range(80)]
    (moment,) = said
    early = [when - moment for when in starts if moment < when < moment + pause]
    # without a limit, a thread takes its next input before its run has heard of the failure
    assert len(early) <= (not asynchronous and not limited), early
    assert min(when for when in starts if when >= moment + pause) - moment <= pause + 10 * RESUMED_WITHIN


async def _await(run: Any) -> Any:
    return await run


def test_a_step_without_limits_pauses_for_all_its_calls() -> None:
    @virtually
    async def main() -> None:
        server = Server({3: [busy(30.0), None]}, naps=lambda item, attempt: 0.5)
        flow = whilst.sequence(whilst.step(server, retry=3))
        assert await whilst.map(flow, range(20), concurrency=4) == [*range(20)]
        said = next(when for when, item in server.ends if item == 3)
        assert not [when for when, _ in server.starts if said < when < said + 30.0]
        assert min(when for when, _ in server.starts if when > said) <= said + 30.0 + RESUMED_WITHIN

    main()


# -- the breaker -----------------------------------------------------------------------------------------------------


class Outage(Server):
    """Fails while the clock shows less than `until`."""

    def __init__(self, until: float, **more: Any) -> None:
        super().__init__(**more)
        self.until = until

    async def __call__(self, item: Any) -> Any:
        value = await super().__call__(item)
        if asyncio.get_running_loop().time() < self.until:
            raise reset()
        return value


@pytest.mark.parametrize("concurrency", [4, 30])
@pytest.mark.parametrize("limited", [True, False])
def test_an_outage_opens_the_breaker_which_probes_with_one_call_and_closes(concurrency: int, limited: bool) -> None:
    @virtually
    async def main() -> None:
        server = Outage(28.0, naps=lambda item, attempt: 0.1)
        limit = whilst.Limit(concurrency=concurrency) if limited else None
        retry = whilst.Retry(attempts=50, base=0.0, budget=None)
        run = whilst.map(server, range(300), concurrency=concurrency, limit=limit, retry=retry)
        assert await run == [*range(300)]
        moments = sorted({round(when, 6) for when, _ in server.starts})
        gaps = [later - earlier for earlier, later in itertools.pairwise(moments)]
        long = [round(gap) for gap in gaps if gap > 2]
        assert long == [2, 4, 8, 16]
        probes = [when for when, gap in zip(moments[1:], gaps, strict=True) if gap > 2]
        assert all(sum(abs(when - probe) < 0.05 for when, _ in server.starts) == 1 for probe in probes)
        assert run.summary().notes == (
            "paused 4 times, because fewer than one in ten calls within 10 s went well; then one call probed",
        )

    main()


def test_with_keys_each_has_a_breaker_of_its_own_which_is_remembered() -> None:
    @virtually
    async def main() -> None:
        server = Server(naps=lambda item, attempt: 0.01)
        server.script = {item: [reset] for item in range(0, 400, 2)}
        limit = whilst.Limit(concurrency=1, by=lambda item: item % 2)
        retry = whilst.Retry(attempts=1)
        run = whilst.map(server, range(400), limit=limit, retry=retry, ordered=False, concurrency=8)
        await run.outcomes()
        good = [when for when, item in server.starts if item % 2]
        assert max(good) < 3.0
        assert run.summary().notes[-1].startswith("paused")

    main()


def test_with_a_breaker_switched_off_nothing_pauses() -> None:
    @virtually
    async def main() -> None:
        server = Server({item: [reset] for item in range(100)}, naps=lambda item, attempt: 0.01)
        run = whilst.map(server, range(100), concurrency=2, retry=whilst.Retry(attempts=1, breaker=False))
        await run.outcomes()
        assert run.summary().elapsed == pytest.approx(0.5)

    main()


def test_a_success_after_a_failure_goes_the_short_way_again() -> None:
    """After one failure the breaker watches, and calls still pass their permit on: see `Gate.passed_on`."""

    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=2)
        server = Server({0: [reset, None]}, naps=lambda item, attempt: 0.01)
        run = whilst.map(server, range(500), concurrency=2, limit=limit, retry=whilst.Retry(base=0.0))
        asked = 0
        gate = None
        async for _ in run:
            assert run._driver is not None
            gate = gate or run._driver.book.gate
            assert gate is not None
            asked = gate.lines.of(None).acquirer.set.taken_at
        assert asked < 1.0  # the limit was asked last when the failure had come back
        assert limit.statistics().started == 501

    main()


def test_keys_that_wait_for_lanes_take_turns() -> None:
    @virtually
    async def main() -> None:
        began: dict[str, float] = {}
        loop = asyncio.get_running_loop()
        start = loop.time()

        async def fn(item: str) -> str:
            began[item] = loop.time() - start
            await asyncio.sleep(1)
            return item

        items = [f"a{n}" for n in range(8)] + ["b0", "b1", "c0", "c1"]
        limit = whilst.Limit(concurrency=5, by=lambda item: item[0])
        run = whilst.map(fn, items, concurrency=2, limit=limit)
        run._plan = run._plan._replace(run_ahead=len(items))
        assert await run == items
        assert (began["b0"], began["c0"]) == (1.0, 1.0)  # not behind all of a, which had both lanes
        assert limit.statistics().started == len(items)
        assert limit.statistics().in_flight == 0

    main()


@pytest.mark.parametrize("of", [{"concurrency": 9}, {"rate": "1000/s", "burst": 9}])
@pytest.mark.parametrize("by", [None, lambda item: item[0]])
def test_permits_that_were_taken_together_and_not_used_are_back_within_a_round(
    of: dict[str, Any], by: Callable[[str], str] | None
) -> None:
    @virtually
    async def main() -> None:
        limit = whilst.Limit(**of, by=by)

        async def fn(item: str) -> None:
            await asyncio.sleep(1 if item < "b" else 60)

        items = ["a0", "a1", *(f"b{n}" for n in range(8))]
        run = whilst.map(fn, items, concurrency=2, limit=limit)
        run._plan = run._plan._replace(run_ahead=len(items))
        results = asyncio.ensure_future(run.__aiter__().__anext__())
        await asyncio.sleep(2)
        found = limit.statistics()
        assert (found.in_flight, found.started) == (2, 4)
        assert (await results) is None
        run.cancel()

    main()


@pytest.mark.parametrize(
    "of", [{"concurrency": 2}, {"concurrency": 2, "by": lambda item: item % 2}, {"rate": "1000/s"}]
)
def test_what_one_run_passes_on_another_gets_in_its_turn(of: dict[str, Any]) -> None:
    """A permit is used again only while nobody else waits for it, and what was kept goes back within a round."""

    @virtually
    async def main() -> None:
        limit = whilst.Limit(**of)
        order: list[str] = []

        async def fn(item: int, name: str) -> None:
            order.append(name)
            await asyncio.sleep(0.1)

        async def first(item: int) -> None:
            await fn(item, "first")

        async def second(item: int) -> None:
            await fn(item, "second")

        async def later() -> None:
            await asyncio.sleep(1)
            await whilst.map(second, range(6), concurrency=2, limit=limit)

        await asyncio.gather(
            asyncio.ensure_future(later()), _all(whilst.map(first, range(80), concurrency=2, limit=limit))
        )
        assert order.index("second") < 30
        assert max(at for at, name in enumerate(order) if name == "second") < 50
        assert limit.statistics().started == 86
        assert limit.statistics().in_flight == 0

    main()


async def _all(run: Any) -> None:
    await run


# -- what waits in the gate ------------------------------------------------------------------------------------------


def test_idle_keys_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.limit.state.REMEMBERED", 1024)

    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=2, by=lambda item: item)
        run = whilst.map(Server(naps=lambda item, attempt: 0), range(10_000), concurrency=4, limit=limit)
        most = seen = 0
        async for _ in run:
            seen += 1
            assert run._driver is not None
            if not seen % 500 and not run.summary().done:
                assert run._driver.book.gate is not None
                lines = run._driver.book.gate.lines
                most = max(most, limit.statistics().keys)
                assert not list(lines)  # nobody waits for a key
                assert len(lines.calls) <= 4
        assert seen == 10_000
        assert 0 < most <= 1024 + 4  # those that are called are not forgotten

    main()


@pytest.mark.parametrize("values", [True, False])
@pytest.mark.parametrize("asked", ["by", "weight"])
@pytest.mark.parametrize("bad", [0, 3, 9])
def test_a_by_or_weight_that_raises_fails_its_input_alone(asked: str, bad: int, values: bool) -> None:
    def judge(item: int) -> int:
        if item == bad:
            raise KeyError(item)
        return 1

    @virtually
    async def main() -> None:
        limit = whilst.Limit(rate="100/s", burst=4, **{asked: judge})  # type: ignore[arg-type]
        server = Server()
        run = whilst.map(server, range(10), concurrency=4, limit=limit, retry=3)
        if values:
            with pytest.raises(KeyError) as caught:
                await run
            assert caught.value.__notes__ == [f"whilst: input {bad} was {bad}, without a call of its own"]
            assert all(item < bad + 4 for item in server.calls)
        else:
            seen = await run.outcomes()
            assert [o.index for o in seen if not o.ok] == [bad]
            assert (seen[bad].attempts, type(seen[bad].error)) == (0, KeyError)
        assert bad not in server.calls
        assert limit.statistics().in_flight == 0

    main()


def test_a_by_that_raises_at_the_second_look_fails_its_input_too() -> None:
    @virtually
    async def main() -> None:
        asked: list[int] = []

        def moody(item: int) -> int:
            asked.append(item)
            if asked.count(3) > 1:
                asked.clear()
                raise KeyError(item)
            return 1

        server = Server({3: [reset]})
        retry = whilst.Retry(attempts=3, base=0.0, breaker=False)
        seen = await whilst.map(server, range(6), limit=whilst.Limit(concurrency=2, by=moody), retry=retry).outcomes()
        assert [o.ok for o in seen].count(False) == 1
        assert len(seen) == 6

    main()


def test_two_runs_share_one_limit_fairly() -> None:
    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=4)
        server, other = Server(naps=lambda item, attempt: 0.1), Server(naps=lambda item, attempt: 0.1)
        runs = [whilst.map(one, range(200), concurrency=8, limit=limit) for one in (server, other)]

        async def take(run: Any) -> None:
            async for _ in run:
                assert server.inside[Server] + other.inside[Server] <= 4

        await asyncio.gather(*map(take, runs))
        half = [sum(when <= 5.0 for when, _ in one.starts) for one in (server, other)]
        assert abs(half[0] - half[1]) <= 8
        assert limit.statistics().in_flight == 0

    main()


def test_threads_are_woken_for_what_a_returned_permit_lets_through_after_the_source_has_ended() -> None:
    limit = whilst.Limit(concurrency=100, by=lambda item: item % 2)
    for _ in range(20):
        values = whilst.map(lambda x: time.sleep(0.001) or x, range(30), concurrency=2, limit=limit).list()
        assert values == [*range(30)]


@pytest.mark.parametrize("flow", [True, False])
def test_a_blocking_call_past_its_timeout_keeps_its_permit_until_it_returns(flow: bool, eventually) -> None:
    release, limit = threading.Event(), whilst.Limit(concurrency=2)

    def stuck(x: int) -> int:
        if x == 0:
            assert release.wait(20)
        return x

    policies: dict[str, Any] = {"timeout": 0.4, "limit": limit}
    run = whilst.map(whilst.step(stuck, **policies), range(5)) if flow else whilst.map(stuck, range(5), **policies)
    try:
        seen = run.outcomes().list()
        assert [o.ok for o in seen] == [False, True, True, True, True]
        assert (run.summary().abandoned, limit.statistics().in_flight) == (1, 1)
        assert run.summary().done
        with limit:
            assert limit.statistics().in_flight == 2
    finally:
        release.set()
    assert eventually(lambda: limit.statistics().in_flight == 0)
    assert eventually(lambda: run.summary().abandoned == 0)


def test_a_coroutine_that_ignores_its_cancellation_keeps_its_permit_until_it_returns() -> None:
    @virtually
    async def main() -> None:
        limit = whilst.Limit(concurrency=3)

        async def stubborn(x: int) -> int:
            for _ in range(5):
                try:
                    await asyncio.sleep(10)
                except asyncio.CancelledError:
                    pass
            return x

        run = whilst.map(stubborn, range(3), concurrency=3, limit=limit, deadline=1)
        await outcomes_until_error(run)
        assert run.summary().abandoned == 3
        assert limit.statistics().in_flight == 3
        await asyncio.sleep(60)
        assert run.summary().abandoned == 0
        assert limit.statistics().in_flight == 0

    main()


def test_a_blocking_call_may_be_tried_again_while_its_thread_is_stuck(eventually) -> None:
    release, limit, calls = threading.Event(), whilst.Limit(concurrency=3), []

    def stuck(x: int) -> int:
        calls.append(x)
        if len(calls) < 3:
            assert release.wait(20)
        return x

    retry = whilst.Retry(attempts=4, base=0.0, breaker=False, budget=None)
    run = whilst.map(stuck, [1], timeout=0.05, limit=limit, retry=retry)
    (outcome,) = run.outcomes().list()
    assert (outcome.value, outcome.attempts) == (1, 3)
    assert limit.statistics().in_flight == 2
    release.set()
    assert eventually(lambda: limit.statistics().in_flight == 0)


def test_a_plain_run_with_everything_on_gives_every_value() -> None:
    calls: dict[int, int] = {}

    def flaky(x: int) -> int:
        calls[x] = calls.get(x, 0) + 1
        if x % 7 == 0 and calls[x] == 1:
            raise ConnectionResetError("once")
        return x

    async def flaky_later(x: int) -> int:
        await asyncio.sleep(0)
        return flaky(x)

    for fn in (flaky, flaky_later):
        for source in (list, generator):
            calls.clear()
            limit = whilst.Limit(concurrency=6)
            retry = whilst.Retry(attempts=3, base=0.0, breaker=False, budget=None)
            run = whilst.map(fn, source(range(700)), concurrency=8, limit=limit, retry=retry, timeout=10)
            assert run.list() == [*range(700)]
            assert run.summary().retried == 100
            assert limit.statistics().in_flight == 0
            assert limit.statistics().started == 800


@pytest.mark.parametrize("way", ["map", "map by key", "step", "step by key", "step with a time for all attempts"])
@pytest.mark.parametrize("well", [0, 12, 30])
def test_calls_before_the_first_refusal_count_for_the_breaker(way: str, well: int) -> None:
    """It pauses after as many failures as leave fewer than one in ten well, whoever made the calls."""

    async def main() -> int:
        loop, called = asyncio.get_running_loop(), list[float]()

        async def call(item: int) -> int:
            called.append(loop.time())
            await asyncio.sleep(0.02)
            if item >= well:
                raise ConnectionError
            return item

        retry = whilst.Retry(1, budget=None, total=1000 if way == "step with a time for all attempts" else None)
        by_key: Any = {"limit": whilst.Limit(concurrency=2, by=lambda item: item % 1)} if way.endswith("by key") else {}
        if way.startswith("map"):
            run = whilst.map(call, range(1000), retry=retry, concurrency=1, deadline=60, stop_after="100%", **by_key)
        else:
            called_by = whilst.step(call, retry=retry, **by_key)
            run = whilst.map(called_by, range(1000), concurrency=1, deadline=60, stop_after="100%")
        with contextlib.suppress(whilst.DeadlineExceeded):
            async for _ in run.outcomes():
                pass
        return next(number for number in range(1, len(called)) if called[number] - called[number - 1] > 0.5)

    assert testing.run(main()) - well == max(20, 9 * well + 1)
