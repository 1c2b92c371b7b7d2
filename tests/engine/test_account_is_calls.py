"""What the account calls busy is what the calls took, to the last lane: on virtual time nothing else takes any."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from kit import virtually

import whilst

COUNT = 120


async def agen(each: float) -> AsyncIterator[int]:
    for item in range(COUNT):
        if each:
            await asyncio.sleep(each)
        yield item


def plain() -> Iterator[int]:
    yield from range(COUNT)


SOURCES: dict[str, Any] = {
    "a list": lambda: list(range(COUNT)),
    "a generator": plain,
    "an async generator": lambda: agen(0.0),
    "a slow async generator": lambda: agen(0.03),
}
POLICIES: dict[str, dict[str, Any]] = {
    "none": {},
    "as they finish": {"ordered": False},
    "a rate": {"rate": "25/s"},
    "a limit": {"limit": lambda: whilst.Limit(concurrency=3)},
    "keys": {"limit": lambda: whilst.Limit(concurrency=1, by=lambda item: item % 3)},
    "attempts": {"retry": whilst.Retry(4, base=0.2, budget=None, breaker=False)},
    "a timeout": {"timeout": 0.15},
    "equal ones": {"share": lambda: lambda item: item // 2},
}


@pytest.mark.parametrize("pause", [0.0, 0.05])
@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("policy", POLICIES)
@virtually
async def test_busy_is_what_calls_took(policy: str, source: str, pause: float) -> None:
    spent = 0.0
    loop = asyncio.get_running_loop()
    tried: set[int] = set()

    async def call(item: int) -> int:
        nonlocal spent
        began = loop.time()
        try:
            await asyncio.sleep(0.4 if item % 17 == 3 else 0.1)
            if policy == "attempts" and item % 5 == 0 and item not in tried:
                tried.add(item)
                raise ConnectionResetError
        finally:
            spent += loop.time() - began
        return item

    given = {name: value() if name in ("limit", "share") else value for name, value in POLICIES[policy].items()}
    run = whilst.map(call, SOURCES[source](), **{"concurrency": 8, **given})
    async for _ in run.outcomes():
        if pause:
            await asyncio.sleep(pause)
    now = run.summary()
    assert now.lane_time.get("busy", 0.0) == pytest.approx(spent, rel=0.01)
    assert sum(now.lane_time.values()) == pytest.approx(min(8, now.concurrency) * now.elapsed, rel=0.01)


@pytest.mark.parametrize("slow", ["first", "second", "consumer", "source"])
@virtually
async def test_of_stages_each_is_busy_for_as_long_as_its_calls_took(slow: str) -> None:
    spent = {"first": 0.0, "second": 0.0}
    loop = asyncio.get_running_loop()

    def stage(name: str) -> Any:
        async def call(item: int) -> int:
            began = loop.time()
            await asyncio.sleep(0.2 if slow == name else 0.02)
            spent[name] += loop.time() - began
            return item

        return call

    async def source(count: int) -> AsyncIterator[int]:
        async for item in agen(0.1 if slow == "source" else 0.0):
            yield item

    flow = whilst.sequence(
        source, whilst.each(stage("first"), concurrency=8), whilst.each(stage("second"), concurrency=4)
    )
    run = flow.stream(COUNT, progress=False)
    async for _ in run:
        if slow == "consumer":
            await asyncio.sleep(0.1)
    now = run.summary()
    paths = dict(zip(spent, now.stage_time, strict=True))
    for name, slots in (("first", 8), ("second", 4)):
        of_it = now.stage_time[paths[name]]
        assert of_it["busy"] == pytest.approx(spent[name], rel=0.01), name
        assert sum(of_it.values()) == pytest.approx(slots * now.elapsed, rel=0.02), name
    first, second = (next(iter(now.stages[paths[name]])) for name in spent)
    assert (first, second) == {
        "first": ("busy", "source"),
        "second": ("consumer", "busy"),
        "consumer": ("consumer", "consumer"),
        "source": ("source", "source"),
    }[slow]


@virtually
async def test_with_a_journal_too(tmp_path: Path) -> None:
    async def call(item: int) -> int:
        await asyncio.sleep(0.1)
        return item

    run = whilst.map(call, agen(0.0), concurrency=8, journal=tmp_path / "run.db")
    async for _ in run:
        pass
    assert run.summary().lane_time["busy"] == pytest.approx(0.1 * COUNT, rel=0.05)
