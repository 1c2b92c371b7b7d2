"""`unblock` and `block`: one colour into the other, for functions, methods, iterators and context managers."""

import asyncio
import contextlib
import contextvars
import functools
import gc
import inspect
import itertools
import subprocess
import sys
import threading
import warnings
import weakref
from collections.abc import AsyncIterator, Iterator
from math import inf
from typing import Any

import pytest
from flowkit import Gate, eventually

import whilst
from whilst import bridge
from whilst.lanes import calls
from whilst.lanes.calls import Calls
from whilst.lanes.interrupted import Latch
from whilst.lanes.worker import supply

var: contextvars.ContextVar[str] = contextvars.ContextVar("var", default="unset")


@pytest.fixture(autouse=True)
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(calls, "PATIENCE", 0.05)


def threads(name: str) -> list[threading.Thread]:
    return [t for t in threading.enumerate() if t.name.startswith(name)]


def double(value: int, *, plus: int = 0) -> int:
    """Double it."""
    return value * 2 + plus


class Box:
    def __init__(self, value: int) -> None:
        self.value = value

    def get(self, plus: int = 0) -> int:
        return self.value + plus

    async def get_later(self, plus: int = 0) -> int:
        await asyncio.sleep(0)
        return self.value + plus

    get_async = whilst.unblock(get)
    get_blocking = whilst.block(get_later)

    def __call__(self) -> int:
        return self.value


