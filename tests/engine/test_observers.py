"""What is seen of a run: by observers, and by the `whilst` logger."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import whilst
from whilst import testing
from whilst.core import events
from whilst.core.outcome import Record
from whilst.engine.observer import StepCall
from whilst.run import Run


class Seen:
    """An observer that keeps all it is shown."""

    def __init__(self) -> None:
        self.outcomes: list[Record] = []
        self.steps: list[StepCall] = []
        self.events: list[events.Event] = []
        self.wrapped: list[tuple[str, str, bool]] = []
        self.around: list[Any] = []

    def wrap(self, fn: Callable[..., Any], path: str, *, is_async: bool) -> Callable[..., Any]:
        self.wrapped.append((getattr(fn, "__name__", ""), path, is_async))

        @functools.wraps(fn)
        def blocking(*args: Any) -> Any:
            self.around.append(args)
            return fn(*args)

        @functools.wraps(fn)
        async def asynchronous(*args: Any) -> Any:
            self.around.append(args)
            return await fn(*args)

        return asynchronous if is_async else blocking

    def ended(self, record: Record) -> None:
        self.outcomes.append(record)

    def step_ended(self, call: StepCall) -> None:
        self.steps.append(call)

    def happened(self, event: events.Event, now: float) -> None:
        self.events.append(event)

    def of(self, kind: type[Any]) -> list[Any]:
        return [event for event in self.events if type(event) is kind]


def seen_by(observer: Any, run: Run[Any, Any]) -> Run[Any, Any]:
    run._plan = run._plan._replace(observers=(observer,))
    return run


class Flaky:
    def __init__(self, failures: int) -> None:
        self.left = failures

    async def __call__(self, x: int) -> int:
        if self.left:
            self.left -= 1
            raise ConnectionError(f"no answer, token=sk-{'a' * 40}")
        return x


def test_an_observer_sees_each_outcome_and_what_is_rare_in_order() -> None:
    async def fetch(x: int) -> int:
        if x == 3:
            raise ValueError("three")
        return x

    seen = Seen()
    outcomes = seen_by(seen, whilst.map(fetch, range(5), concurrency=2)).outcomes().list()
    assert [record[0] for record in seen.outcomes] == [outcome.index for outcome in outcomes]
    assert [record[3] for record in seen.outcomes] == [outcome.error for outcome in outcomes]
    assert seen.wrapped == [("fetch", "", True)]
    assert sorted(seen.around) == [(x,) for x in range(5)]
    start, end = seen.events
    assert start == events.RunStarted("fetch", 5, 2)
    assert isinstance(end, events.RunEnded)
    assert (end.run, end.why, end.ok, end.failed) == ("fetch", "", 4, 1)


def test_an_observer_is_around_calls_on_threads() -> None:
    def fetch(x: int) -> str:
        return threading.current_thread().name

    seen = Seen()
    assert all(name.startswith("whilst-lane") for name in seen_by(seen, whilst.map(fetch, range(3))).list())
    assert seen.wrapped == [("fetch", "", False)]
    assert sorted(seen.around) == [(0,), (1,), (2,)]


def test_a_retry_is_seen_with_its_times() -> None:
    async def main() -> Seen:
        seen, flaky = Seen(), Flaky(2)

        async def fetch(x: int) -> int:
            await asyncio.sleep(0.25)
            return await flaky(x)

        run = seen_by(seen, whilst.map(fetch, ["only"], retry=whilst.Retry(attempts=3, base=0.5)))
        assert await run == ["only"]
        return seen

    seen = testing.run(main())
    first, second = seen.of(events.AttemptFailed)
    assert (first.run, first.index, first.path, first.attempt, first.kind) == ("fetch", 0, "", 1, "ConnectionError")
    assert first.input == "'only'"
    assert (first.started, first.took) == (0.0, 0.25)
    assert second.attempt == 2
    assert second.started == pytest.approx(0.25 + first.wait)
    assert isinstance(first.error, ConnectionError)


def test_the_steps_of_a_flow_are_seen_by_path_and_attempt() -> None:
    flaky = Flaky(1)

    async def load(x: int) -> int:
        return x

    def double(x: int) -> int:
        return 2 * x

    flow = whilst.sequence(load, whilst.together(a=double, b=whilst.step(flaky, retry=whilst.Retry(2, base=0.001))))
    seen = Seen()
    assert seen_by(seen, whilst.map(flow, [7])).list() == [{"a": 14, "b": 7}]
    calls = sorted((call.path, call.attempt, type(call.error)) for call in seen.steps)
    assert calls == [
        ("sequence[0]", 1, type(None)),
        ("sequence[1].together.a", 1, type(None)),
        ("sequence[1].together.b", 1, ConnectionError),
        ("sequence[1].together.b", 2, type(None)),
    ]
    assert all(call.place == 0 and call.took >= 0 for call in seen.steps)
    (failed,) = seen.of(events.AttemptFailed)
    assert (failed.path, failed.attempt) == ("sequence[1].together.b", 1)
    assert [record[2] for record in seen.outcomes] == [{"a": 14, "b": 7}]


def test_in_a_stage_a_call_is_told_by_its_items_place() -> None:
    async def double(x: int) -> int:
        return 2 * x

    seen = Seen()
    flow = whilst.sequence(lambda n: range(n), whilst.each(double, concurrency=2))
    assert seen_by(seen, whilst.map(flow, [3])).list() == [[0, 2, 4]]
    assert sorted((call.path, call.place) for call in seen.steps) == [
        ("sequence[0]", 0),
        *[("sequence[1].each", place) for place in range(3)],
    ]


def test_pauses_and_what_goes_on_after_them_are_seen() -> None:
    async def main() -> Seen:
        seen, said = Seen(), [False]

        async def fetch(x: int) -> int:
            if not said[0]:
                said[0] = True
                raise whilst.Throttled(retry_after=2.0)
            return x

        run = seen_by(seen, whilst.map(fetch, range(3), retry=2, concurrency=1))
        assert sorted(await run) == [0, 1, 2]
        await asyncio.sleep(1)
        return seen

    seen = testing.run(main())
    (paused,) = seen.of(events.Paused)
    assert 2.0 <= paused.seconds < 2.5
    assert paused.key == ""
    assert paused.why
    assert len(seen.of(events.Resumed)) == 1


def test_a_breaker_that_opens_is_seen() -> None:
    async def main() -> list[Any]:
        loop, seen = asyncio.get_running_loop(), Seen()

        async def fetch(x: int) -> int:
            await asyncio.sleep(0.1)
            if loop.time() < 3:
                raise ConnectionResetError
            return x

        retry = whilst.Retry(attempts=50, base=0.0, budget=None)
        assert await seen_by(seen, whilst.map(fetch, range(300), concurrency=4, retry=retry)) == [*range(300)]
        return seen.of(events.BreakerOpened)

    opened = testing.run(main())
    assert [(event.run, event.key, round(event.seconds)) for event in opened] == [("fetch", "", 2), ("fetch", "", 4)]


def test_a_pause_that_becomes_longer_goes_on_once() -> None:
    async def main() -> list[tuple[type, float]]:
        loop, seen, waits = asyncio.get_running_loop(), Seen(), {0: (0.0, 2.0), 1: (1.5, 1.0)}
        heard: list[tuple[type, float]] = []
        seen.happened = lambda event, now: heard.append((type(event), loop.time()))  # type: ignore[method-assign]

        async def fetch(x: int) -> int:
            if x in waits:
                first, again = waits.pop(x)
                await asyncio.sleep(first)
                raise whilst.Throttled(retry_after=again)
            return x

        assert sorted(await seen_by(seen, whilst.map(fetch, range(3), retry=2, concurrency=2))) == [0, 1, 2]
        await asyncio.sleep(1)
        return heard

    (when,) = (when for kind, when in testing.run(main()) if kind is events.Resumed)
    assert 2.5 <= when < 3.0


def test_a_call_that_goes_on_is_seen() -> None:
    release = threading.Event()

    def hang(x: int) -> None:
        release.wait(20)

    for subject in (hang, whilst.step(hang, timeout=0.05)):
        seen = Seen()
        run = whilst.map(subject, [0], timeout=0.05 if subject is hang else None)
        try:
            assert not seen_by(seen, run).outcomes().list()[0].ok
            assert [(event.index, event.where) for event in seen.of(events.CallAbandoned)] == [(0, "hang()")]
        finally:
            release.set()
            release = threading.Event()


GOES_ON: dict[str, Any] = {
    "map": lambda hang: hang,
    "step": lambda hang: whilst.step(hang, timeout=1.0),
    "last": lambda hang: whilst.sequence(same, whilst.step(hang, timeout=1.0)),
    "part": lambda hang: whilst.step(whilst.sequence(same, hang), timeout=1.0),
    "branch": lambda hang: whilst.together(same, whilst.step(hang, timeout=1.0)),
    "part with branches": lambda hang: whilst.step(whilst.together(same, hang), timeout=1.0),
    "loser": lambda hang: whilst.first(same, hang),
    "hedged": lambda hang: whilst.step(hang, timeout=1.0, hedge=True),
    "stage": lambda hang: whilst.sequence(lambda x: [x], whilst.each(whilst.step(hang, timeout=1.0))),
}


async def same(x: int) -> int:
    await asyncio.sleep(0.01)
    return x


@pytest.mark.parametrize("form", GOES_ON)
def test_so_is_one_that_ignores_its_cancellation_once_and_by_its_name_and_input(form: str) -> None:
    async def hang(x: int) -> int:
        loop = asyncio.get_running_loop()
        end = loop.time() + (9.0 if x == 1 else 0.0)
        while loop.time() < end:
            with contextlib.suppress(asyncio.CancelledError):
                await asyncio.sleep(end - loop.time())
        return x

    async def main() -> None:
        seen = Seen()
        run = seen_by(seen, whilst.map(GOES_ON[form](hang), range(2), timeout=1.0 if form == "map" else None))
        await run.outcomes()
        await asyncio.sleep(3.0)
        assert run.summary().abandoned == len(run.summary().left_behind) == 1
        index = 0 if form == "stage" else 1  # there it is that of the stage's item
        assert [(event.index, event.where) for event in seen.of(events.CallAbandoned)] == [(index, "hang()")]
        await asyncio.sleep(9.0)
        assert run.summary().abandoned == 0

    testing.run(main())


def test_an_observer_that_raises_is_reported_once_and_harms_nothing() -> None:
    class Broken(Seen):
        def ended(self, record: Record) -> None:
            raise LookupError("no room")

    healthy, broken = Seen(), Broken()
    run = whilst.map(str, range(20))
    run._plan = run._plan._replace(observers=(broken, healthy))
    with pytest.warns(RuntimeWarning, match=r"an observer \(Broken\) raised LookupError") as caught:
        assert run.list() == [str(x) for x in range(20)]
    assert len(caught) == 1
    assert len(healthy.outcomes) == 20


# -- the logger -----------------------------------------------------------------------------------------------------


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture) -> Iterator[pytest.LogCaptureFixture]:
    with caplog.at_level(logging.INFO, logger="whilst"):
        yield caplog


def test_the_logger_says_what_is_tried_again_without_secrets(logged: pytest.LogCaptureFixture) -> None:
    async def fetch(url: str) -> str:
        await flaky(0)
        return url

    flaky = Flaky(1)
    whilst.map(fetch, ["https://me:pa55word@example.org/x"], retry=whilst.Retry(2, base=0.001)).list()
    (record,) = [one for one in logged.records if one.name == "whilst"]
    assert record.levelname == "INFO"
    assert record.getMessage().startswith("fetch: attempt 1 of input 0 (")
    assert "failed (ConnectionError); again in" in record.getMessage()
    assert "pa55word" not in record.getMessage()
    assert record.event == "attempt_failed"  # type: ignore[attr-defined]
    assert record.whilst_attempt == 1  # type: ignore[attr-defined]
    assert "pa55word" not in record.whilst_input  # type: ignore[attr-defined]


def test_the_logger_warns_of_an_early_end(logged: pytest.LogCaptureFixture) -> None:
    def fail(x: int) -> None:
        raise ValueError(x)

    with pytest.raises(whilst.Stopped):
        whilst.map(fail, range(1000), stop_after=3, concurrency=1).outcomes().list()
    (record,) = [one for one in logged.records if one.name == "whilst"]
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("fail: ended early: Stopped: ")


def test_nothing_is_made_of_what_nobody_listens_to(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    monkeypatch.setattr(events.AttemptFailed, "__init__", lambda self, *args: made.append(args))
    logger = logging.getLogger("whilst")
    handlers, root = logger.handlers[:], logging.getLogger()
    monkeypatch.setattr(root, "handlers", [])
    logger.setLevel(logging.DEBUG)  # a level without a handler: the interpreter's last resort would print
    try:
        whilst.map(Flaky(1), [1], retry=whilst.Retry(2, base=0.001)).list()
    finally:
        logger.setLevel(logging.NOTSET)
    assert handlers == []
    assert made == []


def test_a_run_that_has_ended_leaves_no_timer_for_the_end_of_a_pause() -> None:
    async def main() -> None:
        async def refused(x: int) -> None:
            raise whilst.Throttled(retry_after=3600.0)

        seen = Seen()
        run = seen_by(seen, whilst.map(refused, range(3), retry=2, deadline=1.0))
        with pytest.raises(whilst.DeadlineExceeded):
            await run
        assert len(seen.of(events.Paused)) == 1
        scheduled: list[asyncio.TimerHandle] = asyncio.get_running_loop()._scheduled  # type: ignore[attr-defined]
        assert [timer for timer in scheduled if not timer.cancelled() and "goes_on" in repr(timer)] == []

    testing.run(main())


def test_half_of_a_character_does_not_break_the_handlers_of_a_log(caplog: pytest.LogCaptureFixture) -> None:
    run = whilst.map(int, ["x"] * 9, stop_after=3, name="caf\udce9")
    with pytest.raises(whilst.Stopped):
        run.outcomes().list()
    assert "caf\\udce9: ended early" in caplog.text.encode().decode()
