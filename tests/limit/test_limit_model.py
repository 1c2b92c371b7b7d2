"""Any mixture of blocks, calls, runs, tasks, threads and cancellations: never too many at once, and all ends.

The parties are trees: whoever holds a permit may take others in the same task, start tasks that do, and await them or
not. Some of that would be for ever; then, and only then, somebody is told so.
"""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from limitkit import ALREADY, idle

import whilst
from whilst import testing

SOAK = int(os.environ.get("WHILST_SOAK", "1"))

MOST = {"two": 2, "one a key": 1, "weighed": 3, "paced": 10**9}


@dataclass(frozen=True)
class Node:
    """Somebody who takes a permit, naps, and has others do so."""

    limit: str
    way: str
    key: int
    nap: float
    inner: tuple[tuple[str, Node], ...] = ()
    """How each is done: "here", "awaited" in a task of its own, or "left"."""


KINDS = st.sampled_from(["two", "two", "one a key", "weighed", "paced"])


def nodes(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    return st.builds(
        Node,
        limit=KINDS,
        way=st.sampled_from(["block", "block", "of", "step", "run"]),
        key=st.integers(0, 2),
        nap=st.sampled_from([0.0, 0.1, 0.1, 0.2]),
        inner=st.lists(st.tuples(st.sampled_from(["here", "awaited", "awaited", "left"]), inner), max_size=3).map(
            tuple
        ),
    )


HOW = st.sampled_from(["here", "awaited", "awaited", "left"])
leaves = st.builds(Node, KINDS, st.sampled_from(["block", "block", "of", "step"]), st.integers(0, 2), st.just(0.1))
trees = st.recursive(leaves, nodes, max_leaves=8)
AFTER = st.sampled_from([0.0, 0.0, 0.1])
GIVES_UP = st.none() | st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.4, 0.5])
some = st.lists(st.tuples(trees, AFTER, GIVES_UP), min_size=3, max_size=6)
many = st.lists(st.tuples(leaves, AFTER, GIVES_UP), max_size=12)
parties = st.tuples(some, many).map(lambda both: [*both[0], *both[1]])


@dataclass
class World:
    """The limits, and who is inside."""

    limits: dict[str, whilst.Limit] = field(
        default_factory=lambda: {
            "two": whilst.Limit(concurrency=2),
            "one a key": whilst.Limit(concurrency=1, by=lambda key: key),
            "weighed": whilst.Limit(concurrency=3, rate="50/s", burst=5, weight=lambda key: key + 0.5),
            "paced": whilst.Limit(rate=["100/s", "500/10s"]),
        }
    )
    inside: Counter[tuple[str, int]] = field(default_factory=Counter)
    left: list[asyncio.Task[None]] = field(default_factory=list)
    guard: threading.Lock = field(default_factory=threading.Lock)

    async def play(self, node: Node) -> None:
        """Be that party."""
        limit, asks = self.limits[node.limit], node.limit in ("one a key", "weighed")
        try:
            if node.way == "block" and not asks:
                async with limit:
                    await self.hold(node)
            elif node.way in ("block", "of"):
                async with limit.of(node.key):
                    await self.hold(node)
            elif node.way == "step":
                await whilst.step(self.call(node), limit=limit).aio(node.key)
            else:
                await whilst.map(self.call(node), [node.key], limit=limit)
        except RuntimeError as error:
            if ALREADY not in str(error):
                raise

    def call(self, node: Node) -> Callable[[int], Awaitable[None]]:
        async def call(_: int) -> None:
            await self.hold(node)

        return call

    async def hold(self, node: Node) -> None:
        """Do what that party does while it holds its permit."""
        place = node.limit, node.key if node.limit == "one a key" else 0
        with self.guard:
            self.inside[place] += 1
            assert self.inside[place] <= MOST[node.limit]
        try:
            await asyncio.sleep(node.nap)
            awaited: list[asyncio.Task[None]] = []
            for how, one in node.inner:
                if how == "here":
                    await self.play(one)
                else:
                    (awaited if how == "awaited" else self.left).append(asyncio.create_task(self.play(one)))
            try:
                await asyncio.gather(*awaited)
            finally:
                for task in awaited:
                    task.cancel()
        finally:
            with self.guard:
                self.inside[place] -= 1

    async def all_of(self, parties: list[tuple[Node, float, float | None]]) -> None:
        """Have them come, and some go again, until all is over."""

        async def one(node: Node, after: float, gives_up: float | None) -> None:
            await asyncio.sleep(after)
            task = asyncio.create_task(self.play(node))
            await asyncio.wait([task], timeout=gives_up)
            task.cancel()
            await asyncio.wait([task])
            if not task.cancelled():
                await task

        async with asyncio.timeout(1000):
            await asyncio.gather(*(one(*party) for party in parties))
            while self.left:
                await self.left.pop()

    def check_all_is_back(self) -> None:
        assert not +self.inside
        assert all(idle(limit) for limit in self.limits.values())


@settings(max_examples=60 * SOAK, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(parties)
def test_whatever_parties_do_none_is_one_too_many_and_none_waits_for_ever(
    parties: list[tuple[Node, float, float | None]],
) -> None:
    world = World()
    testing.run(world.all_of(parties))
    world.check_all_is_back()


@pytest.mark.slow
@settings(max_examples=8 * SOAK, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(parties, min_size=2, max_size=3))
def test_whatever_loops_and_threads_do_side_by_side_none_waits_for_ever(
    loops: list[list[tuple[Node, float, float | None]]],
) -> None:
    world, errors = World(), list[BaseException]()

    def loop(parties: list[tuple[Node, float, float | None]]) -> None:
        here = World(world.limits, world.inside, [], world.guard)
        try:
            asyncio.run(
                here.all_of([(node, after / 50, gives_up and gives_up / 50) for node, after, gives_up in parties])
            )
        except BaseException as error:
            errors.append(error)

    def plain(limit: whilst.Limit) -> None:
        for _ in range(5):
            with limit:
                time.sleep(0.001)

    threads = [threading.Thread(target=loop, args=[parties], daemon=True) for parties in loops]
    threads += [threading.Thread(target=plain, args=[world.limits[name]], daemon=True) for name in ("two", "paced")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert not errors
    world.check_all_is_back()
