"""Resources: opened lazily and once, closed in every way that a run can end."""

import asyncio
import contextlib
import contextvars
import functools
import importlib
import itertools
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import aiohttp
import pytest
from flowkit import Gate, cancelled_at_every_round, eventually

import whilst
from whilst import testing
from whilst.engine import resources


class Diary:
    def __init__(self) -> None:
        self.opened: list[threading.Thread] = []
        self.closed: list[threading.Thread] = []

    def open(self) -> None:
        self.opened.append(threading.current_thread())

    def close(self) -> None:
        self.closed.append(threading.current_thread())

    @property
    def balanced(self) -> bool:
        return len(self.opened) == len(self.closed)


def factories(diary: Diary) -> dict[str, Callable[[], Any]]:
    class Manager:
        def __enter__(self) -> str:
            diary.open()
            return "value"

        def __exit__(self, *_: object) -> None:
            diary.close()

    class AsyncManager:
        async def __aenter__(self) -> str:
            diary.open()
            return "value"

        async def __aexit__(self, *_: object) -> None:
            await asyncio.sleep(0)
            diary.close()

    class Closing(str):
        def __new__(cls) -> "Closing":
            diary.open()
            return super().__new__(cls, "value")

        def close(self) -> None:
            diary.close()

    class AsyncClosing(str):
        def __new__(cls) -> "AsyncClosing":
            diary.open()
            return super().__new__(cls, "value")

        async def aclose(self) -> None:
            await asyncio.sleep(0)
            diary.close()

    class AsyncClose(str):
        def __new__(cls) -> "AsyncClose":
            diary.open()
            return super().__new__(cls, "value")

        async def close(self) -> None:
            await asyncio.sleep(0)
            diary.close()

    @contextlib.contextmanager
    def manager() -> Iterator[str]:
        diary.open()
        try:
            yield "value"
        finally:
            diary.close()

    @contextlib.asynccontextmanager
    async def async_manager() -> AsyncIterator[str]:
        async with asyncio.TaskGroup():  # must be left by the task that entered it
            diary.open()
            yield "value"
        diary.close()

    async def opens() -> AsyncClosing:
        await asyncio.sleep(0)
        return AsyncClosing()

    return {
        "class of managers": Manager,
        "class of async managers": AsyncManager,
        "class with close": Closing,
        "class with aclose": AsyncClosing,
        "class with async close": AsyncClose,
        "contextmanager": manager,
        "asynccontextmanager": async_manager,
        "async function": opens,
        "lambda over an async manager": lambda: AsyncManager(),
        "lambda over a coroutine": lambda: opens(),
    }


KINDS = list(factories(Diary()))
PLAIN = ["class of managers", "class with close", "contextmanager"]


def use_blocking(value: int, r: str) -> int:
    assert r == "value"
    return value


async def use_async(value: int, r: str) -> int:
    assert r == "value"
    return value


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fn", [use_blocking, use_async])
def test_one_per_run_is_opened_once_and_closed_at_the_end(kind: str, fn: Any) -> None:
    diary = Diary()
    held = whilst.resource(factories(diary)[kind])
    flow = whilst.together(whilst.step(fn, use={"r": held}), whilst.step(fn, use={"r": held}))
    assert whilst.map(flow, range(20)).list() == [(i, i) for i in range(20)]
    assert (len(diary.opened), len(diary.closed)) == (1, 1)
    assert whilst.map(fn, range(20), use={"r": held}).list() == [*range(20)]
    assert (len(diary.opened), len(diary.closed)) == (2, 2)


@pytest.mark.parametrize("kind", PLAIN)
def test_one_per_thread_is_opened_and_closed_on_the_thread_that_uses_it(kind: str) -> None:
    diary = Diary()
    held = whilst.resource(factories(diary)[kind], per="thread")
    used: dict[threading.Thread, int] = {}
    barrier = threading.Barrier(3)

    def work(value: int, r: str) -> int:
        if value < 3:
            barrier.wait(10)  # so that three threads take part
        used[threading.current_thread()] = value
        return value

    assert whilst.map(work, range(50), concurrency=3, use={"r": held}).list() == [*range(50)]
    assert eventually(lambda: diary.balanced)
    assert set(diary.opened) == set(used)
    assert len(diary.opened) == len(set(diary.opened)) == 3
    assert set(diary.closed) == set(diary.opened)


