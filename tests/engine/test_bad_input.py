"""Every argument that cannot be meant is refused at the call, by name, showing the value."""

import asyncio
import functools
import math
from typing import Any

import pytest

import whilst
from whilst.processes import Processes


async def coro(x: int) -> int:
    return x


def plain(x: int) -> int:
    return x


def gen(x: int):
    yield x


async def agen(x: int):
    yield x


BAD: list[tuple[dict[str, Any], type[Exception], str]] = [
    ({"fn": None}, TypeError, "fn must be callable, got None (NoneType)"),
    ({"fn": 5}, TypeError, "fn must be callable, got 5 (int)"),
    ({"fn": "len"}, TypeError, "fn must be callable, got 'len' (str)"),
    ({"fn": gen}, TypeError, "gen() is a generator function"),
    ({"fn": agen}, TypeError, "whilst.each(agen), whilst.flatten()"),
    ({"fn": functools.partial(gen)}, TypeError, "gen() is a generator function"),
    ({"inputs": None}, TypeError, "inputs must be iterable or async iterable, got None (NoneType)"),
    ({"inputs": 5}, TypeError, "inputs must be iterable or async iterable, got 5 (int)"),
    ({"inputs": "text"}, TypeError, "inputs must be many things, got one str: 'text'"),
    ({"inputs": b"data"}, TypeError, "inputs must be many things, got one bytes: b'data'"),
    ({"inputs": list}, TypeError, "inputs must be iterable or async iterable, got <class 'list'>"),
    ({"inputs": range}, TypeError, "inputs must be iterable or async iterable, got <class 'range'>"),
    ({"inputs": gen}, TypeError, "inputs must be iterable or async iterable, got <function gen"),
    ({"concurrency": 0}, ValueError, "concurrency must be at least 1, got 0"),
    ({"concurrency": -3}, ValueError, "concurrency must be at least 1, got -3"),
    ({"concurrency": 1.5}, TypeError, "concurrency must be a whole number, got 1.5"),
    ({"concurrency": "8"}, TypeError, "concurrency must be a whole number, got '8'"),
    ({"concurrency": True}, TypeError, "concurrency must be a whole number, got True"),
    ({"concurrency": math.inf}, TypeError, "concurrency must be a whole number, got inf"),
    ({"fn": plain, "concurrency": 4001}, ValueError, "concurrency=4001 would need as many threads, because plain()"),
    ({"timeout": 0}, ValueError, "timeout must be more than 0 seconds and finite, got 0"),
    ({"timeout": -1}, ValueError, "timeout must be more than 0 seconds and finite, got -1"),
    ({"timeout": math.nan}, ValueError, "timeout must be more than 0 seconds and finite, got nan"),
    ({"timeout": math.inf}, ValueError, "timeout must be more than 0 seconds and finite, got inf"),
    ({"timeout": "5"}, TypeError, "timeout must be a number of seconds, got '5'"),
    ({"timeout": True}, TypeError, "timeout must be a number of seconds, got True"),
    ({"timeout": 1j}, TypeError, "timeout must be a number of seconds, got 1j"),
    ({"deadline": 0}, ValueError, "deadline must be more than 0 seconds and finite, got 0"),
    ({"deadline": "1h"}, TypeError, "deadline must be a number of seconds, got '1h'"),
    ({"ordered": 1}, TypeError, "ordered must be True or False, got 1"),
    ({"ordered": None}, TypeError, "ordered must be True or False, got None"),
    ({"stop_after": 0}, ValueError, "stop_after must be at least 1"),
    ({"stop_after": "0%"}, ValueError, "got '0%'"),
    ({"stop_after": 0.05}, TypeError, 'stop_after must be a number such as 10 or a share such as "5%", got 0.05'),
    ({"executor": "threads"}, ValueError, "executor must be one of"),
    ({"executor": Processes}, TypeError, "try: executor=whilst.processes.Processes()"),
    ({"executor": None}, ValueError, "got None"),
    ({"executor": []}, ValueError, "got []"),
    ({"executor": "thread"}, TypeError, 'coro() is async and cannot run with executor="thread"'),
    ({"total": -1}, ValueError, "total must be at least 0, got -1"),
    ({"total": "many"}, TypeError, "total must be a whole number, got 'many'"),
    ({"progress": "yes"}, TypeError, "progress must be True or False, got 'yes'"),
    ({"progress": 0}, TypeError, "progress must be True or False, got 0"),
    ({"name": 5}, TypeError, "name must be a string, got 5"),
]


@pytest.mark.parametrize(("arguments", "kind", "text"), BAD, ids=[str(i) for i in range(len(BAD))])
def test_a_bad_argument_is_named_and_shown(arguments: dict[str, Any], kind: type[Exception], text: str) -> None:
    given: dict[str, Any] = {"fn": coro, "inputs": [1], **arguments}
    with pytest.raises(kind) as caught:
        whilst.map(given.pop("fn"), given.pop("inputs"), **given)
    assert text in str(caught.value)


def test_a_called_function_gets_a_hint() -> None:
    called = coro(1)
    with pytest.raises(TypeError, match="give the function itself, without calling it"):
        whilst.map(called, [1])  # type: ignore[call-overload]
    with pytest.raises(TypeError, match="a coroutine: await it first"):
        whilst.map(coro, called)  # type: ignore[call-overload]
    called.close()


def test_an_unknown_argument_is_refused() -> None:
    with pytest.raises(TypeError, match="concurency"):
        whilst.map(coro, [1], concurency=3)  # type: ignore[call-overload]


def test_what_behaves_like_a_number_will_do() -> None:
    class Three:
        def __index__(self) -> int:
            return 3

        def __float__(self) -> float:
            return 3.0

    run = whilst.map(coro, [1], concurrency=Three(), timeout=Three(), total=Three())  # type: ignore[call-overload]
    assert asyncio.run(_list(run)) == [1]
    assert (run.summary().concurrency, run.summary().total) == (3, 3)


async def _list(run: Any) -> Any:
    return await run