class TestUnblock:
    def test_a_function_runs_on_a_thread_and_returns_its_value(self) -> None:
        async def main() -> Any:
            here = threading.current_thread()
            assert await whilst.unblock(threading.current_thread)() is not here
            return await whilst.unblock(double)(2, plus=1)

        assert asyncio.run(main()) == 5

    def test_methods_partials_objects_and_builtins_work(self) -> None:
        async def main() -> list[Any]:
            box = Box(1)
            return [
                await box.get_async(plus=1),
                await whilst.unblock(box.get)(2),
                await whilst.unblock(functools.partial(double, 2, plus=3))(),
                await whilst.unblock(box)(),
                await whilst.unblock(sorted)([2, 1], reverse=True),
                await whilst.unblock(str)(5),
                await whilst.unblock(whilst.sequence(double, str))(4),
            ]

        assert asyncio.run(main()) == [2, 3, 7, 1, [2, 1], "5", "8"]

    def test_the_original_is_unchanged_and_its_name_doc_and_signature_are_kept(self) -> None:
        unblocked = whilst.unblock(double)
        assert unblocked.__name__ == "double"
        assert unblocked.__doc__ == "Double it."
        assert inspect.signature(unblocked) == inspect.signature(double)
        assert inspect.iscoroutinefunction(unblocked)
        assert double(1) == 2
        assert whilst.map(unblocked, [1, 2]).list() == [2, 4]

    def test_errors_come_out_as_they_are(self) -> None:
        error = LookupError("mine")

        def fails() -> None:
            raise error

        async def main() -> None:
            with pytest.raises(LookupError) as caught:
                await whilst.unblock(fails)()
            assert caught.value is error
            with pytest.raises(RuntimeError, match="StopIteration"):
                await whilst.unblock(next)(iter(()))

        asyncio.run(main())

    def test_context_variables_go_along_and_do_not_come_back(self) -> None:
        def change() -> str:
            before = var.get()
            var.set("changed")
            return before

        async def main() -> None:
            var.set("mine")
            assert await whilst.unblock(change)() == "mine"
            assert var.get() == "mine"

        asyncio.run(main())

    def test_a_call_that_waits_and_is_cancelled_never_starts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(calls, "MOST_OF_LOOP", 1)
        gate, started = Gate(), []

        async def main() -> None:
            first = asyncio.create_task(whilst.unblock(gate)(1))
            await gate.wait_until_entered_aio()
            second = asyncio.create_task(whilst.unblock(started.append)(2))
            await asyncio.sleep(0)
            second.cancel()
            with pytest.raises(asyncio.CancelledError):
                await second
            gate.open.set()
            assert await first == 1

        asyncio.run(main())
        assert started == []

    def test_a_call_that_runs_and_is_cancelled_is_left_behind_and_another_takes_its_place(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(calls, "MOST_OF_LOOP", 1)
        gate = Gate()

        async def main() -> None:
            first = asyncio.create_task(whilst.unblock(gate)(1))
            await gate.wait_until_entered_aio()
            second = asyncio.create_task(whilst.unblock(double)(2))
            await asyncio.sleep(0)
            first.cancel()
            with pytest.raises(asyncio.CancelledError):
                await first
            assert await asyncio.wait_for(second, 5) == 4

        try:
            asyncio.run(main())
        finally:
            gate.open.set()
        gate.wait_until_left()

    def test_a_thousand_at_once(self) -> None:
        async def main() -> list[int]:
            async_double = whilst.unblock(double)
            return await asyncio.gather(*(async_double(i) for i in range(1000)))

        for _ in range(3):
            assert asyncio.run(main()) == [2 * i for i in range(1000)]

    def test_five_hundred_that_wait_for_one_another_all_run(self) -> None:
        barrier = threading.Barrier(200)

        async def main() -> None:
            await asyncio.gather(*(whilst.unblock(barrier.wait)(20) for _ in range(200)))

        asyncio.run(main())

    def test_idle_threads_end_after_their_patience(self) -> None:
        async def main() -> None:
            await whilst.unblock(double)(1)
            assert threads("whilst-unblock")
            while threads("whilst-unblock"):
                await asyncio.sleep(0.005)
            assert await whilst.unblock(double)(2) == 4

        asyncio.run(asyncio.wait_for(main(), 10))
        assert eventually(lambda: not threads("whilst-unblock"))

    def test_a_closed_loop_is_not_kept_alive(self) -> None:
        loops: list[weakref.ref[Any]] = []

        async def main() -> None:
            loops.append(weakref.ref(asyncio.get_running_loop()))
            await whilst.unblock(double)(1)

        for _ in range(5):
            asyncio.run(main())
        assert eventually(lambda: not threads("whilst-unblock"))
        gc.collect()
        assert sum(ref() is not None for ref in loops) <= 1

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_an_exit_comes_out_where_it_is_awaited(self, kind: type[BaseException]) -> None:
        def stops() -> None:
            raise kind("enough")

        async def main() -> str:
            try:
                await whilst.unblock(stops)()
            except kind as error:
                return str(error)
            return "nothing came"

        assert asyncio.run(main()) == "enough"

    def test_what_is_async_already_or_not_callable_is_refused(self) -> None:
        async def later() -> None: ...

        async def items() -> AsyncIterator[int]:
            yield 1

        for fn in (later, items):
            with pytest.raises(TypeError, match=r"is async already\n.*whilst.block"):
                whilst.unblock(fn)
        with pytest.raises(TypeError, match="unblock: fn must be callable, got 3"):
            whilst.unblock(3)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match=r"must be callable.*without calling it"):
            whilst.unblock(_closed(later()))


def _closed(coroutine: Any) -> Any:
    coroutine.close()
    return coroutine


