"""One colour into the other: `unblock` and `block`; neither changes the function it is given."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import functools
import inspect
import sys
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from .core.check import answered, not_callable
from .core.colour import is_async, is_async_generator_function, is_generator_function, name_of
from .engine.background import background, is_engine, is_engine_thread
from .lanes.awaiting import trimmed
from .lanes.calls import Calls, calls_of_loop
from .lanes.interrupted import Latch
from .lanes.worker import current_worker

P = ParamSpec("P")
T = TypeVar("T")

CANCEL_WAIT = 1.5  # seconds that an interrupted `block` waits for its call's clean-up


@overload
def unblock(  # type: ignore[overload-overlap]
    fn: Callable[P, contextlib._GeneratorContextManager[T, Any, Any]],
) -> Callable[P, AsyncContext[T]]: ...
@overload
def unblock(fn: Callable[P, Generator[T, Any, Any]]) -> Callable[P, AsyncIterator[T]]: ...  # type: ignore[overload-overlap]
@overload
def unblock(fn: Callable[P, Iterator[T]]) -> Callable[P, AsyncIterator[T]]: ...  # type: ignore[overload-overlap]
@overload
def unblock(fn: Callable[P, T]) -> Callable[P, Coroutine[Any, Any, T]]: ...
@answered
def unblock(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return an async function that calls the blocking `fn` on a thread.

    A generator function becomes an async iterator, read one item at a time, on one thread. A factory of context
    managers (made with `contextlib.contextmanager`, or a class with `__enter__`) becomes an async context manager,
    entered and left on one thread. Signature, docstring and context variables are kept; methods work too.

    If a call is cancelled before it starts, it never starts; a running call cannot be stopped and is left behind.
    Threads are reused, at most 512 for each loop. They end after 10 s without work, or with the loop.

    Raises:
        TypeError: if `fn` is not callable, or is async already.

    >>> import asyncio, time, whilst
    >>> async def main():
    ...     sleep = whilst.unblock(time.sleep)
    ...     await asyncio.gather(*(sleep(0.01) for _ in range(20)))  # 0.01 s, not 0.2
    >>> asyncio.run(main())
    """
    if not callable(fn):
        raise TypeError(f"unblock: fn {not_callable(fn, of_run=False)}")
    if is_async(fn) or is_async_generator_function(fn):
        raise TypeError(f"{name_of(fn)}() is async already\n  try: whilst.block({name_of(fn)}), to make it blocking")
    if _is_context_factory(fn):
        return _named(fn, lambda *args, **kwargs: AsyncContext[Any](functools.partial(fn, *args, **kwargs)))
    if is_generator_function(fn):
        return _named(fn, lambda *args, **kwargs: _iterate(functools.partial(fn, *args, **kwargs)))

    @functools.wraps(fn)
    async def unblocked(*args: Any, **kwargs: Any) -> Any:
        target = functools.partial(fn, *args, **kwargs) if kwargs else fn
        return await calls_of_loop().call(target, *(() if kwargs else args))

    return unblocked


