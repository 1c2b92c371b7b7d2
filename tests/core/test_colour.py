"""The colour of every shape a callable can have, and its name."""

import functools
import inspect
import re
import sys
from collections.abc import Callable
from typing import Any

import pytest

from whilst.core.colour import is_async, is_generator_function, name_of, place_of


def plain(x: int, y: int = 0) -> int:
    return x


async def coro(x: int, y: int = 0) -> int:
    return x


def gen(x: int):
    yield x


async def agen(x: int):
    yield x


class Methods:
    def plain(self, x: int) -> int:
        return x

    async def coro(self, x: int) -> int:
        return x

    def gen(self, x: int):
        yield x

    @staticmethod
    async def static(x: int) -> int:
        return x

    @classmethod
    async def of_class(cls, x: int) -> int:
        return x


class Call:
    def __call__(self, x: int) -> int:
        return x


class AsyncCall:
    async def __call__(self, x: int) -> int:
        return x


class GenCall:
    def __call__(self, x: int):
        yield x


def wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def async_wrapped(fn: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(fn)
    async def wrapper(*args: Any) -> Any:
        return fn(*args)

    return wrapper


def shape(value: Any) -> str:
    """Name a test by what it is given: no address, which would differ between the processes that run the suite."""
    return re.sub(r" at 0x\w+", "", str(value))[:40]


SHAPES: list[tuple[Any, bool, str]] = [
    (plain, False, "plain"),
    (coro, True, "coro"),
    (functools.partial(plain, y=1), False, "plain"),
    (functools.partial(coro, y=1), True, "coro"),
    (functools.partial(functools.partial(coro, y=1)), True, "coro"),
    (functools.partial(AsyncCall()), True, "AsyncCall"),
    (Methods().plain, False, "Methods.plain"),
    (Methods().coro, True, "Methods.coro"),
    (functools.partial(Methods().coro), True, "Methods.coro"),
    (Methods.static, True, "Methods.static"),
    (Methods.of_class, True, "Methods.of_class"),
    (Call(), False, "Call"),
    (AsyncCall(), True, "AsyncCall"),
    (Call, False, "Call"),
    (AsyncCall, False, "AsyncCall"),  # calling the class makes an object, at once
    (lambda x: coro(x), False, "<lambda>"),  # known only when it is called
    (len, False, "len"),
    ([].append, False, "list.append"),
    (str.upper, False, "str.upper"),
    (int, False, "int"),
    (wrapped(plain), False, "plain"),
    (wrapped(coro), False, "coro"),  # known only when it is called
    (async_wrapped(plain), True, "plain"),
    (functools.lru_cache(plain), False, "plain"),
]


@pytest.mark.parametrize(("fn", "expected", "name"), SHAPES, ids=shape)
def test_the_colour_and_the_name_of(fn: Any, expected: bool, name: str) -> None:
    assert is_async(fn) is expected
    assert name_of(fn) == name
    assert not is_generator_function(fn)


@pytest.mark.skipif(sys.version_info < (3, 12), reason="inspect.markcoroutinefunction is new in 3.12")
def test_a_function_marked_as_a_coroutine_function_is_async() -> None:
    def fetch(x: int) -> Any:
        return coro(x)

    assert is_async(inspect.markcoroutinefunction(fetch))


@pytest.mark.parametrize("fn", [gen, agen, functools.partial(gen, 1), Methods().gen, GenCall()], ids=shape)
def test_a_generator_function_is_seen_in_every_shape(fn: Any) -> None:
    assert is_generator_function(fn)
    assert not is_async(fn)


def test_a_local_function_is_called_by_its_own_name() -> None:
    def inner() -> None: ...

    class Inner:
        def method(self) -> None: ...

    assert name_of(inner) == "inner"
    assert name_of(Inner().method) == "Inner.method"


@pytest.mark.parametrize("fn", [coro, functools.partial(coro), async_wrapped(coro), wrapped(coro)])
def test_the_place_of_a_function_is_where_it_was_written(fn: Any) -> None:
    assert place_of(fn) == f"test_colour.py line {coro.__code__.co_firstlineno}"


@pytest.mark.parametrize("fn", [len, int, Call()])
def test_what_has_no_source_has_no_place(fn: Any) -> None:
    assert place_of(fn) == ""