class TestUnblockedIterator:
    def test_it_gives_its_items_all_read_on_one_thread_and_in_one_context(self) -> None:
        seen: set[threading.Thread] = set()

        def count(n: int, *, start: int = 0) -> Iterator[int]:
            token = var.set("inside")
            for i in range(start, n):
                seen.add(threading.current_thread())
                assert var.get() == "inside"
                yield i
            var.reset(token)

        async def main() -> list[int]:
            return [i async for i in whilst.unblock(count)(5, start=1)]

        assert asyncio.run(main()) == [1, 2, 3, 4]
        assert len(seen) == 1
        assert threading.current_thread() not in seen

    def test_it_is_closed_on_its_thread_when_left_early(self) -> None:
        where: list[threading.Thread] = []

        def endless() -> Iterator[int]:
            here = threading.current_thread()
            try:
                yield from itertools.count()
            finally:
                where.extend([here, threading.current_thread()])

        async def main() -> None:
            async with contextlib.aclosing(whilst.unblock(endless)()) as items:  # type: ignore[type-var]
                async for i in items:
                    if i == 3:
                        break
            assert where[0] is where[1]
            async for _ in whilst.unblock(endless)():
                break

        asyncio.run(main())
        assert eventually(lambda: len(where) == 4)
        assert where[2] is where[3]

    def test_it_is_closed_after_an_abandoned_next_has_returned(self) -> None:
        gate, closed = Gate(), threading.Event()

        def stuck() -> Iterator[int]:
            try:
                yield gate(1)
            finally:
                closed.set()

        async def main() -> None:
            items = whilst.unblock(stuck)()
            task = asyncio.ensure_future(anext(items))
            await gate.wait_until_entered_aio()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        try:
            asyncio.run(main())
            assert not closed.is_set()
        finally:
            gate.open.set()
        assert closed.wait(5)

    def test_errors_come_out_and_nothing_is_left(self) -> None:
        def fails() -> Iterator[int]:
            yield 1
            raise LookupError("broken")

        async def main() -> None:
            items = whilst.unblock(fails)()
            assert await anext(items) == 1
            with pytest.raises(LookupError, match="broken"):
                await anext(items)

        asyncio.run(main())

    def test_a_method_and_an_object_that_generate_work(self) -> None:
        class Pages:
            def rows(self, n: int) -> Iterator[int]:
                yield from range(n)

            rows_async = whilst.unblock(rows)

            def __call__(self, n: int) -> Iterator[int]:
                yield from self.rows(n)

        async def main() -> Any:
            return [i async for i in Pages().rows_async(2)], [i async for i in whilst.unblock(Pages())(3)]  # type: ignore[attr-defined]

        assert asyncio.run(main()) == ([0, 1], [0, 1, 2])

    @pytest.mark.parametrize("steps", range(12))
    def test_cancelled_at_any_moment_its_thread_ends(self, steps: int) -> None:
        def count() -> Iterator[int]:
            yield from range(3)

        async def main() -> None:
            async def read() -> None:
                async for _ in whilst.unblock(count)():
                    pass

            task = asyncio.create_task(read())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(main())
        assert eventually(lambda: not threads("whilst-iterator"))


