"""`@whilst.Retry(…)` around functions of both colours, `.call`, and what map says of a function that is decorated."""

from __future__ import annotations

import asyncio
import functools
import gc
import inspect
import linecache
import logging
import pickle
import runpy
import threading
import time
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import virtually

import whilst
from whilst.core.breaker import FIRST_PAUSE

AT_ONCE = whilst.Retry(attempts=3, base=0.0, budget=None, breaker=False)


class Script:
    """Raises or returns one thing after the other."""

    def __init__(self, *answers: Any) -> None:
        self.answers, self.calls = list(answers), 0

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        self.calls += 1
        answer = self.answers[min(self.calls, len(self.answers)) - 1]
        if isinstance(answer, BaseException):
            raise answer
        return answer


RESET = ConnectionError("reset")


def blocking(script: Script, retry: whilst.Retry = AT_ONCE) -> Callable[..., Any]:
    @retry
    def ask(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    return ask


def later(script: Script, retry: whilst.Retry = AT_ONCE) -> Callable[..., Any]:
    @retry
    async def ask(*args: Any, **kwargs: Any) -> Any:
        await asyncio.sleep(0)
        return script(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(ask(*args, **kwargs))


def unknown(script: Script, retry: whilst.Retry = AT_ONCE) -> Callable[..., Any]:
    """A plain function whose answer is to be awaited, and fails only then."""

    async def answer(*args: Any, **kwargs: Any) -> Any:
        return script(*args, **kwargs)

    @retry
    def ask(*args: Any, **kwargs: Any) -> Any:
        return answer(*args, **kwargs)

    return lambda *args, **kwargs: asyncio.run(ask(*args, **kwargs))


every_colour = pytest.mark.parametrize("made", [blocking, later, unknown])


@every_colour
def test_a_failure_worth_it_is_tried_again(made: Any) -> None:
    script = Script(RESET, RESET, "page")
    assert (made(script)("url", timeout=3), script.calls) == ("page", 3)


@every_colour
def test_used_up_the_last_failure_comes_out_as_it_is(made: Any) -> None:
    last = ConnectionResetError("the last one")
    script = Script(RESET, RESET, last, "page")
    with pytest.raises(ConnectionResetError) as caught:
        made(script)()
    assert caught.value is last
    assert script.calls == 3


@every_colour
@pytest.mark.parametrize("error", [KeyError("id"), ValueError("no")])
def test_a_final_failure_comes_out_at_once(made: Any, error: Exception) -> None:
    script = Script(error, "page")
    with pytest.raises(type(error)):
        made(script)()
    assert script.calls == 1


@every_colour
def test_an_interrupt_is_no_failure(made: Any) -> None:
    script = Script(KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        made(script, whilst.Retry(on_value=lambda value: None))()
    assert script.calls == 1


@every_colour
def test_a_value_that_is_not_wanted_is_asked_for_again(made: Any) -> None:
    retry = whilst.Retry(attempts=3, base=0.0, on_value=lambda value: value == "wait")
    script = Script("wait", "wait", "done")
    assert (made(script, retry)(), script.calls) == ("done", 3)
    with pytest.raises(whilst.UnwantedValue) as caught:
        made(Script("wait"), retry)()
    assert caught.value.value == "wait"


@every_colour
def test_on_retry_is_told_of_each_attempt_that_is_made_again(made: Any) -> None:
    told: list[whilst.AttemptFailed] = []
    retry = whilst.Retry(attempts=3, base=0.0, budget=None, on_retry=told.append)
    made(Script(RESET, TimeoutError(), "page"), retry)("url")
    assert [(it.run.rpartition(".")[2], it.attempt, it.kind, it.input, it.wait, it.path) for it in told] == [
        ("ask", 1, "ConnectionError", "'url'", 0.0, ""),
        ("ask", 2, "TimeoutError", "'url'", 0.0, ""),
    ]
    assert told[0].error is RESET
    assert all(it.started >= 0 and it.took >= 0 for it in told)


@every_colour
def test_an_on_retry_that_raises_is_reported_once(made: Any) -> None:
    retry = whilst.Retry(attempts=3, base=0.0, budget=None, on_retry=lambda event: 1 / 0)
    ask = made(Script(RESET, RESET, "page", RESET, RESET, "page"), retry)
    with pytest.warns(RuntimeWarning, match="on_retry=.* raised ZeroDivisionError.*it is not told any more") as said:
        assert (ask(), ask()) == ("page", "page")
    assert len(said) == 1


def test_the_logger_says_it_as_in_a_run(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "whilst"):
        blocking(Script(RESET, "page"))("https://example.org/?token=abcdef0123456789abcdef")
    [record] = caplog.records
    assert "attempt 1 of input 0" in record.getMessage()
    assert "failed (ConnectionError)" in record.getMessage()
    assert "abcdef0123456789" not in record.getMessage()


def test_call_makes_one_call_with_its_attempts() -> None:
    script = Script(RESET, RESET, 7)
    assert AT_ONCE.call(script, "any", argument=1) == 7
    assert AT_ONCE.call(int, "7", base=8) == 7

    async def fetch(url: str, *, times: int) -> str:
        return url * times

    waited = AT_ONCE.call(fetch, "u", times=2)
    assert inspect.isawaitable(waited)

    async def main() -> str:
        return await waited

    assert asyncio.run(main()) == "uu"


class Client:
    """A class with methods of both colours, decorated."""

    def __init__(self) -> None:
        self.script = Script(RESET, "page")

    @AT_ONCE
    def get(self, url: str, *, timeout: float = 1.0) -> str:
        """Get a page."""
        return f"{self.script()} {url}"

    @AT_ONCE
    async def fetch(self, url: str) -> str:
        return f"{self.script()} {url}"

    @staticmethod
    @AT_ONCE
    def parse(text: str) -> int:
        return int(text)

    @classmethod
    @AT_ONCE
    def make(cls) -> Client:
        return cls()


@AT_ONCE
def decorated(url: str, /, *, times: int = 1) -> str:
    """Repeat it."""
    return url * times


@AT_ONCE
async def decorated_later(url: str) -> str:
    return url


def test_methods_of_every_kind() -> None:
    assert Client().get("a") == "page a"
    assert asyncio.run(Client().fetch("a")) == "page a"
    assert Client.parse("3") == Client().parse("3") == 3
    assert isinstance(Client.make(), Client)


def test_name_docstring_signature_and_colour_survive() -> None:
    assert str(inspect.signature(decorated)) == "(url: 'str', /, *, times: 'int' = 1) -> 'str'"
    assert str(inspect.signature(Client().get)) == "(url: 'str', *, timeout: 'float' = 1.0) -> 'str'"
    assert (decorated.__name__, decorated.__doc__, Client.get.__doc__) == ("decorated", "Repeat it.", "Get a page.")
    assert [inspect.iscoroutinefunction(it) for it in (decorated, decorated_later, Client.fetch)] == [False, True, True]


def test_decorated_functions_are_pickled_by_name() -> None:
    for made in (decorated, decorated_later, Client.get):
        assert pickle.loads(pickle.dumps(made)) is made
    assert pickle.loads(pickle.dumps(whilst.Retry(attempts=3))) == whilst.Retry(attempts=3)


def test_partials_and_objects_that_are_called_may_be_decorated() -> None:
    assert AT_ONCE(functools.partial(decorated, times=2))("a") == "aa"
    script = Script(RESET, "page")
    assert AT_ONCE(script)() == "page"
    spread = AT_ONCE(whilst.spread(decorated))
    assert whilst.sequence(whilst.each(spread))([("a",), ("b",)]) == ["a", "b"]  # type: ignore[call-overload, unused-ignore]


def many() -> Iterator[int]:
    yield 1


async def many_later() -> AsyncIterator[int]:
    yield 1


REFUSED: list[tuple[Callable[[], object], str]] = [
    (lambda: AT_ONCE(many), "many() is a generator function: items that it gave cannot be taken back"),
    (lambda: AT_ONCE(many_later), "many_later() is a generator function"),
    (lambda: AT_ONCE(Client), "Retry is for functions, Client is a class"),
    (
        lambda: AT_ONCE(staticmethod(decorated)),
        "below staticmethod, around the function\n  try: @staticmethod in the line above @whilst.Retry",
    ),
    (lambda: AT_ONCE(classmethod(decorated)), "below classmethod"),  # type: ignore[arg-type]
    (lambda: AT_ONCE(whilst.sequence(len)), "this is a flow\n  try: whilst.step(flow, retry=whilst.Retry(…))"),
    (lambda: AT_ONCE(3), "Retry: fn must be callable, got 3 (int)"),  # type: ignore[arg-type]
    (lambda: AT_ONCE.call(None), "Retry: fn must be callable, got None (NoneType)"),  # type: ignore[arg-type]
    (lambda: whilst.Retry(decorated), "parentheses\n  try: @whilst.Retry(attempts=5)"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("made", "text"), REFUSED)
def test_what_is_no_function_is_refused_where_it_is_decorated(made: Callable[[], object], text: str) -> None:
    with pytest.raises(TypeError) as caught:
        made()
    assert text in str(caught.value)


# -- times ------------------------------------------------------------------------------------------------------------


@virtually
async def test_waits_are_those_of_a_run() -> None:
    loop = asyncio.get_running_loop()
    waits: list[float] = []

    @whilst.Retry(attempts=4, on=lambda error: 30.0, on_retry=lambda event: waits.append(event.wait))
    async def fail() -> None:
        await asyncio.sleep(1)
        raise RESET

    with pytest.raises(ConnectionError):
        await fail()
    assert (loop.time(), waits) == (4 * 1 + 3 * 30, [30.0] * 3)


@virtually
async def test_total_ends_an_async_attempt_and_the_waits() -> None:
    loop = asyncio.get_running_loop()

    @whilst.Retry(attempts=9, on=lambda error: 3.0, total=10.0, budget=None)
    async def fail(nap: float) -> None:
        await asyncio.sleep(nap)
        raise RESET

    with pytest.raises(TimeoutError, match=r"fail\(\) took longer than 10 s over all its attempts \(Retry\(total=10"):
        await fail(60)
    assert loop.time() == 10
    with pytest.raises(ConnectionError):
        await fail(1)  # at 1, 5, 9; the next would begin at 12
    assert loop.time() == 19


def test_total_ends_the_waits_of_a_blocking_function() -> None:
    script = Script(RESET)
    with pytest.raises(ConnectionError):
        blocking(script, whilst.Retry(attempts=9, on=lambda error: 60.0, total=30.0))()
    assert script.calls == 1


@virtually
async def test_a_pause_that_the_other_side_asks_for_holds_all_calls_up() -> None:
    loop = asyncio.get_running_loop()
    starts: list[tuple[int, float]] = []

    @whilst.Retry(attempts=2, base=0.0, budget=None)
    async def ask(number: int) -> int:
        starts.append((number, loop.time()))
        if len(starts) == 1:
            raise whilst.Throttled(retry_after=20.0)
        return number

    first = asyncio.create_task(ask(1))
    await asyncio.sleep(5)
    assert await asyncio.gather(ask(2), first) == [2, 1]
    assert starts[0] == (1, 0)
    assert all(when == pytest.approx(20, abs=0.01) for _, when in starts[1:])
    assert await ask(3) == 3
    assert loop.time() == pytest.approx(20, abs=0.01), "it is over"


@virtually
async def test_no_call_is_held_up_for_longer_than_its_total() -> None:
    loop = asyncio.get_running_loop()

    @whilst.Retry(attempts=2, total=4.0)
    async def ask(fails: bool) -> str:
        if fails:
            raise whilst.Throttled(retry_after=600.0)
        return "page"

    with pytest.raises(whilst.Throttled):
        await ask(True)
    assert (await ask(False), loop.time()) == ("page", 4.0)


@virtually
async def test_the_breaker_holds_all_calls_up_and_one_probes() -> None:
    loop = asyncio.get_running_loop()
    starts: list[float] = []
    is_down = True

    @whilst.Retry(attempts=1, budget=None)
    async def ask() -> str:
        starts.append(loop.time())
        await asyncio.sleep(0.1)
        if is_down:
            raise RESET
        return "page"

    async def until_it_works() -> str:
        while True:
            try:
                return await ask()
            except ConnectionError:
                pass

    for _ in range(20):
        with pytest.raises(ConnectionError):
            await ask()
    opened = loop.time()
    with pytest.raises(ConnectionError):
        await ask()
    assert starts[-1] - opened == pytest.approx(FIRST_PAUSE), "it has opened, and this one probes"
    is_down = False
    starts.clear()
    began = loop.time()
    assert await asyncio.gather(*(until_it_works() for _ in range(10))) == ["page"] * 10
    assert starts[0] - began == pytest.approx(2 * FIRST_PAUSE), "a probe that failed doubles the pause"
    assert starts[1] >= starts[0] + 0.1, "the others wait for the probe"
    before = loop.time()
    assert await ask() == "page"
    assert loop.time() - before == pytest.approx(0.1)


@virtually
async def test_the_budget_holds_for_all_calls_together() -> None:
    loop = asyncio.get_running_loop()
    failed: set[int] = set()

    @whilst.Retry(attempts=2, base=0.0, breaker=False)
    async def ask(number: int) -> int:
        if number not in failed:
            failed.add(number)
            raise RESET
        return number

    await asyncio.gather(*(ask(number) for number in range(100)))
    assert 7 <= loop.time() <= 11, "ten a second, and a fifth of the calls"


def test_without_waits_nothing_is_waited_for() -> None:
    script = Script(*[whilst.Throttled(retry_after=3600)] * 4, "page")
    began = time.monotonic()
    with whilst.testing.no_waits():
        assert blocking(script, whilst.Retry(attempts=5, base=600, cap=600))() == "page"
        assert later(Script(RESET, "page"), whilst.Retry(on=lambda error: 3600))() == "page"
        for _ in range(60):
            with pytest.raises(ConnectionError):
                blocking(Script(RESET), whilst.Retry(attempts=2))()
    assert time.monotonic() - began < 20


def test_a_function_that_failed_in_virtual_time_goes_on_in_the_real_one() -> None:
    script = Script(whilst.Throttled(retry_after=600), "page")

    @whilst.Retry(attempts=2)
    async def ask() -> Any:
        return script()

    async def main() -> Any:
        return await ask()

    assert whilst.testing.run(main()) == "page"
    assert asyncio.run(main()) == "page"
    assert whilst.testing.run(main()) == "page"


@virtually
async def test_a_cancellation_ends_the_wait() -> None:
    @whilst.Retry(on=lambda error: 3600.0)
    async def fail() -> None:
        raise RESET

    task = asyncio.create_task(fail())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_many_threads_may_call_at_once() -> None:
    calls: list[int] = []

    @whilst.Retry(attempts=3, base=0.0, budget=None, breaker=False)
    def ask(number: int) -> int:
        calls.append(number)
        if calls.count(number) < 3:
            raise RESET
        return number

    found: list[int] = []
    threads = [threading.Thread(target=lambda it=it: found.append(ask(it))) for it in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(found) == list(range(20))
    assert len(calls) == 60


def test_a_failure_is_freed_when_nobody_has_it_any_more() -> None:
    class Mine(Exception):
        pass

    retry = whilst.Retry(attempts=2, on=Mine, base=0.0, budget=None)

    @retry
    def fail() -> None:
        raise Mine

    @retry
    async def fail_later() -> None:
        raise Mine

    def kept() -> list[Any]:
        gone: list[Any] = []
        try:
            fail()
        except Mine as error:
            gone.append(weakref.ref(error))
        return gone

    async def kept_later() -> list[Any]:
        gone: list[Any] = []
        try:
            await fail_later()
        except Mine as error:
            gone.append(weakref.ref(error))
        return gone

    gc.collect()
    gc.disable()
    try:
        assert [it() for it in [*kept(), *asyncio.run(kept_later())]] == [None, None]
    finally:
        gc.enable()


# -- in runs ----------------------------------------------------------------------------------------------------------


def test_a_run_with_retries_of_its_own_says_that_there_are_two_levels() -> None:
    run = whilst.map(blocking(Script(RESET, RESET, RESET, RESET, "page")), ["a"], retry=AT_ONCE)
    assert run.list() == ["page"]
    assert "is retried at two levels: by whilst.Retry inside it and by retry= here" in run.summary().notes[0]

    def outer(item: str) -> Any:
        return inner(item)

    inner = blocking(Script(RESET, RESET, RESET, "page"))
    run = whilst.map(outer, ["a"], retry=AT_ONCE)
    assert run.list() == ["page"]
    assert "outer() is retried at two levels: by whilst.Retry inside it" in run.summary().notes[0].replace(
        "<locals>.", ""
    )
    once = whilst.map(blocking(Script(RESET, "page")), ["a"])
    assert (once.list(), once.summary().notes) == (["page"], ())


def test_a_journal_knows_the_function_below_and_not_how_often_it_is_tried(tmp_path: Path) -> None:
    program = tmp_path / "jobs.py"

    def recalled(attempts: int, body: str) -> list[bool]:
        program.write_text(f"import whilst\n@whilst.Retry(attempts={attempts})\ndef size(x):\n    return {body}\n")
        linecache.checkcache()
        space: dict[str, Any] = runpy.run_path(str(program))
        return [it.recalled for it in whilst.map(space["size"], ["a"], journal=tmp_path / "run.db").outcomes()]

    assert recalled(3, "len(x)") == [False]
    assert recalled(3, "len(x)") == [True]
    assert recalled(5, "len(x)") == [True]
    with pytest.raises(whilst.JournalChanged, match="size\\(\\) changed"):
        recalled(5, "len(x) + 1")


def test_a_step_is_planned_as_the_function_that_it_is() -> None:
    plan = str(whilst.sequence(decorated_later, decorated).plan())
    assert plan == "sequence\n├─ decorated_later() · async\n└─ decorated() · blocking, thread"