@pytest.mark.parametrize("per", ["run", "thread"])
def test_nothing_is_opened_before_a_call_needs_it(per: Any) -> None:
    diary = Diary()
    held = whilst.resource(factories(diary)["contextmanager"], per=per)
    flow = whilst.sequence(whilst.each(whilst.step(use_blocking, use={"r": held})))
    assert flow([]) == []
    assert diary.opened == []


@pytest.mark.parametrize("kind", KINDS)
def test_one_per_run_is_closed_after_failure_early_exit_and_cancel(kind: str) -> None:
    diary = Diary()
    held = whilst.resource(factories(diary)[kind])

    def fails(value: int, r: str) -> int:
        if value == 5:
            raise LookupError
        return value

    with pytest.raises(LookupError):
        whilst.map(fails, range(10), use={"r": held}).list()
    assert eventually(lambda: diary.balanced)

    for _ in whilst.map(use_async, itertools.count(), use={"r": held}):
        break
    assert eventually(lambda: diary.balanced)

    run = whilst.map(use_async, itertools.count(), use={"r": held})
    items = iter(run)
    assert next(items) == 0
    run.cancel()
    with pytest.raises(whilst.RunCancelled):
        list(items)
    assert eventually(lambda: diary.balanced)

    with contextlib.suppress(whilst.DeadlineExceeded):
        whilst.map(use_async, itertools.count(), use={"r": held}, deadline=0.02).list()
    assert eventually(lambda: diary.balanced)
    assert diary.opened


@pytest.mark.parametrize("kind", ["class of async managers", "asynccontextmanager", "async function"])
def test_cancelled_from_outside_in_any_round_nothing_stays_open(kind: str) -> None:
    diary = Diary()
    held = whilst.resource(factories(diary)[kind])

    async def once() -> None:
        await whilst.map(use_async, range(3), use={"r": held}, concurrency=1)

    def check() -> None:
        assert diary.balanced

    cancelled_at_every_round(once, check)
    assert diary.opened


def test_one_per_thread_is_closed_after_an_abandoned_call_has_returned_on_its_own_thread() -> None:
    diary, gate = Diary(), Gate()
    held = whilst.resource(factories(diary)["contextmanager"], per="thread")

    def stuck(value: int, r: str) -> int:
        return int(gate(value))

    with pytest.raises(TimeoutError):
        whilst.step(stuck, timeout=1.0, use={"r": held})(1)
    assert len(diary.opened) == 1
    assert diary.closed == []
    gate.open.set()
    assert eventually(lambda: diary.balanced)
    assert diary.closed == diary.opened


def test_a_sqlite_connection_per_thread_is_closed_on_its_own_thread() -> None:
    connections: list[sqlite3.Connection] = []

    def connect() -> sqlite3.Connection:
        connections.append(sqlite3.connect(":memory:", check_same_thread=True))
        return connections[-1]

    def query(value: int, db: sqlite3.Connection) -> int:
        return int(db.execute("select ? + 1", (value,)).fetchone()[0])

    run = whilst.map(query, range(20), concurrency=2, use={"db": whilst.resource(connect, per="thread")})
    assert run.list() == [*range(1, 21)]

    assert 1 <= len(connections) <= 2
    for connection in connections:
        with pytest.raises(sqlite3.ProgrammingError, match="closed database"):
            connection.interrupt()  # the one method that looks at the connection before the thread


