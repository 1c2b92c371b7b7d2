"""What answers of other clients say of the calls that are left, heard by whatever limits the call."""

from __future__ import annotations

import asyncio
import time
from email.message import Message
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import requests
from limitkit import virtually
from multidict import CIMultiDict, CIMultiDictProxy

import whilst

LEFT = {"X-RateLimit-Remaining": "2", "X-RateLimit-Reset": "30"}


def of_requests(headers: dict[str, str], status: int = 200) -> Any:
    answer = requests.Response()
    answer.status_code = status
    answer.headers.update(headers)
    return answer


def of_urllib(headers: dict[str, str], status: int = 200) -> Any:
    message = Message()
    for name, value in headers.items():
        message[name] = value
    return SimpleNamespace(headers=message, status=status)


def of_botocore(headers: dict[str, str], status: int = 200) -> Any:
    lower = {name.lower(): value for name, value in headers.items()}
    return {"ResponseMetadata": {"HTTPStatusCode": status, "HTTPHeaders": lower}, "Contents": []}


SHAPES: dict[str, Any] = {
    "requests": of_requests,
    "httpx": lambda headers, status=200: httpx.Response(status, headers=headers),
    "aiohttp": lambda headers, status=200: SimpleNamespace(
        headers=CIMultiDictProxy(CIMultiDict(headers)), status=status
    ),
    "urllib": of_urllib,
    "botocore": of_botocore,
    "an error that has the answer": lambda headers, status=200: SimpleNamespace(response=of_requests(headers, status)),
    "a mapping": lambda headers, status=200: headers,
    "pairs of bytes": lambda headers, status=200: [(name.encode(), value.encode()) for name, value in headers.items()],
}


@virtually
@pytest.mark.parametrize("client", SHAPES)
@pytest.mark.parametrize("under", ["nothing", "a limit", "a step's limit", "a key", "a block", "a permit"])
async def test_no_more_is_started_than_is_left(client: str, under: str) -> None:
    started: list[float] = []
    clock = asyncio.get_running_loop().time
    began = clock()
    limit = whilst.Limit(concurrency=1, by=str if under in ("a key", "a permit") else None)

    async def call(item: int) -> int:
        started.append(clock())
        await asyncio.sleep(0.1)
        if len(started) == 1:
            whilst.learn_from(SHAPES[client](LEFT))
        return item

    async def by_hand(item: int) -> int:
        async with limit if under == "a block" else limit.of("one"):
            return await call(item)

    if under == "nothing":
        run = whilst.map(call, range(6), concurrency=1)
    elif under == "a limit":
        run = whilst.map(call, range(6), limit=limit)
    elif under == "a step's limit":
        run = whilst.map(whilst.step(call, limit=limit), range(6))
    elif under == "a key":
        keyed = whilst.Limit(concurrency=1, by=lambda item: "one")
        run = whilst.map(call, range(6), limit=keyed)
    else:
        run = whilst.map(by_hand, range(6), concurrency=1)
    assert await run == list(range(6))
    early = [at for at in started if at < began + 30]
    assert len(early) == 3, [at - began for at in started]


@virtually
async def test_a_refusal_that_is_not_raised_pauses() -> None:
    started: list[float] = []
    clock = asyncio.get_running_loop().time

    async def call(item: int) -> int:
        started.append(clock())
        if item == 0:
            whilst.learn_from(SHAPES["httpx"]({"Retry-After": "20"}, 429))
        return item

    await whilst.map(call, range(3), concurrency=1)
    assert 20 <= started[1] - started[0] <= 20.2
    started.clear()

    async def fine(item: int) -> int:  # an accepted job says when to look for its result
        started.append(clock())
        whilst.learn_from(SHAPES["httpx"]({"Retry-After": "20"}, 202))
        return item

    await whilst.map(fine, range(3), concurrency=1)
    assert started[-1] - started[0] < 1


def test_blocking_calls_tell_too() -> None:
    limit = whilst.Limit(concurrency=1)

    def call(item: int) -> int:
        whilst.learn_from(SHAPES["requests"]({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "1"}))
        return item

    began = time.monotonic()
    assert whilst.map(call, range(2), limit=limit).list() == [0, 1]
    assert time.monotonic() - began > 0.9


def test_an_answer_that_says_nothing_changes_nothing() -> None:
    limit = whilst.Limit(concurrency=1)
    with limit:
        whilst.learn_from({})
        whilst.learn_from({"Content-Type": "text/html", "X-RateLimit-Remaining": "many"})
    assert limit.statistics().paused_for == 0


@pytest.mark.parametrize("wrong", [None, "200 OK", 429, object()])
def test_what_has_no_headers_is_refused(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"learn_from\(\) reads the headers of an answer.*\n  try: whilst.learn_from"):
        whilst.learn_from(wrong)


def test_outside_of_a_call_it_says_where_it_belongs() -> None:
    with pytest.warns(
        RuntimeWarning, match=r"outside of a call, so there is no limit that could learn\n  try: in the function"
    ) as seen:
        whilst.learn_from(LEFT)
    assert seen[0].filename == __file__
