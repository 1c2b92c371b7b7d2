"""What does `whilst demo` tell? The same calls one by one, then together, timed and drawn.

A chapter is one client, blocking or async. It plays the calls one by one, then together in two ways that take turns:
with `whilst.map`, and as one would write it by hand without it. Everyone calls the same function, and nobody's
connections are warmer than another's: `requests.get` opens one a call, and aiohttp gets a new session each time.
"""

from __future__ import annotations

import asyncio
import inspect
import subprocess
import sys
import textwrap
import threading
from collections.abc import Awaitable, Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from typing import TYPE_CHECKING, Any, TypeVar

import whilst

if TYPE_CHECKING:
    from aiohttp import ClientSession

DEFAULT_CONCURRENCY = 32  # what `whilst.map` takes by itself; more names need saying so
MOST_DRAWN = 20  # calls in one timeline, four a line: a chapter fits a screen of 24 lines
BRAILLE = 0x2800  # the character without dots; each dot adds a bit
DOTS = (0x09, 0x12, 0x24, 0xC0)  # the four rows of such a character, from the top, two dots each

Span = tuple[float, float]
"""When a call started, in seconds from the start of the whole, and how long it took."""

AsyncFetch = Callable[[str], Awaitable[str]]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Alone:
    """The calls one by one: how long all took, and when each of them went on."""

    seconds: float
    spans: Sequence[Span]


@dataclass(frozen=True, slots=True)
class Together:
    """The calls together: the best time with `whilst.map`, the calls of one such run, and the best time by hand."""

    seconds: float
    spans: Sequence[Span]
    by_hand: float

    @property
    def share(self) -> float:
        """How much of the speed of what is written by hand `whilst.map` reaches; 1.0 is all of it."""
        return self.by_hand / self.seconds


@dataclass(frozen=True, slots=True)
class Chapter:
    """One client: what its code looks like, and how it is played."""

    title: str
    function: str  #: the source of the function, the same for all ways of calling it
    one_by_one: str  #: the line that calls it one by one
    together: str  #: the line that calls it together
    by_hand: str  #: what `whilst.map` is measured against, in words
    play_alone: Callable[[], Alone]
    play_together: Callable[[int], Together]  #: best of so many turns


def chapters(api: str, names: Sequence[str], trace: str | None = None) -> list[Chapter]:
    """Return the two chapters; the blocking calls together are recorded to `trace`.

    Raises:
        ModuleNotFoundError: a client is not installed.
    """
    fetch = blocking_fetch(api)
    concurrency = len(names) if len(names) > DEFAULT_CONCURRENCY else None
    arguments = f"fetch, names, concurrency={concurrency}" if concurrency else "fetch, names"
    return [
        Chapter(
            title="A blocking client: requests",
            function=_source(fetch),
            one_by_one="[fetch(name) for name in names]",
            together=f"whilst.map({arguments}).list()",
            by_hand=f"{len(names)} bare threads",
            play_alone=partial(_alone, fetch, names),
            play_together=partial(_together, fetch, names, concurrency, trace),
        ),
        Chapter(
            title="An async client: aiohttp",
            function=_source(async_fetch(api, None)),
            one_by_one="[await fetch(name) for name in names]",
            together=f"await whilst.map({arguments})",
            by_hand="asyncio.gather",
            play_alone=lambda: asyncio.run(_async_alone(api, names)),
            play_together=lambda turns: asyncio.run(_async_together(api, names, concurrency, turns)),
        ),
    ]


# The other side ------------------------------------------------------------------------------------------