def test_an_aiohttp_session_per_run_is_shared_and_closed() -> None:
    sessions: list[aiohttp.ClientSession] = []

    async def look(value: int, session: aiohttp.ClientSession) -> int:
        assert not session.closed
        sessions.append(session)
        return value

    for factory in (aiohttp.ClientSession, lambda: aiohttp.ClientSession(headers={"a": "b"})):
        sessions.clear()
        use = {"session": whilst.resource(factory)}
        assert whilst.map(look, range(5), use=use).list() == [*range(5)]
        assert asyncio.run(whilst.step(look, use=use).aio(1)) == 1
        assert len({id(session) for session in sessions}) == 2
        assert all(session.closed for session in sessions)


@pytest.mark.parametrize(
    ("per", "colour"),
    [("run", "blocking"), ("run", "async"), ("run", "manager"), ("thread", "blocking"), ("thread", "manager")],
)
def test_a_factory_that_raises_fails_the_inputs_and_the_run_goes_on(per: Any, colour: str) -> None:
    class Refuses:
        def __enter__(self) -> None:
            raise ConnectionError("no")

        def __exit__(self, *_: object) -> None:
            raise AssertionError("never entered")

    def refuses() -> Any:
        raise ConnectionError("no")

    async def refuses_later() -> Any:
        raise ConnectionError("no")

    factory: Any = {"blocking": refuses, "async": refuses_later, "manager": Refuses}[colour]
    held = whilst.resource(factory, per=per)

    def sometimes(value: int, r: str) -> int:
        return value

    flow = whilst.first(whilst.step(sometimes, use={"r": held}), lambda value: -value)
    assert whilst.map(flow, range(3)).list() == [0, -1, -2]
    outcomes = whilst.map(sometimes, range(3), use={"r": held}).outcomes().list()
    assert [type(o.error) for o in outcomes] == [ConnectionError] * 3


@pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
def test_an_exit_in_a_factory_comes_out_and_the_engine_lives(kind: type[BaseException]) -> None:
    def stops() -> None:
        raise kind("enough")

    async def stops_later() -> None:
        raise kind("enough")

    for factory in (stops, stops_later):
        with pytest.raises(kind, match="enough"):
            whilst.step(use_async, use={"r": whilst.resource(factory)})(1)
        assert whilst.sequence(abs)(-1) == 1


@pytest.mark.parametrize("per", ["run", "thread"])
def test_closing_that_raises_is_a_warning_and_the_rest_is_closed(per: Any) -> None:
    diary = Diary()

    @contextlib.contextmanager
    def breaks() -> Iterator[str]:
        yield "value"
        raise OSError("cannot close")

    def work(value: int, a: str, b: str, c: str) -> int:
        return value

    good = factories(diary)["contextmanager"]
    use = {key: whilst.resource(f, per=per) for key, f in (("a", good), ("b", breaks))}
    use["c"] = whilst.resource(lambda: good(), per=per)
    with pytest.warns(RuntimeWarning, match=r"closing what .*breaks\(\) opened failed: OSError: cannot close"):  # noqa: PT031
        assert whilst.map(work, range(3), concurrency=1, use=use).list() == [0, 1, 2]
        assert eventually(lambda: len(diary.closed) == 2)


@pytest.mark.parametrize("per", ["run", "thread"])
@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit, KeyboardInterrupt])
def test_what_is_no_exception_and_raised_in_closing_is_told_and_the_rest_is_closed(
    per: Any, kind: type[BaseException]
) -> None:
    diary = Diary()

    class Breaks:
        def close(self) -> None:
            raise kind("enough")

    def work(value: int, a: str, b: Any, c: str) -> int:
        return value

    good = factories(diary)["contextmanager"]
    use = {"a": whilst.resource(good, per=per), "b": whilst.resource(Breaks, per=per)}
    use["c"] = whilst.resource(lambda: good(), per=per)
    with pytest.warns(RuntimeWarning, match=rf"closing what .*Breaks\(\) opened failed: .*{kind.__name__}"):  # noqa: PT031
        assert whilst.map(work, range(3), concurrency=1, use=use).list() == [0, 1, 2]
        assert eventually(lambda: len(diary.closed) == 2)


