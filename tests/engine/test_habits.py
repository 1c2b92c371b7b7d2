"""What people of other libraries type first works, or is answered by one message with the line that works."""

from __future__ import annotations

import asyncio
import inspect
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest
import tenacity

import whilst
from whilst.core import foreign


def double(x: int) -> int:
    return 2 * x


def add(a: int, b: int) -> int:
    return a + b


def row(x: int) -> dict[str, int]:
    return {"x": x, "double": 2 * x}


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
    # celery, dask, ray
    ("flow.delay(1)", lambda: step(double).delay(1), "try: flow(value)"),
    ("flow.apply_async(1)", lambda: step(double).apply_async(1), "try: flow(value)"),
    ("flow.remote(1)", lambda: step(double).remote(1), "try: flow(value)"),
    ("flow.visualize()", lambda: step(double).visualize(), "try: flow.plan()"),
    ("run.compute()", lambda: run().compute(), "run.list()"),
    ("whilst.group", lambda: w.group([double]), "whilst.map(fn, inputs).list()"),
    ("whilst.shared_task", lambda: w.shared_task(double), 'journal="run.db"'),
    ("whilst.Client", lambda: w.Client(), "whilst.ray.Ray()"),
    ("whilst.init", lambda: w.init(), "executor=whilst.ray.Ray()"),
    ("npartitions=", lambda: map_(double, [1], npartitions=4), "concurrency=4"),
    ("scheduler=", lambda: map_(double, [1], scheduler="threads"), 'executor="thread"'),
    ("autoretry_for=", lambda: map_(double, [1], autoretry_for=(OSError,)), "on=ConnectionError"),
    ("rate_limit='10/m'", lambda: map_(double, [1], rate_limit="10/m"), 'rate="10/min"'),
    ("max_rate=0.5", lambda: map_(double, [1], max_rate=0.5), 'rate="0.5/s"'),
    ("delay=0.5", lambda: map_(double, [1], delay=0.5), 'rate="1/0.5s"'),
    ("maxtasksperchild=", lambda: map_(double, [1], maxtasksperchild=9), "Processes(recycle=9)"),
    ("num_gpus=", lambda: map_(double, [1], num_gpus=1), 'whilst.ray.Ray(options={"num_gpus": 1})'),
    # tqdm, joblib
    ("unit=", lambda: map_(double, [1], unit="it"), "progress=True"),
    ("run.set_description", lambda: run().set_description("x"), 'name="…"'),
    ("progress=tqdm", lambda: map_(double, [1], progress=print), "progress=True"),
    ("ordered='no'", lambda: map_(double, [1], ordered="no"), "ordered=False"),
    ("return_as=", lambda: map_(double, [1], return_as="generator"), "for value in whilst.map"),
    ("temp_folder=", lambda: map_(double, [1], temp_folder="/tmp"), "leave it out"),
    ("parallel_config", lambda: w.parallel_config(n_jobs=2), 'executor="process"'),
    ("concurrency=-1", lambda: map_(double, [1], concurrency=-1), "concurrency=32"),
    ("concurrency=inf", lambda: map_(double, [1], concurrency=float("inf")), 'concurrency="adaptive"'),
    ("concurrency=semaphore", lambda: map_(double, [1], concurrency=asyncio.Semaphore(5)), "limit=…"),
    ("timeout=0", lambda: map_(double, [1], timeout=0), "timeout=None"),
    # tenacity, stamina, backoff
    ("for attempt in Retry(3)", lambda: [*Retry(3)], "@whilst.Retry(attempts=3)"),
    ("with Retry(3)", lambda: Retry(3).__enter__(), "whilst.Retry(attempts=3).call(fn, x)"),
    ("Retry(on=retry_if_exception_type)", lambda: Retry(on=tenacity.retry_if_exception_type(OSError)), "on=(OSError,)"),
    ("Retry(status_forcelist=)", lambda: Retry(status_forcelist=[503]), 'getattr(error, "status", 0) == 503'),
    ("Retry(giveup=)", lambda: Retry(giveup=callable), "on=lambda error: …"),
    ("Retry(wait_fixed=)", lambda: Retry(wait_fixed=2), "base=2"),
    ("retry=0", lambda: map_(double, [1], retry=0), "retry=1"),
    ("whilst.on_exception", lambda: w.on_exception, "@whilst.Retry("),
    ("whilst.stop_after_delay", lambda: w.stop_after_delay(3), "whilst.Retry(total=30)"),
    # asyncio, anyio, trio, aiometer
    ("map(*coroutines)", lambda: map_(*coroutines()), "whilst.map(fetch, inputs)"),
    ("map(f(x) for x in xs)", lambda: map_(double(x) for x in [1]), "whilst.map(fn, inputs), with the function"),
    ("asyncio.wait([run])", lambda: run().add_done_callback(print), "asyncio.ensure_future(run)"),
    ("whilst.Queue", lambda: w.Queue(), "run.add(x)"),
    ("whilst.open_nursery", lambda: w.nursery(), "whilst.together(f, g)(x)"),
    ("whilst.run_on_each", lambda: w.run_on_each(double, [1]), "for value in whilst.map(fn, inputs)"),
    ("whilst.run_coroutine_threadsafe", lambda: w.run_coroutine_threadsafe(fetch), "whilst.block(fn)(x)"),
    # lists, frames, pipes
    ("run.to_df()", lambda: run().to_df(), "pandas.DataFrame(o.to_dict() for o in run.outcomes())"),
    ("run.to_csv()", lambda: run().to_csv("out.csv"), 'run.write("out.csv")'),
    ("numpy.array(run)", lambda: numpy.array(run()), "numpy.array(run.list())"),
    ("pandas.DataFrame(outcomes)", lambda: pandas.DataFrame(run().outcomes()), "outcome.to_dict() for a row"),
    ("run + run", lambda: run() + run(), "whilst.merge(run, other)"),
    ("run | f", lambda: run() | double, "whilst.sequence(f, double)"),
    ("step | step", lambda: step(double) | step(double), "whilst.sequence(f, g)"),
    ("f | step", lambda: double | step(double), "whilst.sequence(f, g)"),
    ("step >> f", lambda: step(double) >> double, "whilst.sequence(f, double)"),
    ("for ok, value in outcomes", lambda: [value for _, value in map_(double, [1]).outcomes()], "outcome.ok"),
    ("outcome['value']", lambda: next(iter(run().outcomes()))["value"], "outcome.value"),
    ("outcome.traceback", lambda: next(iter(run().outcomes())).traceback, "outcome.error.__traceback__"),
    ("len(run.outcomes())", lambda: len(run().outcomes()), "run.outcomes().list()"),
    ("run.outcomes()[0]", lambda: run().outcomes()[0], "run.outcomes().list()[0]"),
    ("run.outcomes().failed", lambda: run().outcomes().failed, "not o.ok"),
    ("run.outcomes(ordered=)", lambda: run().outcomes(ordered=False), "inputs, ordered=False).outcomes()"),
    ("run.list(progress=)", lambda: run().list(progress=True), "whilst.map(fn, inputs, progress=True).list()"),
    ("run.list(n_jobs=)", lambda: run().list(n_jobs=4), "whilst.map(fn, inputs, concurrency=4).list()"),
    ("@whilst.step(retry=3)", lambda: step(retry=3), "whilst.step(fn, retry=3)"),
    ("map()", lambda: map_(), "whilst.map(fn, inputs)"),
    ("map(f, None)", lambda: map_(double, None), "a `return` in the function"),
    ("map(f, 'hosts.csv')", lambda: map_(double, "hosts.csv"), "whilst.rows('hosts.csv')"),
    ("map(f, Path('hosts.csv'))", lambda: map_(double, Path("hosts.csv")), "whilst.rows('hosts.csv')"),
    ("batched(size=)", lambda: w.batched(size=50), "whilst.batched(50)"),
    ("batched(timeout=)", lambda: w.batched(5, timeout=2), "within=2"),
    ("each(on_error=)", lambda: each(double, on_error="skip"), 'failures="skip"'),
    ("resource(scope=)", lambda: w.resource(dict, scope="session"), 'per="thread"'),
    ("Journal(resume=)", lambda: w.Journal("run.db", resume=True), "leave it out"),
    ("Journal(overwrite=)", lambda: w.Journal("run.db", overwrite=True), 'accept="fresh"'),
    ("Limit(5, 60)", lambda: Limit(5, 60), 'whilst.Limit(rate="5/60s")'),
    ("Limit(concurrency='5')", lambda: Limit(concurrency="5"), "try: concurrency=5"),
    ("limit.remaining", lambda: Limit(rate="5/s").remaining, "limit.statistics()"),
    ("limit.hit()", lambda: Limit(rate="5/s").hit("key"), "limit.try_acquire()"),
    ("each(f, xs)", lambda: each(double, [1]), "whilst.map(fn, inputs)"),
    ("filter(f, xs)", lambda: w.filter(double, [1]), "whilst.sequence(whilst.filter(fn)).stream(inputs)"),
    ("batched(xs, 5)", lambda: w.batched([1], [2]), "whilst.sequence(whilst.batched(100), fn)"),
    ("batched()", lambda: w.batched(), "whilst.batched(100)"),
    ("unblock(f, 1)", lambda: w.unblock(double, 1), "await whilst.unblock(fn)(x)"),
    ("block(f, 1)", lambda: w.block(fetch, 1), "whilst.block(fn)(x)"),
    ("fallback(f, default=0)", lambda: w.fallback(double, default=0), "whilst.fallback(fn, lambda value: 0)"),
    ("run.summary.ok", lambda: run().summary.ok, "try: .summary().ok"),
    ("run.outcomes.failed", lambda: run().outcomes.failed, "try: .outcomes().failed"),
    ("run.summary().errors", lambda: run().summary().errors, "summary.failures"),
    ("run.summary().duration", lambda: run().summary().duration, "summary.elapsed"),
    ("outcome.unwrap_or(0)", lambda: next(iter(run().outcomes())).unwrap_or(0), "if outcome.ok else default"),
    ("journal='sqlite:///run.db'", lambda: map_(double, [1], journal="sqlite:///no/run.db").list(), "journal='run.db'"),
    ("Throttled(retry_after='30')", lambda: w.Throttled(retry_after="30"), "retry_after=30"),
    ("whilst.TimeoutError", lambda: w.TimeoutError, "except TimeoutError"),
    ("whilst.RateLimitError", lambda: w.RateLimitError, "whilst.Throttled"),
    ("whilst.read_csv", lambda: w.read_csv("in.csv"), 'whilst.rows("in.csv")'),
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
    ("pandas.DataFrame(run of rows)", lambda: pandas.DataFrame(map_(row, [1, 2])).shape, (2, 2)),
    ("numpy.fromiter(run)", lambda: numpy.fromiter(run(), int).tolist(), [2, 4]),
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
    with pytest.raises((TypeError, ValueError, AttributeError, whilst.JournalError)) as caught:
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
    assert not set(foreign.NAMES) & set(whilst.__all__)
    for answers in (foreign.KEYWORDS, foreign.OF_LIMIT, foreign.OF_RETRY):
        words = [word for these, _, _ in answers for word in these.split()]
        assert len(words) == len(set(words))
    for kind, names in foreign.ATTRIBUTES.items():
        public = set(dir(getattr(whilst, kind)))
        assert not public & {word for these in names for word in these.split()}, kind


