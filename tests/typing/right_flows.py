"""Flows that fit together, and what type checkers make of them: by mypy and pyright, never run."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any, assert_type

import whilst
from whilst import Flow, Outcome, Run
from whilst.typevars import Items


def load(number: int) -> str:
    return str(number)


async def fetch(name: str) -> bytes:
    return name.encode()


def size(page: bytes) -> int:
    return len(page)


async def find(name: str) -> str | None:
    return name or None


def shown(name: str | None) -> float:
    return 1.0 if name else 0.0


def names(count: int) -> Iterator[str]:
    yield from map(str, range(count))


async def names_later(count: int) -> AsyncIterator[str]:
    yield str(count)


def store(rows: list[bytes]) -> int:
    return len(rows)


def now() -> int:
    return 0


def page_of(name: str = "", *, size: int = 20) -> bytes:
    return name.encode()


async def ask(name: str, session: dict[str, str]) -> bytes:
    return session[name].encode()


class Api:
    async def get(self, name: str) -> bytes:
        return name.encode()

    def __call__(self, name: str) -> int:
        return len(name)


session = whilst.resource(dict[str, str], per="run")

# 20 shapes, at the least
assert_type(whilst.sequence(load), Flow[int, str])
assert_type(whilst.sequence(fetch), Flow[str, bytes])
assert_type(whilst.sequence(load, fetch), Flow[int, bytes])
assert_type(whilst.sequence(fetch, size), Flow[str, int])
assert_type(whilst.sequence(load, fetch, size), Flow[int, int])
assert_type(whilst.sequence(load, find, shown), Flow[int, float])
assert_type(whilst.sequence(load, fetch, size, load, fetch, size, load, fetch), Flow[int, bytes])
assert_type(whilst.sequence(load, str.upper, str.encode, len, load, len, load, str), Flow[int, str])
assert_type(whilst.sequence(whilst.sequence(load, fetch), whilst.sequence(size, load)), Flow[int, str])
assert_type(whilst.sequence(load, Api().get, size), Flow[int, int])
assert_type(whilst.sequence(load, Api(), load), Flow[int, str])
assert_type(whilst.sequence(load, page_of, size), Flow[int, int])
assert_type(whilst.sequence(load, json.loads, fetch), Flow[int, bytes])
assert_type(whilst.sequence(now, load, fetch), Flow[Any, bytes])
assert_type(whilst.sequence(lambda number: number + 1, load), Flow[Any, str])
assert_type(whilst.sequence(load, whilst.step(fetch, timeout=1.0, retry=3), size), Flow[int, int])
assert_type(whilst.sequence(load, whilst.step(ask, use={"session": session}), size), Flow[int, int])
assert_type(whilst.sequence(names, whilst.each(fetch, concurrency=5)), Flow[int, list[bytes]])
assert_type(whilst.sequence(names_later, whilst.each(fetch), whilst.each(size)), Flow[int, list[int]])
assert_type(whilst.sequence(names, whilst.each(fetch), store), Flow[int, int])
assert_type(whilst.sequence(names, whilst.each(lambda name: name.upper()), whilst.each(fetch)), Flow[int, list[bytes]])
assert_type(whilst.sequence(names, whilst.filter(len), whilst.each(fetch)), Flow[int, list[bytes]])
assert_type(whilst.sequence(names, whilst.each(fetch), whilst.batched(9), whilst.each(store)), Flow[int, list[int]])
assert_type(
    whilst.sequence(names, whilst.each(str.split), whilst.flatten(), whilst.each(fetch)), Flow[int, list[bytes]]
)
assert_type(whilst.sequence(str.split, whilst.each(len), max), Flow[str, int])
assert_type(whilst.sequence(str.split, whilst.each(len), sum)("a b"), Any | int)  # type: ignore[assert-type]  # pyright: ignore[reportAssertTypeFailure]
assert_type(whilst.together(load, now)(3), tuple[Any, ...])
assert_type(whilst.together(fetch, len), Flow[str, tuple[bytes, int]])
assert_type(whilst.together(fetch, page_of, find), Flow[str, tuple[bytes, bytes, str | None]])
assert_type(whilst.together(len, str.upper, str.lower, str.strip), Flow[str, tuple[int, str, str, str]])
assert_type(whilst.together(page=fetch, length=len), Flow[str, dict[str, Any]])
assert_type(whilst.sequence(load, whilst.together(fetch, len)), Flow[int, tuple[bytes, int]])
assert_type(whilst.first(fetch, page_of), Flow[str, bytes])
assert_type(whilst.first(fetch, len), Flow[str, bytes | int])
assert_type(whilst.fallback(find, len, fetch), Flow[str, str | int | bytes | None])
assert_type(whilst.sequence(load, whilst.first(fetch, page_of), size), Flow[int, int])
assert_type(whilst.each(fetch), Flow[Items[str], list[bytes]])
assert_type(whilst.each(fetch, failures="skip"), Flow[Items[str], list[bytes]])
assert_type(whilst.each(fetch, failures="pass"), Flow[Items[str], list[Outcome[str, bytes]]])
assert_type(whilst.each(ask, use={"session": session}), Flow[Items[Any], list[bytes]])
assert_type(whilst.step(now), Flow[Any, int])

flow = whilst.sequence(load, fetch)
stream = whilst.sequence(names, whilst.each(fetch))


async def used() -> None:
    assert_type(flow(3), bytes)
    assert_type(await flow.aio(3), bytes)
    assert_type(whilst.map(flow, [1, 2]), Run[int, bytes])
    assert_type(whilst.map(flow, range(3)).list(), list[bytes])
    assert_type(stream.stream(3), Run[Any, bytes])
    for page in stream.stream(3):
        assert_type(page, bytes)
    nine = whilst.sequence(load, fetch, size, load, fetch, size, load, fetch, size)
    assert_type(nine, Flow[Any, Any])