@pytest.mark.parametrize("kind", [asyncio.CancelledError, SystemExit])
def test_what_is_no_exception_and_raised_in_closing_on_the_loop_is_told(kind: type[BaseException]) -> None:
    class Breaks(str):
        async def aclose(self) -> None:
            raise kind("enough")

    async def main() -> list[int]:
        return await whilst.map(use_async, range(3), use={"r": whilst.resource(lambda: Breaks("value"))})

    with pytest.warns(RuntimeWarning, match=f"opened failed: {kind.__name__}: enough"):
        assert testing.run(main()) == [0, 1, 2]


@pytest.mark.parametrize("per", ["run", "thread"])
def test_a_failure_whose_text_cannot_be_made_is_told_and_the_rest_is_closed(per: Any) -> None:
    class Mute(Exception):
        def __str__(self) -> str:
            raise ValueError

    closed: list[str] = []

    class Opened:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            raise Mute

    use = {name: whilst.resource(functools.partial(Opened, name), per=per) for name in "ab"}
    with pytest.warns(RuntimeWarning, match=r"Opened\(\) opened failed: Mute"):  # noqa: PT031
        assert whilst.map(lambda x, a, b: x, [1], use=use).list() == [1]
        assert eventually(lambda: sorted(closed) == ["a", "b"])


@pytest.mark.parametrize("per", ["run", "thread"])
@pytest.mark.parametrize("kind", [StopIteration, asyncio.CancelledError])
def test_what_means_something_else_to_a_loop_is_told_by_the_name_of_the_factory(
    per: Any, kind: type[BaseException]
) -> None:
    def opens() -> str:
        raise kind

    class Enters:
        def __enter__(self) -> str:
            raise kind

        def __exit__(self, *_: object) -> None:
            raise AssertionError("never entered")

    for factory, name in ((opens, "opens"), (Enters, "Enters")):
        [outcome] = whilst.map(use_blocking, [1], use={"r": whilst.resource(factory, per=per)}).outcomes()
        assert str(outcome.error) == f"{name}() raised {kind.__name__} of its own accord"


@pytest.mark.parametrize("where", ["the factory and closing", "closing"])
def test_what_blocks_when_its_run_has_ended_is_named_until_it_returns(
    where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "GRACE", 0.01 if where == "closing" else 1000)
    monkeypatch.setattr(importlib.import_module("whilst.run"), "CLOSE_WAIT", 0.01)
    opens, closes = Gate(), Gate()
    if where == "closing":
        opens.open.set()

    class Slow(str):
        def __new__(cls) -> "Slow":
            opens()
            return super().__new__(cls, "value")

        def close(self) -> None:
            closes()

    run = whilst.map(use_blocking, [1], timeout=None if where == "closing" else 0.01, use={"r": whilst.resource(Slow)})
    assert [outcome.ok for outcome in run.outcomes()] == [where == "closing"]
    for gate in (opens, closes):
        gate.wait_until_entered()
        if not gate.open.is_set():
            assert eventually(lambda: run.summary().left_behind == ("1 x Slow()",))
            assert run.summary().abandoned == 1
        gate.open.set()
        gate.wait_until_left()
    assert eventually(lambda: run.summary().left_behind == ())
    assert run.summary().abandoned == 0


@pytest.mark.parametrize("per", ["run", "thread"])
def test_a_factory_may_set_and_reset_context_variables(per: Any) -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var")

    @contextlib.contextmanager
    def bound() -> Iterator[str]:
        token = var.set("bound")
        try:
            yield "value"
        finally:
            var.reset(token)

    assert whilst.map(use_blocking, range(3), use={"r": whilst.resource(bound, per=per)}).list() == [0, 1, 2]


def test_an_async_factory_may_set_and_reset_context_variables() -> None:
    var: contextvars.ContextVar[str] = contextvars.ContextVar("var")

    @contextlib.asynccontextmanager
    async def bound() -> AsyncIterator[str]:
        token = var.set("bound")
        yield "value"
        var.reset(token)

    assert whilst.map(use_async, range(3), use={"r": whilst.resource(bound)}).list() == [0, 1, 2]