class TestUnblockedContext:
    def test_a_context_manager_is_entered_and_left_on_one_thread_in_one_context(self) -> None:
        where: list[threading.Thread] = []

        @contextlib.contextmanager
        def opened(name: str) -> Iterator[str]:
            where.append(threading.current_thread())
            token = var.set(name)
            try:
                yield name.upper()
            finally:
                var.reset(token)
                where.append(threading.current_thread())

        async def main() -> None:
            async with whilst.unblock(opened)("db") as value:
                assert value == "DB"
                assert len(where) == 1

        asyncio.run(main())
        assert where[0] is where[1]
        assert where[0] is not threading.current_thread()

    def test_exceptions_pass_through_its_exit(self) -> None:
        seen: list[BaseException | None] = []

        class Manager:
            def __init__(self, *, swallow: bool) -> None:
                self.swallow = swallow

            def __enter__(self) -> "Manager":
                return self

            def __exit__(self, kind: object, error: BaseException | None, trace: object) -> bool:
                seen.append(error)
                return self.swallow

        async def main() -> None:
            error = LookupError("body")
            async with whilst.unblock(Manager)(swallow=True) as manager:
                assert isinstance(manager, Manager)
                raise error
            with pytest.raises(LookupError):
                async with whilst.unblock(Manager)(swallow=False):
                    raise error
            assert seen == [error, error]

        asyncio.run(main())

    def test_what_its_enter_or_exit_raises_comes_out(self) -> None:
        @contextlib.contextmanager
        def refuses() -> Iterator[None]:
            raise ConnectionError("no")
            yield

        @contextlib.contextmanager
        def breaks() -> Iterator[None]:
            yield
            raise OSError("late")

        async def main() -> None:
            with pytest.raises(ConnectionError):
                async with whilst.unblock(refuses)():
                    pass
            with pytest.raises(OSError, match="late"):
                async with whilst.unblock(breaks)():
                    pass

        asyncio.run(main())

    def test_cancelled_while_it_enters_it_is_left_as_soon_as_it_is_in(self) -> None:
        gate, left = Gate(), threading.Event()

        @contextlib.contextmanager
        def lock() -> Iterator[None]:
            gate()
            try:
                yield
            finally:
                left.set()

        async def main() -> None:
            async def enter() -> None:
                async with whilst.unblock(lock)():
                    raise AssertionError("never inside")

            task = asyncio.create_task(enter())
            await gate.wait_until_entered_aio()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task

        try:
            asyncio.run(main())
            assert not left.is_set()
        finally:
            gate.open.set()
        assert left.wait(5)

    @pytest.mark.parametrize("steps", range(12))
    def test_cancelled_at_any_moment_it_is_left_if_it_was_entered(self, steps: int) -> None:
        inside: list[str] = []

        @contextlib.contextmanager
        def lock() -> Iterator[None]:
            inside.append("in")
            try:
                yield
            finally:
                inside.append("out")

        async def main() -> None:
            async def hold() -> None:
                async with whilst.unblock(lock)():
                    await asyncio.sleep(0)

            task = asyncio.create_task(hold())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])

        asyncio.run(main())
        assert eventually(lambda: not threads("whilst-context"))
        assert inside in ([], ["in", "out"])


def test_what_means_something_else_to_a_loop_is_told_by_the_name_of_what_was_unblocked() -> None:
    class Enters:
        def __enter__(self) -> None:
            raise StopIteration

        def __exit__(self, *_: object) -> None:
            raise AssertionError("never entered")

    class Leaves:
        def __enter__(self) -> None:
            pass

        def __exit__(self, *_: object) -> None:
            raise StopIteration

    @contextlib.contextmanager
    def opened() -> Iterator[None]:
        yield
        raise asyncio.CancelledError

    def items() -> Iterator[int]:
        yield 1
        raise asyncio.CancelledError

    async def enter(factory: Any) -> None:
        async with whilst.unblock(factory)():
            pass

    async def read() -> None:
        async for _ in whilst.unblock(items)():
            pass

    for name, kind, action in (
        ("Enters", "StopIteration", lambda: enter(Enters)),
        ("Leaves", "StopIteration", lambda: enter(Leaves)),
        ("opened", "CancelledError", lambda: enter(opened)),
        ("items", "CancelledError", read),
    ):
        with pytest.raises(RuntimeError, match=rf"^.*{name}\(\) raised {kind} of its own accord$") as caught:
            asyncio.run(action())
        assert "Context" not in str(caught.value)


async def later(value: int, *, plus: int = 0) -> int:
    """Double it, later."""
    await asyncio.sleep(0)
    return value * 2 + plus


