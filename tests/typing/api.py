"""What type checkers make of every shape of `whilst.map`; checked by mypy and pyright, never run."""

import asyncio
import functools
import itertools
from collections.abc import AsyncIterator, Awaitable, Iterator
from typing import Any, assert_type

import whilst
import whilst.testing
from whilst import Outcome, Run


async def fetch(number: int) -> str:
    return str(number)


def load(number: int) -> str:
    return str(number)


def optional(number: int) -> str | None:
    return None


async def add(left: int, right: int) -> float:
    return left / right


def scale(left: int, right: int) -> float:
    return left / right


class Client:
    async def get(self, key: str) -> bytes:
        return key.encode()

    def read(self, key: str) -> bytes:
        return key.encode()

    async def __call__(self, key: str) -> bytes:
        return key.encode()

    @classmethod
    async def make(cls, key: str) -> "Client":
        return cls()


class Reader:
    def __call__(self, key: str) -> bytes:
        return key.encode()


async def numbers() -> AsyncIterator[int]:
    yield 1


def plain_numbers() -> Iterator[int]:
    yield 1


def in_plain_code() -> None:
    assert_type(whilst.map(fetch, [1]), Run[int, str])
    assert_type(whilst.map(load, [1]), Run[int, str])
    assert_type(whilst.map(optional, [1]), Run[int, str | None])
    for value in whilst.map(fetch, range(3), concurrency=2, timeout=1, stop_after="5%"):
        assert_type(value, str)
    for value in whilst.map(load, plain_numbers(), ordered=False, deadline=2.5, stop_after=3):
        assert_type(value, str)
    assert_type(whilst.map(fetch, [1]).list(), list[str])
    assert_type(whilst.map(load, numbers()).list(), list[str])
    assert_type(whilst.map(str.upper, ["a"]).list(), list[str])
    assert_type(whilst.map(len, ["a"]).list(), list[int])
    assert_type(whilst.map(int, ["1"], name="to int", progress=True, total=1).list(), list[int])


async def in_async_code() -> None:
    async for value in whilst.map(fetch, [1]):
        assert_type(value, str)
    async for value in whilst.map(load, numbers()):
        assert_type(value, str)
    assert_type(await whilst.map(fetch, [1]), list[str])
    assert_type(await whilst.map(load, [1]), list[str])
    async with asyncio.timeout(1), whilst.map(fetch, [1]) as run:
        assert_type(run, Run[int, str])


async def outcomes() -> None:
    for outcome in whilst.map(load, [1]).outcomes():
        assert_type(outcome, Outcome[int, str])
        assert_type(outcome.input, int)
        assert_type(outcome.value, str)
        assert_type(outcome.unwrap(), str)
        assert_type(outcome.error, BaseException | None)
        assert_type((outcome.index, outcome.attempts), tuple[int, int])
        assert_type((outcome.started, outcome.took), tuple[float | None, float])
        assert_type(outcome.ok, bool)
    async for outcome in whilst.map(fetch, [1]).outcomes():
        assert_type(outcome, Outcome[int, str])
    assert_type(whilst.map(fetch, [1]).outcomes().list(), list[Outcome[int, str]])
    assert_type(await whilst.map(load, [1]).outcomes(), list[Outcome[int, str]])


def every_shape() -> None:
    client = Client()
    assert_type(whilst.map(client.get, ["k"]).list(), list[bytes])
    assert_type(whilst.map(client.read, ["k"]).list(), list[bytes])
    assert_type(whilst.map(client, ["k"]).list(), list[bytes])
    assert_type(whilst.map(Reader(), ["k"]).list(), list[bytes])
    assert_type(whilst.map(Client.make, ["k"]).list(), list[Client])
    assert_type(whilst.map(functools.partial(add, 1), [2]).list(), list[float])
    assert_type(whilst.map(functools.partial(scale, right=1), [2]).list(), list[float])
    by_lambda: Run[int, str] = whilst.map(lambda number: fetch(number), [1])
    assert_type(by_lambda.list(), list[str])
    by_plain_lambda: Run[int, float] = whilst.map(lambda number: number / 2, [1])
    assert_type(by_plain_lambda.list(), list[float])

    def soon(number: int) -> Awaitable[str]:
        return asyncio.ensure_future(fetch(number))

    assert_type(whilst.map(soon, [1]).list(), list[str])


def pair(left: int, right: str = "") -> float:
    return left / len(right)


async def three(left: int, middle: str, right: bytes) -> float:
    return left / len(middle) / len(right)


def scale4(first: int, second: int, third: int, fourth: int) -> float:
    return first / second / third / fourth


def nothing() -> str:
    return ""


async def nothing_later() -> str:
    return ""