def test_an_async_factory_that_hangs_is_cancelled_when_the_run_is_left() -> None:
    cancelled: list[bool] = []

    async def hangs() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    async def main() -> None:
        flow = whilst.step(use_async, use={"r": whilst.resource(hangs)}, timeout=5)
        with pytest.raises(TimeoutError):
            await flow.aio(1)

    testing.run(main())
    assert cancelled == [True]


def test_an_async_manager_per_thread_is_refused_by_name_at_the_call() -> None:
    held = whilst.resource(factories(Diary())["class of async managers"], per="thread")
    with pytest.raises(TypeError, match=r"AsyncManager\(\) is async and cannot be opened per thread\n.*per=\"run\""):
        whilst.step(use_blocking, use={"r": held})(1)


def test_an_async_manager_per_process_is_refused_with_what_would_do_there() -> None:
    held = whilst.resource(contextlib.asynccontextmanager(_give), per="process")
    with pytest.raises(TypeError, match=r"_give\(\) is async and cannot be opened per process\n  try: a factory that"):
        whilst.step(_use, use={"r": held}, executor="process")(1)


async def _give() -> AsyncIterator[int]:
    yield 1


def _use(x: int, r: int) -> int:
    return x + r


@pytest.mark.parametrize("per", ["run", "thread"])
def test_where_warnings_are_errors_all_is_closed_though_closing_one_fails(per: Any) -> None:
    closed: list[str] = []

    class Opened:
        def __init__(self, name: str) -> None:
            self.name = name

        def close(self) -> None:
            closed.append(self.name)
            raise OSError(self.name)

    use = {name: whilst.resource(functools.partial(Opened, name), per=per) for name in "ab"}
    run = whilst.map(lambda x, a, b: x, [1], use=use, concurrency=1)
    assert run.list() == [1]
    assert eventually(lambda: sorted(closed) == ["a", "b"])
    assert eventually(lambda: run.summary().done)


def test_the_last_opened_is_closed_first() -> None:
    order: list[str] = []

    def named(name: str) -> Any:
        @contextlib.asynccontextmanager
        async def manager() -> AsyncIterator[str]:
            order.append(f"open {name}")
            yield name
            order.append(f"close {name}")

        return whilst.resource(manager)

    async def work(_: int, a: str, b: str) -> str:
        return a + b

    assert whilst.step(work, use={"a": named("a"), "b": named("b")})(1) == "ab"
    assert order == ["open a", "open b", "close b", "close a"]


def test_a_step_that_takes_only_the_resource_gets_no_value() -> None:
    assert whilst.step(lambda *, r: r, use={"r": whilst.resource(lambda: "value")})("ignored") == "value"


def test_a_generator_function_may_use_what_is_opened_per_run() -> None:
    diary = Diary()

    def rows(n: int, r: str) -> Iterator[str]:
        for i in range(n):
            assert diary.closed == []
            yield f"{r}{i}"

    flow = whilst.sequence(
        whilst.step(rows, use={"r": whilst.resource(factories(diary)["contextmanager"])}), whilst.each(str.upper)
    )
    assert flow(3) == ["VALUE0", "VALUE1", "VALUE2"]
    assert diary.balanced


# -- what broke is opened again -----------------------------------------------------------------------------------


class Connection:
    """One of many; it breaks when `server` is told to, as those of a database do when that restarts."""

    def __init__(self, server: "Server") -> None:
        server.answer()
        self.server, self.epoch, self.thread = server, server.epoch, threading.get_ident()
        server.opened.append(self)

    def ask(self, value: int) -> int:
        self.server.answer()
        if self.epoch != self.server.epoch:
            raise ConnectionResetError("the server went away")
        return value

    def is_well(self) -> bool:
        return self.epoch == self.server.epoch

    def close(self) -> None:
        self.server.closed.append(self)
        assert self.thread == threading.get_ident() or self.server.shared
        if self.epoch != self.server.epoch:
            raise OSError("cannot close what is broken")  # is no news


