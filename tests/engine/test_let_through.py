"""What was let through and not called is looked at anew when a limit moves."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import copy_context
from typing import Any

import pytest

from whilst.core.held import Still
from whilst.core.rates import parse_rates
from whilst.engine.asking import Asking
from whilst.engine.gate import Gate
from whilst.engine.observer import Watch
from whilst.engine.slots import Slots
from whilst.limit.state import EVERY, LimitState, Terms


class Host:
    """A driver whose lanes take nothing by themselves."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.clock = self.loop.time
        self.watch = Watch([], self.clock, "host")
        self.still = Still()
        self.queue: deque[Any] = deque()
        self.asking = Asking(self.loop, copy_context())
        self.followed = 0
        self.gate: Gate | None = None

    def soon(self, act: Callable[[], None]) -> None:
        act()

    def arrived(self) -> None:
        assert self.gate is not None
        self.gate.pump()

    def follow(self) -> None:
        self.followed += 1

    def fatal(self, error: BaseException) -> None:
        raise error

    def call_back(self) -> None:
        pass

    def unfit(self, found: Any) -> None:
        raise AssertionError(found)


def gate_of(limit: LimitState, inputs: int = 6) -> tuple[Host, Gate]:
    host = Host()
    host.gate = gate = Gate(host, (limit,), Slots(8), 8)
    gate.begin()
    gate.inbox.extend((index, f"{index}") for index in range(inputs))
    gate.pump()
    return host, gate


async def let_through(host: Host) -> list[int]:
    """Return who has a permit, once the gate has heard of those that became free."""
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    return [index for index, _ in host.queue]


@pytest.mark.parametrize("keyed", [False, True])
def test_it_goes_back_to_the_front_in_its_order_and_waits_where_less_is_permitted(keyed: bool) -> None:
    async def main() -> None:
        limit = LimitState(Terms(3), by=(lambda item: "all") if keyed else None)
        host, gate = gate_of(limit)
        assert await let_through(host) == [0, 1, 2]
        limit.change(concurrency=1)
        assert await let_through(host) == [0]
        assert (gate.pending, limit.statistics().in_flight, host.followed) == (5, 1, 1)
        limit.change(concurrency=4)
        assert await let_through(host) == [0, 1, 2, 3]
        assert (gate.pending, limit.statistics().in_flight, host.followed) == (2, 4, 2)
        gate.end()

    asyncio.run(main())


def test_nothing_is_let_through_while_the_limit_is_paused_and_that_is_said() -> None:
    async def main() -> None:
        limit = LimitState(Terms(3))
        host, gate = gate_of(limit)
        limit.stop(EVERY, on=True)
        assert await let_through(host) == []
        assert host.still.now
        assert any("paused by limit.pause()" in said for said in gate.pauses.held.words(host.clock()))
        limit.stop(EVERY, on=False)
        assert await let_through(host) == [0, 1, 2]
        assert not host.still.now
        gate.end()

    asyncio.run(main())


def test_permits_are_passed_on_by_the_rate_that_the_limit_has_now() -> None:
    """Where there is none any more, a call that returns lets another start; where there is one, it does not."""

    async def main() -> None:
        limit = LimitState(Terms(3))
        _, gate = gate_of(limit)
        assert not gate._passing.rated
        limit.change(rates=parse_rates("1/h"))
        assert gate._passing.rated
        limit.change(rates=())
        assert not gate._passing.rated
        gate.end()

    asyncio.run(main())


def test_a_gate_that_is_closed_looks_at_nothing() -> None:
    async def main() -> None:
        limit = LimitState(Terms(3))
        host, gate = gate_of(limit)
        gate.close()
        limit.change(concurrency=1)
        gate.look_around()
        assert await let_through(host) == [0, 1, 2]
        assert host.followed == 0
        gate.end()

    asyncio.run(main())


def test_fewer_are_let_through_at_once_although_nobody_waits() -> None:
    async def main() -> None:
        limit = LimitState(Terms(3))
        host, gate = gate_of(limit, inputs=3)
        limit.change(concurrency=2)
        assert [index for index, _ in host.queue] == [0, 1]
        assert gate.pending == 1
        gate.end()

    asyncio.run(main())


def test_the_limit_hears_of_the_permits_that_came_back_before_it_is_looked_at() -> None:
    async def main() -> None:
        limit = LimitState(Terms(3))
        host, gate = gate_of(limit, inputs=2)
        index, item = host.queue.popleft()
        assert gate.passed_on((index, item, None, None, host.clock(), 0.0, 1))
        limit.change(concurrency=2)
        assert [index for index, _ in host.queue] == [1]
        assert limit.statistics().in_flight == 1
        gate.end()

    asyncio.run(main())