@contextmanager
def api_beside(latency: float) -> Generator[str]:
    """Serve the API from a process of its own and yield its URL.

    In this process it would share one interpreter lock with the clients, as no real API does; that costs everyone
    15 ms of the 125. The process ends with its standard input, so with this one, however this one ends.
    """
    code = f"from whilst.demo.story import serve; serve({latency!r})"
    with subprocess.Popen(
        [sys.executable, "-P", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        url = child.stdout.readline().strip()
        if not url:
            raise RuntimeError("the process of the demo API ended before it was ready; its error is above")
        yield url


def serve(latency: float) -> None:
    """Serve the API until standard input ends (the body of that process)."""
    from whilst.demo import pokeapi

    try:
        with pokeapi.serve(latency=latency) as api:
            print(api.url, flush=True)
            sys.stdin.read()
    except KeyboardInterrupt:
        pass  # Ctrl-C reaches both processes; the other one says so


# The functions that are called ---------------------------------------------------------------------------


def blocking_fetch(api: str) -> Callable[[str], str]:
    """Return the blocking function that asks `api` for one name."""
    import requests

    def fetch(name: str) -> str:
        answer = requests.get(f"{api}/pokemon/{name}", timeout=30)
        return str(answer.json()["name"])

    return fetch


def async_fetch(api: str, session: ClientSession | Any) -> AsyncFetch:
    """Return the async function that asks `api` for one name."""

    async def fetch(name: str) -> str:
        async with session.get(f"{api}/pokemon/{name}") as answer:
            return str((await answer.json())["name"])

    return fetch


def by_bare_threads(fetch: Callable[[str], str], names: Sequence[str]) -> list[str]:
    """Call `fetch` on every name, each on a thread of its own: what one writes without a library."""
    values = [""] * len(names)

    def call(place: int) -> None:
        values[place] = fetch(names[place])

    threads = [threading.Thread(target=call, args=(place,)) for place in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return values


# Playing the blocking chapter ----------------------------------------------------------------------------


def _alone(fetch: Callable[[str], str], names: Sequence[str]) -> Alone:
    fetch(names[0])  # before the clock starts, so that nobody pays for what loads on first use
    values: list[str] = []
    spans: list[Span] = []
    start = perf_counter()
    for name in names:
        began = perf_counter()
        values.append(fetch(name))
        spans.append((began - start, perf_counter() - began))
    return Alone(_checked(names, values, start), spans)


def _together(
    fetch: Callable[[str], str], names: Sequence[str], concurrency: int | None, trace: str | None, turns: int
) -> Together:
    ours: list[float] = []
    by_hand: list[float] = []
    for _ in range(turns):
        start = perf_counter()
        by_hand.append(_checked(names, by_bare_threads(fetch, names), start))
        start = perf_counter()
        ours.append(_checked(names, whilst.map(fetch, names, concurrency=concurrency).list(), start))
    outcomes = whilst.map(fetch, names, concurrency=concurrency, trace=trace).outcomes().list()
    return Together(min(ours), [(outcome.started or 0.0, outcome.took) for outcome in outcomes], min(by_hand))


# Playing the async chapter -------------------------------------------------------------------------------


async def _async_alone(api: str, names: Sequence[str]) -> Alone:
    spans: list[Span] = []

    async def one_by_one(fetch: AsyncFetch) -> list[str]:
        values: list[str] = []
        start = perf_counter()
        for name in names:
            began = perf_counter()
            values.append(await fetch(name))
            spans.append((began - start, perf_counter() - began))
        return values

    await _with_session(api, lambda fetch: fetch(names[0]))  # what loads on first use, before the clock starts
    return Alone(await _async_timed(api, names, one_by_one), spans)


async def _async_together(api: str, names: Sequence[str], concurrency: int | None, turns: int) -> Together:
    async def mapped(fetch: AsyncFetch) -> list[str]:
        return await whilst.map(fetch, names, concurrency=concurrency)

    async def gathered(fetch: AsyncFetch) -> list[str]:
        return await asyncio.gather(*[fetch(name) for name in names])

    async def observed(fetch: AsyncFetch) -> list[Span]:
        outcomes = await whilst.map(fetch, names, concurrency=concurrency).outcomes()
        return [(outcome.started or 0.0, outcome.took) for outcome in outcomes]

    ours: list[float] = []
    by_hand: list[float] = []
    for _ in range(turns):
        by_hand.append(await _async_timed(api, names, gathered))
        ours.append(await _async_timed(api, names, mapped))
    return Together(min(ours), await _with_session(api, observed), min(by_hand))


async def _async_timed(api: str, names: Sequence[str], way: Callable[[AsyncFetch], Awaitable[list[str]]]) -> float:
    async def timed(fetch: AsyncFetch) -> float:
        start = perf_counter()
        return _checked(names, await way(fetch), start)

    return await _with_session(api, timed)


async def _with_session(api: str, use: Callable[[AsyncFetch], Awaitable[T]]) -> T:
    import aiohttp

    async with aiohttp.ClientSession() as session:
        return await use(async_fetch(api, session))


def _checked(names: Sequence[str], values: Sequence[str], start: float) -> float:
    """Stop the clock, then see that the names came back as they were asked for."""
    seconds = perf_counter() - start
    if list(values) != list(names):
        raise ValueError(f"asked for {', '.join(names)}; got {', '.join(values)}")
    return seconds


def _source(function: Callable[..., Any]) -> str:
    return textwrap.dedent(inspect.getsource(function)).rstrip()


# Drawing -------------------------------------------------------------------------------------------------


def timeline(spans: Sequence[Span], until: float, width: int) -> list[str]:
    """Return lines of `width` columns from 0 to `until` seconds; a line has four calls, one above the other.

    >>> for line in timeline([(0, 1), (1, 1), (2, 1), (3, 1), (0, 4)], until=4, width=8):
    ...     print(line)
    ⠉⠉⠒⠒⠤⠤⣀⣀
    ⠉⠉⠉⠉⠉⠉⠉⠉
    """
    rows = [_columns(span, until, width) for span in spans[:MOST_DRAWN]]
    lines = [rows[at : at + len(DOTS)] for at in range(0, len(rows), len(DOTS))]
    return ["".join(_mark(line, at) for at in range(width)).rstrip() for line in lines]


def _columns(span: Span, until: float, width: int) -> range:
    started, took = span
    first = min(round(started / until * width), width - 1)
    return range(first, max(first + 1, min(round((started + took) / until * width), width)))


def _mark(line: Sequence[range], at: int) -> str:
    dots = sum(row for row, columns in zip(DOTS, line, strict=False) if at in columns)
    return chr(BRAILLE + dots) if dots else " "


def axis(until: float, width: int) -> str:
    """Return the scale below a timeline: its start and its end.

    >>> axis(2.04, width=20)
    '0 s           2.04 s'
    """
    end = f"{until:.2f} s"
    return "0 s" + end.rjust(width - 3)
