"""What people of other libraries type first works, or is answered by one message with the line that works."""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import whilst
from whilst.core import habits


def double(x: int) -> int:
    return 2 * x


def add(a: int, b: int) -> int:
    return a + b


async def fetch(x: int) -> int:
    return 2 * x


async def pages(x: int) -> AsyncIterator[int]:
    for page in range(x):
        yield page


def lines(x: int) -> Iterator[int]:
    yield from range(x)


def run() -> Any:
    return whilst.map(double, [1, 2])


def coroutines() -> Any:
    return [fetch(1), fetch(2)]


class LazyFrame:
    """As that of polars, which has no rows before it is asked for them."""

    def collect(self) -> Any:
        raise AssertionError("the query is not made for a message")

    def __getitem__(self, place: object) -> None:
        raise TypeError("LazyFrame is not subscriptable")


map_: Any = whilst.map  # what follows is what a type checker would refuse
step: Any = whilst.step
each: Any = whilst.each
Limit: Any = whilst.Limit
Retry: Any = whilst.Retry
w: Any = whilst


async def awaited_list() -> Any:
    return await run().list()


async def awaited_outcomes() -> Any:
    return await run().outcomes().list()


# what is typed, and a part of the line that works
ANSWERED: list[tuple[str, Callable[[], Any], str]] = [
    ("max_workers=", lambda: map_(double, [1], max_workers=8), "concurrency=8"),
    ("n_jobs=", lambda: map_(double, [1], n_jobs=-1), "concurrency=8"),
    ("retries=", lambda: map_(double, [1], retries=3), "retry=3"),
    ("max_retries=", lambda: step(double, max_retries=4), "retry=4"),
    ("return_exceptions=", lambda: map_(double, [1], return_exceptions=True), ".outcomes()"),
    ("chunksize=", lambda: map_(double, [1], chunksize=10), "leave it out"),
    ("desc=", lambda: map_(double, [1], desc="pages"), 'name="…"'),
    ("backend=", lambda: map_(double, [1], backend="threading"), 'executor="thread"'),
    ("verbose=", lambda: map_(double, [1], verbose=10), "progress=True"),
    ("max_concurrency=", lambda: each(double, max_concurrency=5), "concurrency=5"),
    ("max_per_second=", lambda: map_(double, [1], max_per_second=10), 'rate="10/s"'),
    ("args=", lambda: map_(double, [1], args=(2,)), "functools.partial"),
    ("initializer=", lambda: map_(double, [1], initializer=print), "use="),
    ("joblog=", lambda: map_(double, [1], joblog="f"), 'journal="run.db"'),
    ("halt=", lambda: map_(double, [1], halt=3), "stop_after=3"),
    ("a typing error", lambda: map_(double, [1], concurency=3), "try: concurrency="),
    ("nothing alike", lambda: map_(double, [1], zzz=3), "it takes: fn, inputs, "),
    ("rate=10", lambda: map_(double, [1], rate=10), 'rate="10/s"'),
    ("limit=5", lambda: map_(double, [1], limit=5), "concurrency=5"),
    ("retry=True", lambda: map_(double, [1], retry=True), "retry=3"),
    ("gather", lambda: w.gather(fetch(1)), "await whilst.map(fn, inputs)"),
    ("starmap", lambda: w.starmap(add, [(1, 2)]), "whilst.map("),
    ("as_completed", lambda: w.as_completed([]), "ordered=False"),
    ("Parallel", lambda: w.Parallel(n_jobs=2), "concurrency=8"),
    ("ThreadPoolExecutor", lambda: w.ThreadPoolExecutor(4), "concurrency=8"),
    ("to_thread", lambda: w.to_thread(double, 1), "whilst.unblock(fn)"),
    ("Semaphore", lambda: w.Semaphore(5), "whilst.Limit(concurrency=5)"),
    ("retry decorator", lambda: w.retry(double), "retry=5"),
    ("map([coro, coro])", lambda: map_(coroutines()), "whilst.map(fetch, inputs)"),
    ("map(f)", lambda: map_(double), "whilst.map(double, inputs)"),
    ("map([1, 2])", lambda: map_([1, 2]), "whilst.map(fn, inputs)"),
    ("map(f, 20)", lambda: map_(double, 20), "range(20)"),
    ("map(xs, f)", lambda: map_([1, 2], double), "whilst.map(double, inputs)"),
    ("map(f(), xs)", lambda: map_(double(1), [1]), "whilst.map(fn, inputs)"),
    ("map(coro(), xs)", lambda: map_(fetch(1), [1]), "whilst.map(fetch, …)"),
    ("sequence([f, g])", lambda: w.sequence([double, double]), "try: whilst.sequence(*steps): each step"),
    ("together([f, g])", lambda: w.together([double, double]), "try: whilst.together(*branches): each branch"),
    ("together(a=f())", lambda: w.together(a=double(1)), "try: whilst.together(a=fn)"),
    ("first(coro())", lambda: w.first(fetch(1), double), "try: whilst.first(fetch, …)"),
    ("each(f())", lambda: w.each(double(1)), "try: whilst.each(fn)"),
    ("filter(None)", lambda: w.filter(None), "try: whilst.filter(fn)"),
    ("flatten(xs)", lambda: w.flatten([[1]]), "by their names: concurrency=…"),
    ("flow.map", lambda: w.sequence(double).map([1]), "try: whilst.map(flow, inputs)"),
    ("flow.run", lambda: w.sequence(double).run(1), "try: flow(value), await flow.aio(value)"),
    ("executor=pool", lambda: map_(double, [1], executor=ThreadPoolExecutor(1)), 'executor="thread", concurrency=8'),
    ("executor=processes", lambda: map_(double, [1], executor="processes"), 'executor="process", concurrency=8'),
    ("a lambda of two", lambda: map_(lambda a, b: a, [1]), "whilst.spread(fn)"),
    ("await run.list()", lambda: asyncio.run(awaited_list()), "try: await run"),
    ("await outcomes.list()", lambda: asyncio.run(awaited_outcomes()), "try: await run.outcomes()"),
    ("asyncio.run(run)", lambda: asyncio.run(run()), ".list()"),
    ("for r in run.outcomes", lambda: [*run().outcomes], ".outcomes()"),
    ("len(run)", lambda: len(run()), "run.list()"),
    ("run[0]", lambda: run()[0], "run.list()[0]"),
    ("run[:3]", lambda: run()[:3], "run.list()[:3]"),
    ("run.results()", lambda: run().results(), "run.list()"),
    ("run.result()", lambda: run().result(), "run.list()"),
    ("run.errors", lambda: run().errors, "not o.ok"),
    ("run.close()", lambda: run().close(), "run.cancel()"),
    ("outcome.result", lambda: next(iter(run().outcomes())).result, "outcome.value"),
    ("outcome.exception()", lambda: next(iter(run().outcomes())).exception(), "outcome.error"),
    ("Limit(5)", lambda: Limit(5), "whilst.Limit(concurrency=5)"),
    ('Limit("10/s")', lambda: Limit("10/s"), "whilst.Limit(rate='10/s')"),
    ("Limit(max_rate=)", lambda: Limit(max_rate=10, time_period=1), 'rate="10/s"'),
    ("Limit(…)(f)", lambda: Limit(concurrency=5)(double), "whilst.step(fn, limit=limit)"),
    ("limit.acquire()", lambda: Limit(concurrency=5).acquire(), "with limit:"),
    ("each(f, 20)", lambda: each(double, 20), "whilst.each(fn, concurrency=20)"),
    ("step(f, 20)", lambda: step(double, 20), "whilst.step(fn, concurrency=20)"),
    ("Retry(tries=)", lambda: Retry(tries=3), "attempts=3"),
    ("Retry(stop=)", lambda: Retry(stop=3), "attempts=3"),
    ("Retry(wait=)", lambda: Retry(wait=2.5), "base=2.5"),
    ("Retry(max_delay=)", lambda: Retry(max_delay=60), "cap=60"),
    ("Retry(retry=)", lambda: Retry(retry=OSError), "on=ConnectionError"),
    ("Retry(jitter=)", lambda: Retry(jitter=True), "leave it out"),
    ("limit.pause(30)", lambda: Limit(concurrency=5).pause(30), "limit.pause(key=30)"),
    ("limit.pause(seconds=)", lambda: Limit(concurrency=5).pause(seconds=30), "limit.resume()"),
    ("limit.set(8)", lambda: Limit(concurrency=5).set(8), "limit.set(concurrency=8)"),
    ('limit.set("9/s")', lambda: Limit(rate="5/s").set("9/s"), "limit.set(rate='9/s')"),
    ("limit.try_acquire(timeout=)", lambda: Limit(rate="5/s").try_acquire(timeout=2), "limit.of(key, timeout=2)"),
    ("limit.of(a, b, c)", lambda: Limit(rate="5/s").of(1, 2, 3), "by their names: weight=…, timeout=…"),
    ("Journal(sync=)", lambda: w.Journal("run.db", sync=True), 'commit="strict"'),
    ("rows(kind=)", lambda: w.rows("a.txt", kind="csv"), 'format="csv"'),
    ("first(timeout=)", lambda: w.first(double, abs, timeout=2), "whilst.step(whilst.first(…), timeout=2)"),
    ("together(timeout=)", lambda: w.together(double, abs, timeout=2), "whilst.step(whilst.together(…), timeout=2)"),
    ("sequence(retry=)", lambda: w.sequence(double, abs, retry=2), "whilst.step(whilst.sequence(…), retry=2)"),
    ("whilst.mapp", lambda: w.mapp(double, [1]), "try: whilst.map"),
    ("generator function", lambda: map_(lines, [1]), "whilst.each(lines)"),
    ("async generator function", lambda: map_(pages, [1]), "whilst.each(pages)"),
    ("a tuple for a function of two", lambda: map_(add, [(1, 2)]), "whilst.spread(add)"),
    ("map(f, xs, 20)", lambda: map_(double, [1], 20), "concurrency=20"),
    ("inputs a LazyFrame", lambda: map_(double, LazyFrame()), "lazy.collect().iter_rows(named=True)"),
    ("inputs a coroutine", lambda: map_(double, closing(fetch(1))), "await it first"),
]