class Server:
    def __init__(self, *, shared: bool = False) -> None:
        self.epoch, self.down, self.shared = 0, False, shared
        self.opened: list[Connection] = []
        self.closed: list[Connection] = []

    def restart(self) -> None:
        self.epoch += 1

    def answer(self) -> None:
        if self.down:
            raise ConnectionRefusedError("starting")

    def connect(self) -> Connection:
        return Connection(self)

    async def connect_later(self) -> Connection:
        await asyncio.sleep(0)
        return Connection(self)


def ask(value: int, db: Connection) -> int:
    if value in (3, 7):
        db.server.restart()
    return db.ask(value)


async def ask_later(value: int, db: Connection) -> int:
    return ask(value, db)


def ask_by_hand(value: int, db: Connection) -> Any:
    return ask_later(value, db)  # awaited on the loop, when the thread is elsewhere


BOTH: Any = pytest.mark.parametrize(
    ("per", "fn", "connect"),
    [("thread", ask, "connect"), ("run", ask, "connect"), ("run", ask_later, "connect_later")],
)


def outcomes_of(fn: Any, values: Any, held: Any, **policies: Any) -> list[Any]:
    run = whilst.map(fn, values, concurrency=1, use={"db": held}, **policies)
    return [o.value if o.ok else type(o.error) for o in run.outcomes()]


@BOTH
def test_what_broke_is_opened_again_before_the_next_call(per: Any, fn: Any, connect: str) -> None:
    server = Server(shared=per == "run")
    found = outcomes_of(fn, range(10), whilst.resource(getattr(server, connect), per=per))
    assert found == [0, 1, 2, ConnectionResetError, 4, 5, 6, ConnectionResetError, 8, 9]
    assert len(server.opened) == 3
    assert eventually(lambda: server.closed == server.opened)


@BOTH
def test_a_retry_gets_the_new_one_so_that_a_restart_costs_no_row(per: Any, fn: Any, connect: str) -> None:
    server, asked = Server(shared=per == "run"), set()

    def once(value: int, db: Connection) -> int:
        if value in (3, 7) and value not in asked:
            asked.add(value)
            server.restart()
        return db.ask(value)

    async def once_later(value: int, db: Connection) -> int:
        return once(value, db)

    held = whilst.resource(getattr(server, connect), per=per)
    retry = whilst.Retry(attempts=2, base=0.001, breaker=False)
    assert outcomes_of(once if fn is ask else once_later, range(10), held, retry=retry) == [*range(10)]
    assert len(server.opened) == 3


@BOTH
def test_where_the_server_is_down_a_while_each_call_tries_to_open_it(per: Any, fn: Any, connect: str) -> None:
    server = Server(shared=per == "run")

    def down(value: int, db: Connection) -> int:
        if value == 3:
            server.down = True
            server.restart()
        return db.ask(value)

    async def down_later(value: int, db: Connection) -> int:
        return down(value, db)

    def back(value: int) -> int:
        server.down = server.down and value < 6
        return value

    held = whilst.resource(getattr(server, connect), per=per)
    flow = whilst.sequence(back, whilst.step(down if fn is ask else down_later, use={"db": held}))
    found = [o.value if o.ok else type(o.error) for o in whilst.map(flow, range(9), concurrency=1).outcomes()]
    assert found == [0, 1, 2, *[ConnectionRefusedError] * 3, 6, 7, 8]
    assert len(server.opened) == 2


@BOTH
def test_a_first_opening_that_fails_in_passing_is_tried_again(per: Any, fn: Any, connect: str) -> None:
    server = Server(shared=per == "run")
    server.down = True

    def back(value: int) -> int:
        server.down = value < 2
        return value

    flow = whilst.sequence(
        back, whilst.step(fn, use={"db": whilst.resource(getattr(server, connect), per=per)}), lambda x: x
    )
    found = [o.ok for o in whilst.map(flow, [0, 1, 2, 4], concurrency=1).outcomes()]
    assert found == [False, False, True, True]


