"""Flows that do not fit together: each line here is an error to mypy and to pyright. Never run."""

from __future__ import annotations

from collections.abc import Iterator

import whilst
from whilst import Flow


def load(number: int) -> str:
    return str(number)


async def fetch(name: str) -> bytes:
    return name.encode()


def size(page: bytes) -> int:
    return len(page)


async def find(name: str) -> str | None:
    return name or None


def names(count: int) -> Iterator[str]:
    yield str(count)


def store(rows: list[bytes]) -> int:
    return len(rows)


def now() -> int:
    return 0


def two(left: int, right: int) -> int:
    return left + right


flow = whilst.sequence(load, fetch)
whilst.sequence(load, size)
whilst.sequence(fetch, fetch)
whilst.sequence(size, fetch)
whilst.sequence(load, fetch, fetch)
whilst.sequence(load, find, fetch)
whilst.sequence(load, len, len)
whilst.sequence(load, fetch, size, size)
whilst.sequence(load, fetch, size, load, fetch, size, load, size)
whilst.sequence(now, fetch)
whilst.sequence(load, two)
whilst.sequence(load, 3)
whilst.sequence(names, whilst.each(size))
whilst.sequence(names, fetch)
whilst.sequence(load, whilst.step(fetch, timeout=1.0), fetch)
whilst.sequence(names, whilst.each(fetch), fetch)
whilst.sequence(names, whilst.each(fetch), whilst.each(fetch))
whilst.sequence(load, whilst.together(fetch, len), size)
whilst.sequence(load, whilst.first(fetch, len), fetch)
whilst.sequence(names, whilst.each(fetch, failures="pass"), store)
whilst.step(fetch, timeout="1")
whilst.each(fetch, concurency=3)
whilst.each(3)
flow("3")
flow.aio("3")
whilst.map(flow, ["3"])
typed: Flow[int, str] = whilst.sequence(load, fetch)
taken: Flow[str, bytes] = whilst.sequence(load, fetch)