WORKS: list[tuple[str, Callable[[], Any], Any]] = [
    ("list(run)", lambda: list(run()), [2, 4]),
    ("sorted(run)", lambda: sorted(run(), reverse=True), [4, 2]),
    ("if run", lambda: bool(run()), True),
    ("2 in run", lambda: 2 in run(), True),
    ("enumerate, zip", lambda: list(zip([1, 2], run(), strict=True)), [(1, 2), (2, 4)]),
    ("dict(zip())", lambda: dict(zip("ab", run(), strict=True)), {"a": 2, "b": 4}),
    ("max(run)", lambda: max(run()), 4),
    ("[*run]", lambda: [*run()], [2, 4]),
    ("next(iter(run))", lambda: next(iter(run())), 2),
    ("retry=Retry(3)", lambda: map_(double, [1], retry=Retry(3)).list(), [2]),
    ("coroutines as inputs", lambda: map_(lambda coroutine: coroutine, coroutines()).list(), [2, 4]),
    ("gather(run)", lambda: asyncio.run(gathered()), [[2, 4]]),
    ("map(f, xs, ys)", lambda: map_(add, [1], [2]).list(), [3]),
    ("starmap", lambda: map_(whilst.spread(add), [(1, 2)]).list(), [3]),
    ("map of a map", lambda: map_(double, run()).list(), [4, 8]),
    ("a run of a run's length", lambda: run().summary().total, 2),
    (
        "each of an async generator",
        lambda: whilst.sequence(each(pages), whilst.flatten()).stream([1, 2]).list(),
        [0, 0, 1],
    ),
]