class Foreign:
    """What another library puts on the right of its own steps."""

    def __ror__(self, other: object) -> str:
        return "theirs"


def test_another_librarys_operand_decides_what_a_pipe_means() -> None:
    assert step(double) | Foreign() == "theirs"


def lines_shown() -> Iterator[tuple[str, str]]:
    """Give each line that the tables propose, as it is shown, with the words that it answers."""
    tables = [foreign.KEYWORDS, *foreign.OF.values()]
    for words, _, line in (row for table in tables for row in table):
        yield words, line.format(n="8", s="1.0", r="10/s", function="whilst.step")
    for words, line in foreign.LINES.items():
        yield words, line
    for kind in foreign.ATTRIBUTES.values():
        yield from kind.items()


@pytest.mark.parametrize(("words", "line"), [pytest.param(*it, id=it[0].split()[0]) for it in lines_shown()])
def test_a_line_that_is_proposed_names_only_what_there_is(words: str, line: str) -> None:
    kinds = {kind.__name__.lower(): kind for kind in (whilst.Run, whilst.Flow, whilst.Outcome, whilst.Limit)}
    kinds["summary"] = whilst.Summary
    for name in re.findall(r"\bwhilst((?:\.[A-Za-z_]+)+)", line):
        found: Any = whilst
        for part in name.removeprefix(".").split("."):
            found = getattr(found, part)
    for owner, name in re.findall(r"(?<![\w.\"])(run|flow|outcome|limit|summary)\.([a-z_]+)", line):
        assert name in {*dir(kinds[owner]), *getattr(kinds[owner], "__slots__", ())}, line


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
assert not {"whilst.core.habits", "whilst.core.foreign"} & sys.modules.keys()
"""
    subprocess.run([sys.executable, "-c", program], check=True, timeout=30)
