"""One colour into the other: `unblock` and `block`; neither changes the function it is given."""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import functools
import inspect
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from types import TracebackType
from typing import Any, Generic, ParamSpec, TypeVar, cast, overload

from .check import not_callable
from .core.colour import is_async, name_of
from .engine.background import background, is_engine_thread
from .lanes.calls import Calls

P = ParamSpec("P")
T = TypeVar("T")

MOST_THREADS = 512  # for one-off calls all over a program; a map has threads of its own, as many as its concurrency
PATIENCE = 10.0  # seconds that an idle thread stays for the next call
CANCEL_WAIT = 1.5  # seconds that an interrupted `block` waits for its call's clean-up

_loops: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, Calls] = weakref.WeakKeyDictionary()


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
def unblock(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return an async function that calls the blocking `fn` on a thread.

    A generator function becomes an async iterator, read one item at a time, all on one thread; a context-manager
    factory (made with `contextlib.contextmanager`, or a class with `__enter__`) becomes an async context manager,
    entered and left on one thread. Signature, docstring and contextvars go along; methods work too.

    A cancelled call that has not started never starts; one that runs cannot be stopped and is left behind. Threads
    are reused, at most 512 a loop, and end when idle for 10 s.

    Raises:
        TypeError: if `fn` is not callable, or is async already.

    >>> import asyncio, time, whilst
    >>> async def main():
    ...     sleep = whilst.unblock(time.sleep)
    ...     await asyncio.gather(*(sleep(0.01) for _ in range(20)))  # 0.01 s, not 0.2
    >>> asyncio.run(main())
    """
    if not callable(fn):
        raise TypeError(f"unblock: fn {not_callable(fn)}")
    if is_async(fn) or inspect.isasyncgenfunction(fn):
        raise TypeError(f"{name_of(fn)}() is async already\n  try: whilst.block({name_of(fn)}) for the way back")
    if _is_context_factory(fn):
        return _named(fn, lambda *args, **kwargs: AsyncContext[Any](functools.partial(fn, *args, **kwargs)))
    if inspect.isgeneratorfunction(fn):
        return _named(fn, lambda *args, **kwargs: _iterate(functools.partial(fn, *args, **kwargs)))

    @functools.wraps(fn)
    async def unblocked(*args: Any, **kwargs: Any) -> Any:
        target = functools.partial(fn, *args, **kwargs) if kwargs else fn
        return await _calls().call(target, *(() if kwargs else args))

    return unblocked


@overload
def block(fn: Callable[P, contextlib._AsyncGeneratorContextManager[T, Any]]) -> Callable[P, PlainContext[T]]: ...
@overload
def block(fn: Callable[P, AsyncGenerator[T, Any]]) -> Callable[P, Iterator[T]]: ...
@overload
def block(fn: Callable[P, AsyncIterator[T]]) -> Callable[P, Iterator[T]]: ...
@overload
def block(fn: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, T]: ...
def block(fn: Callable[..., Any]) -> Callable[..., Any]:
    """Return a blocking function that runs the async `fn` on the engine's loop, also where a loop already runs.

    An async generator function becomes an iterator, an async context-manager factory a context manager. A
    KeyboardInterrupt while waiting cancels the call.

    Raises:
        TypeError: if `fn` is not async.
        RuntimeError: at the call, on the engine's own thread, where waiting would be for ever.

    >>> import asyncio, whilst
    >>> async def fetch(name):
    ...     await asyncio.sleep(0.001)
    ...     return name.title()
    >>> whilst.block(fetch)("pikachu")
    'Pikachu'
    """
    if not callable(fn):
        raise TypeError(f"block: fn {not_callable(fn)}")
    if _is_async_context_factory(fn):
        return _named(fn, lambda *args, **kwargs: PlainContext[Any](functools.partial(fn, *args, **kwargs)))
    if inspect.isasyncgenfunction(fn):
        return _named(fn, lambda *args, **kwargs: _iterate_plain(functools.partial(fn, *args, **kwargs)))
    if not is_async(fn):
        raise TypeError(f"{name_of(fn)}() is blocking already\n  try: whilst.unblock({name_of(fn)}) for the way there")
    return _named(fn, lambda *args, **kwargs: _wait(fn(*args, **kwargs)))


class AsyncContext(Generic[T]):
    """A blocking context manager in async code; entered and left on one thread of its own."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._manager: Any = None
        self._calls: Calls | None = None

    async def __aenter__(self) -> T:
        """Make it and enter it."""
        self._calls = Calls(asyncio.get_running_loop(), 1, name="whilst-context")

        def enter() -> Any:
            self._manager = self._factory()
            return self._manager.__enter__()

        try:
            return cast("T", await self._calls.call(enter))
        except BaseException:  # also a cancellation: there is nothing to leave, but the thread must go
            await self._calls.close()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Leave it, on the thread that entered it."""
        assert self._calls is not None
        try:
            return bool(await self._calls.call(self._manager.__exit__, kind, error, trace))
        finally:
            await self._calls.close()


class PlainContext(Generic[T]):
    """An async context manager in plain code, run on the engine's loop."""

    def __init__(self, factory: Callable[[], Any]) -> None:
        self._factory = factory
        self._manager: Any = None

    def __enter__(self) -> T:
        """Make it and enter it."""

        async def enter() -> T:
            self._manager = self._factory()
            return cast("T", await self._manager.__aenter__())

        return _wait(enter())

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        """Leave it."""
        return bool(_wait(self._manager.__aexit__(kind, error, trace)))


async def _iterate(factory: Callable[[], Iterator[T]]) -> AsyncIterator[T]:
    """Read a generator on one thread, an item when one is asked for; close it there."""
    calls = Calls(asyncio.get_running_loop(), 1, name="whilst-iterator")
    end = object()
    generator = await calls.call(factory)
    try:
        while (item := await calls.call(next, generator, end)) is not end:
            yield item
    finally:
        try:
            if not calls.abandoned:  # or the generator is still running, and cannot be closed
                await calls.call(getattr(generator, "close", _nothing))
        finally:
            await calls.close()


def _iterate_plain(factory: Callable[[], AsyncGenerator[T, Any]]) -> Iterator[T]:
    generator = factory()
    end: Any = object()

    async def following() -> T:
        return await anext(generator, end)

    try:
        while (item := _wait(following())) is not end:
            yield item
    finally:
        _wait(generator.aclose())


def _wait(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine on the engine's loop and wait for it here."""
    if is_engine_thread():
        coroutine.close()
        raise RuntimeError(
            "a whilst.block() function was called on the engine's own loop, where waiting would be for ever\n"
            "  use: await the async function itself"
        )
    future = asyncio.run_coroutine_threadsafe(coroutine, background().loop)
    try:
        return future.result()
    except BaseException:  # a KeyboardInterrupt here, mostly: the call must not outlive it
        if not future.done():
            future.cancel()
            with contextlib.suppress(concurrent.futures.CancelledError, TimeoutError):
                future.result(CANCEL_WAIT)
        raise


def _calls() -> Calls:
    loop = asyncio.get_running_loop()
    calls = _loops.get(loop)
    if calls is None:
        calls = _loops[loop] = Calls(loop, MOST_THREADS, name="whilst-unblock", patience=PATIENCE)
    return calls


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


def _nothing() -> None:
    return None
