"""What the tests of the engine share: a function that watches itself, and ways to take a run."""

from __future__ import annotations

import asyncio
import functools
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from typing import Any

import whilst
from whilst import testing


class Gauge:
    """An async function that sleeps as long as its input says and knows how many of it are inside.

    `naps[i]` (default 1) is how long input `i` sleeps; inputs in `bad` raise the exception given for them.
    """

    def __init__(self, naps: dict[Any, float] | None = None, bad: dict[Any, BaseException] | None = None) -> None:
        self.naps, self.bad = naps or {}, bad or {}
        self.inside = self.most = 0
        self.started: list[Any] = []
        self.ended: list[Any] = []
        self.cancelled: list[Any] = []

    async def __call__(self, item: Any) -> Any:
        self.started.append(item)
        self.inside += 1
        self.most = max(self.most, self.inside)
        try:
            await asyncio.sleep(self.naps.get(item, 1))
            if item in self.bad:
                raise self.bad[item]
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        finally:
            self.inside -= 1
            self.ended.append(item)
        return item


def virtually(main: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., None]:
    """Make a test of an async function, on virtual time, that leaves no task behind."""

    @functools.wraps(main)
    def test(*args: Any, **kwargs: Any) -> None:
        testing.run(alone(main(*args, **kwargs)))

    return test


async def alone(main: Coroutine[Any, Any, Any]) -> None:
    """Await `main`, then check that no task is left, giving those that end by themselves a few steps."""
    await main
    for _ in range(10):
        await asyncio.sleep(0)
    for thread in threading.enumerate():
        if thread.name == "whilst-source":  # a run that was left waits for its source, which is being closed
            thread.join(5)
    for _ in range(10):
        await asyncio.sleep(0)
    left = asyncio.all_tasks() - {asyncio.current_task()}
    assert not left, f"left behind: {left}"


async def values_until_error(run: whilst.Run[Any, Any]) -> tuple[list[Any], BaseException | None]:
    """Return the values of a run and what it raised at the end."""
    values: list[Any] = []
    try:
        async for value in run:
            values.append(value)  # noqa: PERF401 - what came before an error is wanted
    except Exception as error:
        return values, error
    return values, None


async def outcomes_until_error(run: whilst.Run[Any, Any]) -> tuple[list[Any], BaseException | None]:
    """Return, for each outcome, its value or its error's class; and what the run raised at the end."""
    seen: list[Any] = []
    try:
        async for outcome in run.outcomes():
            seen.append(outcome.value if outcome.ok else type(outcome.error))  # noqa: PERF401 - as above
    except Exception as error:
        return seen, error
    return seen, None


async def asynchronously(items: Iterable[Any], gap: float = 0) -> AsyncIterator[Any]:
    """Give the items, `gap` seconds before each."""
    for item in items:
        await asyncio.sleep(gap)
        yield item