class TestBlock:
    def test_a_function_and_a_method_and_a_partial_work(self) -> None:
        assert whilst.block(later)(2, plus=1) == 5
        assert Box(1).get_blocking(plus=1) == 2
        assert whilst.block(Box(1).get_later)() == 1
        assert whilst.block(functools.partial(later, 4))() == 8
        assert whilst.block(whilst.sequence(later).aio)(4) == 8

    def test_its_name_doc_and_signature_are_kept(self) -> None:
        blocked = whilst.block(later)
        assert (blocked.__name__, blocked.__doc__) == ("later", "Double it, later.")
        assert inspect.signature(blocked) == inspect.signature(later)
        assert not inspect.iscoroutinefunction(blocked)

    def test_it_works_inside_a_running_loop(self) -> None:
        async def main() -> int:
            return whilst.block(later)(3)

        assert asyncio.run(main()) == 6

    def test_on_the_engines_own_thread_it_raises_instead_of_waiting_for_ever(self) -> None:
        @contextlib.asynccontextmanager
        async def manager() -> AsyncIterator[int]:
            yield 1

        async def items() -> AsyncIterator[int]:
            yield 1

        async def inside(_: int) -> list[str]:
            found = []
            for action in (
                lambda: whilst.block(later)(1),
                lambda: whilst.block(manager)().__enter__(),
                lambda: list(whilst.block(items)()),
            ):
                try:
                    action()
                except RuntimeError as error:
                    found.append(str(error))
            return found

        messages = whilst.sequence(inside)(1)
        assert len(messages) == 3
        assert all("engine's own loop" in message for message in messages)

    def test_errors_come_out_as_they_are(self) -> None:
        error = LookupError("mine")

        async def fails() -> None:
            raise error

        with pytest.raises(LookupError) as caught:
            whilst.block(fails)()
        assert caught.value is error

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, SystemExit])
    def test_an_exit_comes_out_and_the_engine_lives(self, kind: type[BaseException]) -> None:
        async def stops() -> None:
            raise kind("enough")

        with pytest.raises(kind, match="enough"):
            whilst.block(stops)()
        assert whilst.block(later)(1) == 2

    def test_a_function_that_raises_cancelled_error_is_a_runtime_error(self) -> None:
        async def odd() -> None:
            raise asyncio.CancelledError

        with pytest.raises(RuntimeError, match="was cancelled"):
            whilst.block(odd)()

    def test_context_variables_go_along(self) -> None:
        async def read() -> str:
            return var.get()

        assert contextvars.copy_context().run(lambda: (var.set("mine"), whilst.block(read)())[1]) == "mine"

    def test_a_keyboard_interrupt_cancels_the_call_and_waits_for_its_clean_up(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        events: list[str] = []
        begun = threading.Event()

        async def slow() -> None:
            begun.set()
            try:
                await asyncio.sleep(100)
            finally:
                await asyncio.sleep(0.01)
                events.append("cleaned up")

        class Interrupted(Latch):
            interrupted = False

            def wait(self, timeout: float = inf) -> bool:
                if timeout == inf and not self.interrupted:
                    self.interrupted = True
                    assert begun.wait(5)
                    raise KeyboardInterrupt
                return super().wait(timeout)

        assert whilst.block(later)(1) == 2  # the engine is up: to start its thread waits for an event, too
        monkeypatch.setattr(bridge, "Latch", Interrupted)
        call = whilst.block(slow)
        with pytest.raises(KeyboardInterrupt):
            call()
        assert events == ["cleaned up"]

    def test_an_async_generator_becomes_an_iterator_closed_when_left_early(self) -> None:
        closed: list[str] = []

        async def items(n: int) -> AsyncIterator[int]:
            token = var.set("inside")
            try:
                for i in range(n):
                    await asyncio.sleep(0)
                    assert var.get() == "inside"
                    yield i
            finally:
                var.reset(token)
                closed.append("closed")

        assert list(whilst.block(items)(3)) == [0, 1, 2]
        assert closed == ["closed"]
        for _ in whilst.block(items)(3):
            break
        gc.collect()
        assert closed == ["closed", "closed"]

    def test_what_is_left_open_is_closed_at_the_end_of_the_program_without_a_word(self) -> None:
        program = """if True:
            import asyncio, contextlib, whilst

            async def items():
                try:
                    while True:
                        yield 1
                        await asyncio.sleep(0)
                finally:
                    await asyncio.sleep(0)
                    print("items closed", flush=True)

            @contextlib.asynccontextmanager
            async def opened():
                try:
                    yield 2
                finally:
                    print("manager closed", flush=True)

            def inside():
                with whilst.block(opened)() as value:
                    yield value

            first, second = whilst.block(items)(), inside()
            print(next(first) + next(second))
        """
        ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
        assert ended.stderr == ""
        said, *closed = ended.stdout.splitlines()
        assert (said, sorted(closed)) == ("3", ["items closed", "manager closed"])

    def test_what_is_collected_on_the_engines_own_thread_is_closed_there_soon(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ignored: list[Any] = []
        monkeypatch.setattr(sys, "unraisablehook", ignored.append)

        async def collect(_: int) -> None:
            closed = [asyncio.Event(), asyncio.Event()]

            async def items() -> AsyncIterator[int]:
                try:
                    yield 1
                finally:
                    await asyncio.sleep(0)
                    closed[0].set()

            @contextlib.asynccontextmanager
            async def opened() -> AsyncIterator[int]:
                try:
                    yield 2
                finally:
                    closed[1].set()

            def inside() -> Iterator[int]:
                with whilst.block(opened)() as value:
                    yield value

            held = [whilst.block(items)(), inside()]
            assert [await asyncio.to_thread(next, one) for one in held] == [1, 2]
            held.clear()
            gc.collect()
            for one in closed:
                await asyncio.wait_for(one.wait(), 10)

        whilst.sequence(collect)(1)
        assert ignored == []

    def test_where_the_engine_cannot_be_started_nothing_is_left_unawaited(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse() -> Any:
            raise RuntimeError("can't start new thread")

        monkeypatch.setattr(bridge, "background", refuse)
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            with pytest.raises(RuntimeError, match="can't start"):
                whilst.block(later)(1)
            gc.collect()
        assert said == []

    def test_an_async_context_manager_is_entered_and_left_by_one_task(self) -> None:
        tasks: list[Any] = []

        @contextlib.asynccontextmanager
        async def opened(name: str) -> AsyncIterator[str]:
            async with asyncio.timeout(10), asyncio.TaskGroup():
                token = var.set(name)
                tasks.append(asyncio.current_task())
                try:
                    yield name.upper()
                finally:
                    tasks.append(asyncio.current_task())
                    var.reset(token)

        with whilst.block(opened)("db") as value:
            assert value == "DB"
        assert tasks[0] is tasks[1]
        with pytest.raises(ExceptionGroup), whilst.block(opened)("db"):
            raise LookupError("body")

    def test_what_a_context_manager_raises_comes_out_and_what_it_swallows_does_not(self) -> None:
        @contextlib.asynccontextmanager
        async def refuses() -> AsyncIterator[None]:
            raise ConnectionError("no")
            yield

        @contextlib.asynccontextmanager
        async def swallows() -> AsyncIterator[None]:
            with contextlib.suppress(LookupError):
                yield

        with pytest.raises(ConnectionError), whilst.block(refuses)():
            pass
        with whilst.block(swallows)():
            raise LookupError

    def test_what_is_blocking_already_or_not_callable_is_refused(self) -> None:
        with pytest.raises(TypeError, match=r"double\(\) is blocking already\n.*whilst.unblock"):
            whilst.block(double)  # type: ignore[arg-type]
        with pytest.raises(TypeError, match="block: fn must be callable"):
            whilst.block(3)  # type: ignore[arg-type]

    def test_there_and_back_again(self) -> None:
        assert whilst.block(whilst.unblock(double))(2) == 4
        assert asyncio.run(whilst.unblock(whilst.block(later))(2)) == 4


def test_when_the_system_gives_no_thread_the_call_fails_instead_of_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    start = threading.Thread.start

    def refuse(self: threading.Thread) -> None:
        if self.name.endswith("-lane"):
            raise RuntimeError("can't start new thread")
        start(self)

    async def main() -> None:
        several = Calls(asyncio.get_running_loop(), 4)
        monkeypatch.setattr(supply, "_lend_to", lambda pool: False)  # or an idle one from a test before would do it
        monkeypatch.setattr(threading.Thread, "start", refuse)
        try:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                await asyncio.wait_for(several.call(double, 1), 5)
        finally:
            monkeypatch.undo()
            await several.close()

    asyncio.run(main())
