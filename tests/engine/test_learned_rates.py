"""A run with retries alone keeps to the rate that refusals teach, and says so in account, summary and line."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from kit import virtually

import whilst
from whilst.core.account import MEANINGS, PUSHBACK
from whilst.sinks.binding import Binding

RATE, TAKES, SECONDS = 40, 0.05, 20


class Busy(Exception):
    def __init__(self, headers: dict[str, str]) -> None:
        super().__init__("429 Too Many Requests")
        self.response = SimpleNamespace(status_code=429, headers=headers)


class Side:
    """Permits `RATE` calls a second, `RATE` at once; counts what it refused in each second."""

    def __init__(self, headers: dict[str, str]) -> None:
        self.refused: list[float] = []
        self._headers = headers
        self._tokens, self._at = float(RATE), 0.0

    async def __call__(self, item: int) -> int:
        now = asyncio.get_running_loop().time()
        self._tokens = min(RATE, self._tokens + RATE * (now - self._at)) - 1.0
        self._at = now
        allowed = self._tokens >= 0.0
        self._tokens += not allowed
        await asyncio.sleep(TAKES)
        if not allowed:
            self.refused.append(now)
            raise Busy(self._headers)
        return item


@pytest.mark.parametrize("headers", [{}, {"retry-after": "1"}], ids=["says nothing", "says when"])
@pytest.mark.parametrize("breaker", [True, False])
@pytest.mark.parametrize("step", [True, False])
@virtually
async def test_refusals_teach_a_rate_and_the_run_says_that_it_keeps_to_it(
    step: bool, breaker: bool, headers: dict[str, str]
) -> None:
    side, binding, held = Side(headers), Binding(), list[tuple[str, ...]]()
    retry = whilst.Retry(9, breaker=breaker)
    inputs = range(RATE * SECONDS)
    run: Any = whilst.map(whilst.step(side, retry=retry), inputs) if step else whilst.map(side, inputs, retry=retry)
    async for _ in run.outcomes():
        now = run.summary()
        if now.elapsed < SECONDS / 2:
            binding.seen(now)
            held.append(now.held)
    now = run.summary()
    assert now.ok == RATE * SECONDS
    assert now.elapsed < 1.2 * SECONDS
    assert sum(at > SECONDS / 4 for at in side.refused) <= 0.03 * RATE * SECONDS
    (told,) = now.steps.values() if step else (now.account,)
    assert next(iter(told)) == PUSHBACK, told
    assert not any("adaptive" in reason for reason in told)
    assert MEANINGS[PUSHBACK] in str(now)
    assert any(text.startswith("the other side permits ") for text in held[-1]), held[-1]
    assert now.held == ()
    assert binding.words == "held back by the other side"
    if not step:
        (advice,) = (it for it in now.advice if "rate" in it.change)
        assert advice.text.startswith("The other side let ")
