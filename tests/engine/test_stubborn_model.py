"""Flows of random shapes, some of whose calls ignore that they are cancelled: nothing hangs, ends or starts for that.

Such a call is left behind, and others take its place; whatever it does later is its own business.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import cycle
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from kit import alone

import whilst
from whilst import testing
from whilst.core import hedge
from whilst.engine.scope import Scope

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
KINDS: dict[str, Callable[..., Any]] = {
    "sequence": whilst.sequence,
    "together": whilst.together,
    "first": whilst.first,
    "fallback": whilst.fallback,
    "stage": lambda *steps: whilst.sequence(
        lambda value: [value] * 3, whilst.each(whilst.sequence(*steps), concurrency=2), lambda items: items[0]
    ),
}


@dataclass(frozen=True)
class Step:
    attempts: int | None
    timeout: float | None
    permits: int | None
    hedge: bool


@dataclass(frozen=True)
class Part:
    kind: str
    parts: list[Any]
    attempts: int | None
    timeout: float | None


@dataclass(frozen=True)
class Does:
    """What a call does: it takes so long, heeds its cancellation or not, and fails or not."""

    seconds: float
    stubborn: bool
    fails: bool


attempts, timeouts = st.sampled_from([None, 2, 3]), st.sampled_from([None, 0.5, 1.5, 3.0])
steps = st.builds(
    Step, attempts, timeouts, st.sampled_from([None, None, 1, 2, 9]), st.sampled_from([False] * 5 + [True])
)
flows = st.recursive(
    steps,
    lambda inner: st.builds(
        Part, st.sampled_from(sorted(KINDS)), st.lists(inner, min_size=2, max_size=3), attempts, timeouts
    ),
    max_leaves=6,
)
does = st.builds(
    Does,
    st.sampled_from([0, 0.01, 0.3, 1, 2, 6]),
    st.sampled_from([False] * 5 + [True]),
    st.sampled_from([False] * 3 + [True]),
)


class Calls:
    """Makes the steps of a flow, whose calls do one after the other what is written there, and watches them."""

    def __init__(self, written: list[Does]) -> None:
        self.written: Iterator[Does] = cycle(written)
        self.inside: dict[object, asyncio.Task[Any] | None] = {}
        self.told: set[object] = set()  # those that were cancelled, and went on
        self.scopes: list[Scope] = []
        self.most = self.late = 0

    def made(self, node: Step | Part) -> Any:
        retry = None
        if node.attempts is not None:
            retry = whilst.Retry(node.attempts, base=0.01, budget=None, breaker=False)
        if isinstance(node, Part):
            flow = KINDS[node.kind](*(self.made(part) for part in node.parts))
            return whilst.step(flow, retry=retry, timeout=node.timeout)
        limit = None if node.permits is None else whilst.Limit(concurrency=node.permits)

        async def call(value: Any) -> Any:
            return await self._call(value)

        return whilst.step(call, retry=retry, timeout=node.timeout, limit=limit, hedge=node.hedge)

    async def _call(self, value: Any) -> Any:
        does, loop, call = next(self.written), asyncio.get_running_loop(), object()
        self.inside[call] = task = asyncio.current_task()
        assert task is not None
        self.late += task.cancelling() > 0
        left = {task for scope in self.scopes for task in scope.left}
        going = [one for one, task in self.inside.items() if task not in left and one not in self.told]
        self.most = max(self.most, len(going))
        end = loop.time() + does.seconds
        try:
            while (seconds := end - loop.time()) > 0:
                try:
                    await asyncio.sleep(seconds)
                except asyncio.CancelledError:
                    if not does.stubborn:
                        raise
                    self.told.add(call)
            if does.fails:
                raise ConnectionResetError
            return value
        finally:
            del self.inside[call]


@settings(max_examples=150 * SOAK)
@given(
    node=flows,
    written=st.lists(does, min_size=1, max_size=12),
    count=st.sampled_from([1, 4, 12]),
    concurrency=st.sampled_from([1, 2, 3, 8]),
    ordered=st.booleans(),
    word=st.sampled_from(["", "", "", "cancel", "drain", "leave", "deadline", "value"]),
    moment=st.sampled_from([0.0, 0.2, 0.5, 1.6, 4.0]),
)
def test_calls_that_ignore_their_cancellation_neither_end_a_run_nor_take_more_than_their_place(
    node: Step | Part,
    written: list[Does],
    count: int,
    concurrency: int,
    ordered: bool,
    word: str,
    moment: float,
) -> None:
    calls, wrong = Calls(written), list[Any]()
    made_scope = Scope.__init__

    def noted(self: Scope, *args: Any, **named: Any) -> None:
        made_scope(self, *args, **named)
        calls.scopes.append(self)

    async def taken(run: Any, word: str) -> list[whilst.Outcome[Any, Any]]:
        outcomes = list[whilst.Outcome[Any, Any]]()
        if word in ("cancel", "drain"):
            asyncio.get_running_loop().call_later(moment, getattr(run, word))
        with suppress(*(whilst.RunCancelled, whilst.DeadlineExceeded) * (word in ("cancel", "deadline"))):
            async with run:
                async for outcome in run.outcomes():
                    outcomes.append(outcome)
                    if word == "leave" and moment:
                        break
        return outcomes

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: wrong.append(context))
        flow = calls.made(node)
        if word == "value":
            with suppress(ConnectionResetError, TimeoutError, ExceptionGroup):
                await asyncio.wait_for(flow.aio(0), 4000.0)
        else:
            run = whilst.map(
                flow,
                range(count),
                concurrency=concurrency,
                ordered=ordered,
                deadline=2.0 if word == "deadline" else None,
            )
            outcomes = await asyncio.wait_for(taken(run, word), 4000.0)
            assert word or sorted(outcome.index for outcome in outcomes) == [*range(count)]
            for outcome in outcomes:
                assert isinstance(outcome.error, (ConnectionResetError, TimeoutError, ExceptionGroup, type(None))), (
                    outcome
                )
            assert calls.most <= concurrency
        await asyncio.sleep(60.0)
        assert not calls.inside
        assert not calls.late  # what was told to end begins nothing any more
        if word != "value":
            end = run.summary()
            assert (end.in_flight, end.abandoned, end.left_behind) == (0, 0, ())

    many = mock.patch.multiple(hedge, LEAST=1, SHARE=1.0)  # else a hedge is rare
    with mock.patch.object(Scope, "__init__", noted), many:
        testing.run(alone(main()))
    assert not wrong