@BOTH
def test_a_check_is_asked_after_a_failure_and_only_then(per: Any, fn: Any, connect: str) -> None:
    server, asked = Server(shared=per == "run"), []

    def is_well(db: Connection) -> bool:
        asked.append(db)
        return db.is_well()

    async def is_well_later(db: Connection) -> bool:
        return is_well(db)

    def fails(value: int, db: Connection) -> int:
        if value == 1:
            raise LookupError("says nothing of the connection")
        if value == 3:
            server.restart()
            raise LookupError("neither does this")
        return db.ask(value)

    async def fails_later(value: int, db: Connection) -> int:
        return fails(value, db)

    check = is_well_later if fn is ask_later else is_well
    held = whilst.resource(getattr(server, connect), per=per, check=check, reopen=False)
    found = outcomes_of(fails if fn is ask else fails_later, range(6), held)
    assert found == [0, LookupError, 2, LookupError, 4, 5]
    assert asked == [server.opened[0], server.opened[0]]
    assert len(server.opened) == 2


@BOTH
@pytest.mark.parametrize("kind", [ArithmeticError, StopIteration, asyncio.CancelledError])
def test_a_check_that_raises_says_no(per: Any, fn: Any, connect: str, kind: type[BaseException]) -> None:
    server = Server(shared=per == "run")

    def raises(db: Connection) -> bool:
        raise kind

    async def raises_later(db: Connection) -> bool:
        raise kind

    check = raises_later if fn is ask_later else raises
    held = whilst.resource(getattr(server, connect), per=per, check=check, reopen=False)
    assert outcomes_of(fn, range(6), held) == [0, 1, 2, ConnectionResetError, 4, 5]
    assert len(server.opened) == 2


@pytest.mark.parametrize("per", ["run", "thread"])
def test_what_broke_while_something_was_awaited_is_opened_again(per: Any) -> None:
    server = Server(shared=per == "run")
    found = outcomes_of(ask_by_hand, range(10), whilst.resource(server.connect, per=per))
    assert found == [0, 1, 2, ConnectionResetError, 4, 5, 6, ConnectionResetError, 8, 9]
    assert len(server.opened) == 3
    assert eventually(lambda: server.closed == server.opened)


@pytest.mark.parametrize("per", ["run", "thread"])
def test_a_check_is_asked_after_a_failure_or_a_timeout_of_what_was_awaited(per: Any) -> None:
    server, asked = Server(shared=per == "run"), []

    def is_well(db: Connection) -> bool:
        asked.append(db)
        return db.is_well()

    async def later(value: int, db: Connection) -> int:
        if value == 1:
            raise LookupError("says nothing of the connection")
        if value == 3:
            server.restart()
            await asyncio.get_running_loop().create_future()
        return db.ask(value)

    held = whilst.resource(server.connect, per=per, check=is_well, reopen=False)
    step = whilst.step(lambda value, db: later(value, db), use={"db": held}, timeout=0.05)
    found = [o.value if o.ok else type(o.error) for o in whilst.map(step, range(6), concurrency=1).outcomes()]
    assert found == [0, LookupError, 2, TimeoutError, 4, 5]
    assert asked == [server.opened[0], server.opened[0]]
    assert len(server.opened) == 2


def test_a_late_failure_says_nothing_of_what_was_opened_since() -> None:
    own = resources.Own(whilst.resource(Server().connect, per="thread"))
    first = own.get()
    own.failed(ConnectionResetError())
    second = own.get()
    own.failed_with(first, ConnectionResetError())
    assert own.get() is second is not first
    own.failed_with(second, ConnectionResetError())
    assert own.get() is not second


@BOTH
def test_nothing_is_opened_again_where_that_is_not_wanted(per: Any, fn: Any, connect: str) -> None:
    server = Server(shared=per == "run")
    held = whilst.resource(getattr(server, connect), per=per, reopen=False)
    with pytest.warns(RuntimeWarning, match="cannot close what is broken"):  # noqa: PT031
        assert outcomes_of(fn, range(5), held) == [0, 1, 2, ConnectionResetError, ConnectionResetError]
        assert len(server.opened) == 1
        assert eventually(lambda: len(server.closed) == 1)