@overload
def block(fn: Callable[P, contextlib._AsyncGeneratorContextManager[T, Any]]) -> Callable[P, PlainContext[T]]: ...
@overload
def block(fn: Callable[P, AsyncGenerator[T, Any]]) -> Callable[P, Iterator[T]]: ...
@overload
def block(fn: Callable[P, AsyncIterator[T]]) -> Callable[P, Iterator[T]]: ...
@overload
def block(fn: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]: ...
@answered
def block(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a blocking function that runs the async `fn` on the engine's loop, even if a loop is already running.

    An async generator function becomes an iterator, an async context-manager factory a context manager. A
    KeyboardInterrupt while waiting cancels the call.

    Raises:
        TypeError: if `fn` is not async.
        RuntimeError: at the call, on the engine's own thread, where it would wait for ever.

    >>> import asyncio, whilst
    >>> async def fetch(name):
    ...     await asyncio.sleep(0.001)
    ...     return name.title()
    >>> whilst.block(fetch)("pikachu")
    'Pikachu'
    """
    if not callable(fn):
        raise TypeError(f"block: fn {not_callable(fn, of_run=False)}")
    if _is_async_context_factory(fn):
        return _named(fn, lambda *args, **kwargs: PlainContext[Any](functools.partial(fn, *args, **kwargs)))
    if is_async_generator_function(fn):
        return _named(fn, lambda *args, **kwargs: _iterate_plain(functools.partial(fn, *args, **kwargs)))
    if not is_async(fn):
        raise TypeError(f"{name_of(fn)}() is blocking already\n  try: whilst.unblock({name_of(fn)}), to make it async")
    return _named(fn, lambda *args, **kwargs: _wait(fn(*args, **kwargs)))


def _nothing() -> None:
    return None


class AsyncContext(Generic[T]):
    """A blocking context manager in async code; entered and left on one thread, in one context, whatever happens."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._manager: Any = None
        self._calls: Calls | None = None
        self._context = contextvars.copy_context()
        self._given_up = False
        self._guard = threading.Lock()  # between `entered` and `given up`, of which the first one holds

    async def __aenter__(self) -> T:
        """Make it and enter it; cancelled meanwhile, it is left as soon as it is entered."""
        self._calls = Calls(asyncio.get_running_loop(), 1, name="whilst-context", lends=False, of_run=False)
        try:
            return cast("T", await self._calls.call(self._enter, context=self._context, of=self._factory))
        except BaseException as caught:  # also a cancellation: the thread must go, and what was entered be left
            with self._guard:
                self._given_up = True
            try:
                if self._manager is not None:
                    await self._leave(type(caught), caught, caught.__traceback__)
            finally:
                await self._calls.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Leave it, on the thread that entered it; a cancellation waits until it is left."""
        assert self._calls is not None
        try:
            return bool(await self._leave(kind, error, trace))
        finally:
            await self._calls.close()

    def _enter(self) -> Any:
        manager = self._factory()
        value = manager.__enter__()
        with self._guard:
            if not self._given_up:
                self._manager = manager
                return value
        error = asyncio.CancelledError()
        with contextlib.suppress(asyncio.CancelledError):
            manager.__exit__(type(error), error, None)
        return None

    async def _leave(self, *error: Any) -> Any:
        assert self._calls is not None
        return await self._calls.surely(self._manager.__exit__, *error, context=self._context, of=self._factory)


class PlainContext(Generic[T]):
    """An async context manager in plain code; entered and left by one task on the engine's loop."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._value: Any = None
        self._call: _Call | None = None
        self._body: asyncio.Future[tuple[Any, Any, Any]] | None = None

    def __enter__(self) -> T:
        """Make it and enter it."""
        entered = Latch()
        self._call = _Call(self._own(entered), on_end=entered.open)
        self._call.wait(until=entered)
        return cast("T", self._value if self._body is not None else self._call.result())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Leave it."""
        assert self._call is not None
        return self._call.end(self._end_body, (kind, error, trace)) and bool(self._call.result())

    async def _own(self, entered: Latch) -> Any:
        manager = self._factory()
        self._value = await manager.__aenter__()
        self._body = asyncio.get_running_loop().create_future()
        entered.open()
        try:
            error = await self._body
        except asyncio.CancelledError as caught:
            await manager.__aexit__(type(caught), caught, caught.__traceback__)
            raise
        return await manager.__aexit__(*error)

    def _end_body(self, error: tuple[Any, Any, Any]) -> None:
        if self._body is not None and not self._body.done():
            self._body.set_result(error)


async def _iterate(factory: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Read a generator on one thread and in one context, an item when one is asked for; close it there."""
    calls = Calls(asyncio.get_running_loop(), 1, name="whilst-iterator", lends=False, of_run=False)
    context, end = contextvars.copy_context(), object()

    def begin() -> Iterator[T]:
        generator = factory()
        worker = current_worker()
        assert worker is not None
        close = getattr(generator, "close", _nothing)
        worker.at_end.append(lambda: context.run(close))  # for one that is left behind inside next()
        return generator

    try:
        generator = await calls.call(begin, context=context, of=factory)
        try:
            while (item := await calls.call(next, generator, end, context=context, of=factory)) is not end:
                yield item
        finally:
            if not calls.abandoned:  # or it is running still, and is closed when it pauses
                await calls.surely(getattr(generator, "close", _nothing), context=context, of=factory)
    finally:
        await calls.close()


def _iterate_plain(factory: Callable[[], AsyncGenerator[T, Any]]) -> Iterator[T]:
    generator, context = factory(), contextvars.copy_context()
    end: Any = object()

    async def following() -> T:
        return await anext(generator, end)

    kept = _Kept(generator, context)
    try:
        while (item := _wait(following(), context)) is not end:
            yield item
    finally:
        kept.leave()


class _Kept:
    """An async generator that plain code reads; a task on the engine's loop closes it, at the latest when that ends."""

    def __init__(self, generator: AsyncGenerator[Any, Any], context: contextvars.Context) -> None:
        self._generator = generator
        self._left: asyncio.Future[None] | None = None
        self._call = _Call(self._own(), context)

    def leave(self) -> None:
        """Have it closed."""
        if self._call.end(self._end):
            self._call.result()

    async def _own(self) -> None:
        _open.add(self)  # the loop itself keeps no task that waits
        self._left = asyncio.get_running_loop().create_future()
        try:
            await self._left
        finally:
            try:
                await self._generator.aclose()
            finally:
                _open.discard(self)

    def _end(self) -> None:
        if self._left is not None and not self._left.done():
            self._left.set_result(None)


_open: set[_Kept] = set()


def _wait(coroutine: Coroutine[Any, Any, T], context: contextvars.Context | None = None) -> T:
    """Run a coroutine on the engine's loop and wait for it here."""
    call = _Call(coroutine, context)
    call.wait()
    return cast("T", call.result())


class _Call:
    """A coroutine that runs on the engine's loop, and the thread that waits for it."""

    def __init__(
        self,
        coroutine: Coroutine[Any, Any, Any],
        context: contextvars.Context | None = None,
        on_end: Callable[[], None] = _nothing,
    ) -> None:
        _check_thread(coroutine)
        self.ended: Latch = Latch()
        try:
            self.loop: asyncio.AbstractEventLoop = background().loop
        except BaseException:  # all of them: nobody will await it
            coroutine.close()
            raise
        self._on_end = on_end
        self._value: Any = None
        self._error: BaseException | None = None
        self._task: asyncio.Task[None] | None = None
        self.loop.call_soon_threadsafe(self._start, coroutine, context or contextvars.copy_context())

    def wait(self, until: Latch | None = None) -> None:
        """Wait for the end, or something before it; whatever interrupts the waiting cancels the coroutine."""
        try:
            (until or self.ended).wait()
        except BaseException:  # a KeyboardInterrupt, mostly: the call must not outlive it
            self.loop.call_soon_threadsafe(self._cancel)
            self.ended.wait(CANCEL_WAIT)
            raise

    def end(self, act: Callable[..., object], *args: Any) -> bool:
        """Have `act` end it, on the loop, and wait for that; False if there is nothing to wait for.

        So it is where the engine has ended, or is the parent's; and on the engine's own thread, which comes here when
        it collects what was left open.
        """
        if self.ended.is_open or sys.is_finalizing() or not is_engine(self.loop):
            return False
        self.loop.call_soon_threadsafe(act, *args)
        if is_engine_thread():
            return False
        self.wait()
        return True

    def result(self) -> Any:
        """Return what the coroutine returned, or raise what it raised."""
        value, error = self._value, self._error
        self._value = self._error = None
        try:
            if isinstance(error, asyncio.CancelledError):
                raise RuntimeError("the async function was cancelled while whilst.block() waited for it") from error
            if error is not None:
                raise error
            return value
        finally:
            del value, error  # or the error and its traceback would keep each other alive

    def _start(self, coroutine: Coroutine[Any, Any, Any], context: contextvars.Context) -> None:
        self._task = self.loop.create_task(self._run(coroutine), context=context)
        self._task.add_done_callback(lambda task: self._end(task, coroutine))

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _run(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        try:
            self._value = await coroutine
        except BaseException as caught:  # all of them: the waiting thread raises it
            self._error = trimmed(caught)
        finally:
            del self, coroutine  # a failure's frames keep this one

    def _end(self, task: asyncio.Task[None], coroutine: Coroutine[Any, Any, Any]) -> None:
        if task.cancelled():  # before its first step
            coroutine.close()
            self._error = asyncio.CancelledError()
        self.ended.open()
        self._on_end()


def _check_thread(coroutine: Coroutine[Any, Any, Any]) -> None:
    if is_engine_thread():
        coroutine.close()
        raise RuntimeError(
            "a whilst.block() function was called on the engine's own loop, where it would wait for ever\n"
            "  use: await the async function itself"
        )


def _is_context_factory(fn: Any) -> bool:
    if inspect.isclass(fn):
        return hasattr(fn, "__enter__") and hasattr(fn, "__exit__")
    return getattr(fn, "__code__", None) is _HELPER and inspect.isgeneratorfunction(inspect.unwrap(fn))


def _is_async_context_factory(fn: Any) -> bool:
    if inspect.isclass(fn):
        return hasattr(fn, "__aenter__") and hasattr(fn, "__aexit__")
    return getattr(fn, "__code__", None) is _ASYNC_HELPER and inspect.isasyncgenfunction(inspect.unwrap(fn))


@contextlib.contextmanager
def _plain_sample() -> Generator[None, None, None]:
    yield


@contextlib.asynccontextmanager
async def _async_sample() -> AsyncGenerator[None, None]:
    yield


# What contextlib's decorators return is a function called `helper`, the same code for all.
_HELPER = _plain_sample.__code__
_ASYNC_HELPER = _async_sample.__code__


def _named(fn: Callable[..., Any], wrapper: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return wrapper(*args, **kwargs)

    return call