def closing(coroutine: Any) -> Any:
    CLOSED.append(coroutine)
    return coroutine


CLOSED: list[Any] = []


async def gathered() -> Any:
    return await asyncio.gather(run())


@pytest.mark.parametrize(("typed", "call", "line"), ANSWERED, ids=[typed for typed, _, _ in ANSWERED])
def test_a_habit_is_answered_with_the_line_that_works(typed: str, call: Callable[[], Any], line: str) -> None:
    with pytest.raises((TypeError, ValueError, AttributeError)) as caught:
        call()
    while CLOSED:
        CLOSED.pop().close()
    said = str(caught.value)
    assert line in said, said
    assert said.count("try: ") <= 1
    assert max(map(len, said.splitlines())) <= 200


def keywords() -> Iterator[tuple[str, Any, str]]:
    """Give each public callable with each keyword of its own."""
    of_limits = [getattr(whilst.Limit, name) for name in ("of", "try_acquire", "set", "pause", "resume")]
    public = [getattr(whilst, name) for name in whilst.__all__ if name.islower()]
    classes = (whilst.Limit, whilst.Retry, whilst.Journal, whilst.processes.Processes, whilst.ray.Ray)
    for given in [*public, *of_limits, *classes]:
        for name, parameter in inspect.signature(given).parameters.items():
            if parameter.kind is parameter.KEYWORD_ONLY and name != "loop":
                yield f"{given.__qualname__}({name}=)", given, name