@BOTH
def test_a_judge_of_ones_own_decides_and_one_that_raises_has_not_said_no(per: Any, fn: Any, connect: str) -> None:
    def fails(value: int, db: Connection) -> int:
        raise (LookupError if value % 2 else KeyError)(value)

    async def fails_later(value: int, db: Connection) -> int:
        return fails(value, db)

    judges: list[Any] = [lambda error: type(error) is LookupError, lambda error: 1 / 0]
    for judge, count in zip(judges, (3, 5), strict=True):
        server = Server(shared=per == "run")
        held = whilst.resource(getattr(server, connect), per=per, reopen=judge)
        assert outcomes_of(fails if fn is ask else fails_later, range(5), held, stop_after=100) == [
            KeyError if value % 2 == 0 else LookupError for value in range(5)
        ]
        assert len(server.opened) == count


def test_what_other_calls_still_use_is_closed_when_the_last_of_them_has_ended() -> None:
    server = Server(shared=True)

    async def work(value: int, db: Connection) -> int:
        if value == 0:
            await asyncio.sleep(10)
            assert db not in server.closed
            return -1
        if value == 1:
            raise ConnectionResetError("broken")
        await asyncio.sleep(1)
        return len(server.opened)

    async def main() -> None:
        run = whilst.map(work, range(6), concurrency=2, use={"db": whilst.resource(server.connect_later)})
        found = [o.value if o.ok else type(o.error) for o in await run.outcomes()]
        assert found == [-1, ConnectionResetError, 2, 2, 2, 2]
        assert server.closed == [server.opened[1], server.opened[0]] or server.closed == server.opened

    testing.run(main())
    assert len(server.opened) == 2


def test_many_calls_that_fail_of_one_break_open_one_more() -> None:
    server = Server(shared=True)

    async def work(value: int, db: Connection) -> int:
        await asyncio.sleep(1)
        if value == 0:
            server.restart()
        return db.ask(value)

    async def main() -> None:
        run = whilst.map(work, range(20), concurrency=10, use={"db": whilst.resource(server.connect_later)})
        assert [o.ok for o in await run.outcomes()] == [False] * 10 + [True] * 10

    testing.run(main())
    assert len(server.opened) == 2
    assert len(server.closed) == 2


def test_a_client_that_makes_its_connections_by_itself_is_left_alone() -> None:
    opened = []

    def session() -> aiohttp.ClientSession:
        opened.append(aiohttp.ClientSession())
        return opened[-1]

    async def work(value: int, db: aiohttp.ClientSession) -> None:
        raise ConnectionResetError("that one connection")

    outcomes_of(work, range(5), whilst.resource(session))
    assert len(opened) == 1
    outcomes_of(work, range(5), whilst.resource(session, reopen=whilst.transient))
    assert len(opened) == 6
    assert all(it.closed for it in opened)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"check": 3}, r"check must be callable, got 3 \(int\)"),
        ({"check": ask_later, "per": "thread"}, r"check=ask_later is async"),
        ({"reopen": "yes"}, r"reopen must be True, False or a function of the error that is not async, got 'yes'"),
        ({"reopen": ask_later}, r"reopen must be True, False or a function"),
    ],
)
def test_what_cannot_be_a_check_or_a_judge_is_refused(arguments: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        whilst.resource(dict, **arguments)


def test_a_check_per_thread_that_gives_an_awaitable_fails_the_call_by_name() -> None:
    async def later() -> bool:
        return True

    held = whilst.resource(Server().connect, per="thread", check=lambda db: later(), reopen=False)
    with pytest.warns(RuntimeWarning, match="cannot close"):  # noqa: PT031
        assert outcomes_of(ask, range(3, 5), held) == [ConnectionResetError, TypeError]
        assert eventually(lambda: not [t for t in threading.enumerate() if t.name.startswith("whilst-lane")])
