"""What the type checkers must understand of `unblock`, `block` and flows: checked by mypy and pyright, never run."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from typing import Any, assert_type

import whilst


def get(url: str, *, timeout: float = 1.0) -> bytes:
    return url.encode()


def lines(path: str) -> Iterator[str]:
    yield path


def numbers(n: int) -> Generator[int, None, None]:
    yield n


@contextlib.contextmanager
def opened(path: str) -> Generator[bytes, None, None]:
    yield path.encode()


async def fetch(url: str, *, timeout: float = 1.0) -> bytes:
    return url.encode()


async def lines_later(path: str) -> AsyncIterator[str]:
    yield path


async def numbers_later(n: int) -> AsyncGenerator[int, None]:
    yield n


@contextlib.asynccontextmanager
async def opened_later(path: str) -> AsyncGenerator[bytes, None]:
    yield path.encode()


class Client:
    def get(self, url: str) -> int:
        return len(url)

    async def fetch(self, url: str) -> int:
        return len(url)


async def one_colour() -> None:
    assert_type(await whilst.unblock(get)("url", timeout=2.0), bytes)
    assert_type(await whilst.unblock(Client().get)("url"), int)
    assert_type(await whilst.unblock(len)([1]), int)
    async for line in whilst.unblock(lines)("path"):
        assert_type(line, str)
    async for number in whilst.unblock(numbers)(3):
        assert_type(number, int)
    async with whilst.unblock(opened)("path") as file:
        assert_type(file, bytes)


def and_the_other() -> None:
    assert_type(whilst.block(fetch)("url", timeout=2.0), bytes)
    assert_type(whilst.block(Client().fetch)("url"), int)
    for line in whilst.block(lines_later)("path"):
        assert_type(line, str)
    for number in whilst.block(numbers_later)(3):
        assert_type(number, int)
    with whilst.block(opened_later)("path") as file:
        assert_type(file, bytes)


async def signatures_survive() -> None:
    unblocked: Callable[[str], Coroutine[Any, Any, bytes]] = whilst.unblock(get)
    blocked: Callable[[str], bytes] = whilst.block(fetch)
    await unblocked("url")
    blocked("url")
    await whilst.unblock(get)(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await whilst.unblock(get)("url", retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    whilst.block(fetch)(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    whilst.block(fetch)("url", retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def flows() -> None:
    flow = whilst.sequence(str.strip, whilst.together(a=len, b=whilst.step(fetch, timeout=1.0)))
    assert_type(flow, whilst.Flow[str, dict[str, Any]])
    assert_type(flow("url"), dict[str, Any])
    assert_type(await flow.aio("url"), dict[str, Any])
    assert_type(flow.stream("url"), whilst.Run[Any, Any])
    text: str = str(flow.plan())
    assert_type(text, str)
    limit = whilst.Limit(concurrency=3)
    assert_type(limit.statistics(), whilst.LimitStatistics)
    assert_type(whilst.resource(dict, per="thread"), whilst.Resource)