def functions_as_people_have_them(rows: list[dict[str, int]]) -> None:
    assert_type(whilst.map(nothing, range(3)), Run[int | None, str])
    assert_type(whilst.map(nothing_later, itertools.repeat(None, 3)), Run[int | None, str])
    assert_type(whilst.map(pair, [1], ["a"]), Run[tuple[int, str], float])
    assert_type(whilst.map(pair, numbers(), itertools.repeat("a"), concurrency=2), Run[tuple[int, str], float])
    assert_type(whilst.map(three, [1], ["a"], [b"b"]), Run[tuple[int, str, bytes], float])
    assert_type(whilst.map(scale4, [1], [2], [3], [4]).list(), list[float])
    assert_type(whilst.map(whilst.spread(pair), [(1, "a")]).list(), list[float])
    assert_type(whilst.map(whilst.spread(three), [(1, "a", b"b")]).list(), list[float])
    assert_type(whilst.map(whilst.spread(pair), rows).list(), list[float])
    assert_type(whilst.spread(pair)((1, "a")), float)
    whilst.map(nothing, [1])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whilst.map(pair, [1], [2])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whilst.map(pair, [1], 20)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whilst.spread(pair)((1, 2))  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


@whilst.Retry(attempts=5)
def get(url: str, *, timeout: float = 1.0) -> bytes:
    return url.encode()


def tell(event: whilst.AttemptFailed) -> None:
    assert_type((event.attempt, event.kind, event.wait, event.error), tuple[int, str, float, Exception])


@whilst.Retry(attempts=5, on_value=lambda page: not page, on_retry=tell)
async def get_later(url: str, *, timeout: float = 1.0) -> bytes:
    return url.encode()


class Retried:
    @whilst.Retry()
    def get(self, url: str) -> int:
        return len(url)

    @whilst.Retry()
    async def fetch(self, url: str) -> int:
        return len(url)


async def decorated() -> None:
    assert_type(get("url", timeout=2.0), bytes)
    assert_type(await get_later("url"), bytes)
    assert_type(Retried().get("url"), int)
    assert_type(await Retried().fetch("url"), int)
    assert_type(whilst.Retry(attempts=3).call(scale, 1, right=2), float)
    assert_type(await whilst.Retry(attempts=3).call(add, 1, right=2), float)
    assert_type(whilst.map(get, ["url"]).list(), list[bytes])
    assert_type(whilst.map(get_later, ["url"]).list(), list[bytes])
    assert_type(whilst.UnwantedValue("message", 3).value, Any)
    get(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    get("url", retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    Retried().get(3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    whilst.Retry().call(scale, 1)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    whilst.Retry(on_value=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    with whilst.testing.no_waits():
        pass


def ask(name: str, session: dict[str, str]) -> bytes:
    return session[name].encode()


async def ask_later(name: str, *, session: dict[str, str]) -> bytes:
    return session[name].encode()


def with_resources() -> None:
    use = {"session": whilst.resource(dict[str, str], per="run")}
    assert_type(whilst.map(ask, ["a"], use=use), Run[str, bytes])
    assert_type(whilst.map(ask_later, ["a"], use=use, concurrency=3), Run[str, bytes])
    assert_type(whilst.map(ask, ["a"], ["b"], use=use), Run[tuple[Any, ...], bytes])
    whilst.map(ask, ["a"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]


def the_run_itself() -> None:
    with whilst.map(load, [1]) as run:
        assert_type(run, Run[int, str])
        assert_type(run.summary(), whilst.Summary)
        assert_type(run.summary().rate, float)
        assert_type(run.summary().total, int | None)
        run.cancel()
        run.drain()


def elsewhere() -> None:
    import whilst.processes

    assert_type(whilst.map(load, [1], executor="process"), Run[int, str])
    assert_type(whilst.map(load, [1], executor=whilst.processes.Processes(recycle=10)), Run[int, str])
    whilst.step(load, executor=whilst.processes.Processes())
    whilst.each(load, executor="process", concurrency=2)
    whilst.map(load, [1], executor="procces")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def virtual_time() -> None:
    async def main() -> int:
        return 1

    assert_type(whilst.testing.run(main()), int)
    loop = whilst.testing.VirtualTimeLoop()
    assert_type(loop.virtual_clock(), float)
    assert_type(loop.time(), float)


def mistakes() -> None:
    whilst.map(fetch, ["not a number"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whilst.map(fetch, [1], concurrency="8")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    whilst.map(fetch, [1], concurency=8)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]


def judging(error: BaseException) -> None:
    assert_type(whilst.transient(error), bool)
    assert_type(whilst.Throttled(retry_after=2).retry_after, float | None)
    assert_type(whilst.Throttled("the queue is full").retry_after, float | None)