@pytest.mark.parametrize(("given", "name"), [pytest.param(given, name, id=said) for said, given, name in keywords()])
def test_a_keyword_with_a_letter_too_many_is_answered_with_what_it_is(given: Any, name: str) -> None:
    needed = [
        double
        for parameter in inspect.signature(given).parameters.values()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    ]
    with pytest.raises(TypeError, match=rf"\(\) has no {name}x=\n  try: {name}=…$"):
        given(*needed, **{f"{name}x": None})


def test_a_limit_on_several_branches_says_where_it_goes() -> None:
    flow = step(whilst.first(double, abs), timeout=2)  # the line that the answer to `first(…, timeout=2)` shows
    assert flow(2) in (2, 4)


@pytest.mark.parametrize("name", ["http", "otel", "processes", "ray", "testing"])
def test_a_public_module_needs_no_import_of_its_own(name: str) -> None:
    line = f"import whilst; assert whilst.{name}.__name__ == 'whilst.{name}'"
    subprocess.run([sys.executable, "-c", line], check=True)


@pytest.mark.parametrize(("typed", "call", "value"), WORKS, ids=[typed for typed, _, _ in WORKS])
def test_a_habit_that_works(typed: str, call: Callable[[], Any], value: Any) -> None:
    assert call() == value


@pytest.mark.parametrize("name", ["gather", "starmap", "as_completed", "Semaphore", "tqdm"])
def test_a_name_that_is_imported_is_answered_too(name: str) -> None:
    with pytest.raises(ImportError, match=r"\n  try: "):
        exec(f"from whilst import {name}", {})
    assert not hasattr(whilst, name)


def test_a_name_that_nobody_knows_is_the_interpreters() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from whilst import nonsense", {})
    with pytest.raises(AttributeError, match=r"module 'whilst' has no attribute 'nonsense'$"):
        w.nonsense


def test_no_answer_hides_a_public_name() -> None:
    assert not set(habits._NAMES) & set(whilst.__all__)
    for answers in (habits._KEYWORDS, habits._OF_LIMIT, habits._OF_RETRY):
        words = [word for these, _, _ in answers for word in these.split()]
        assert len(words) == len(set(words))
    for kind, names in habits._ATTRIBUTES.items():
        public = set(dir(getattr(whilst, kind)))
        assert not public & {word for these in names for word in these.split()}, kind


def test_signatures_are_as_written() -> None:
    assert next(iter(inspect.signature(whilst.map).parameters)) == "fn"
    assert "attempts" in inspect.signature(whilst.Retry).parameters
    assert "concurrency" in inspect.signature(whilst.Limit).parameters
    assert inspect.signature(whilst.Run.outcomes).return_annotation == "Outcomes[I, T]"


def test_answers_are_loaded_when_they_are_needed() -> None:
    program = """
import sys, whilst
limit = whilst.Limit(concurrency=2)
assert whilst.map(str.upper, ["a"], concurrency=3, retry=2, limit=limit).list() == ["A"]
[outcome] = whilst.map(str.upper, ["a"]).outcomes()
assert "whilst.core.habits" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
