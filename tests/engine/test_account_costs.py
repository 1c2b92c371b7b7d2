"""What the account costs a run of no-ops, in instructions of the interpreter: a busy machine changes nothing."""

from __future__ import annotations

import asyncio
import itertools
import sys
from collections import Counter
from types import CodeType
from typing import Any

import pytest

import whilst
from whilst.lanes import clock

if sys.version_info < (3, 12):
    pytest.skip("sys.monitoring came with 3.12", allow_module_level=True)

TOOL = 4
CALL = 1.4e-6  # seconds that a no-op takes on the machine where that was measured


async def noop(item: int) -> int:
    return item


@pytest.fixture
def instructions(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Count instructions by their file; as counting slows all down, the clock goes on by a no-op with each look."""
    ticks = itertools.count()
    monkeypatch.setattr(clock, "monotonic", lambda: next(ticks) * CALL)
    for module in [*sys.modules.values()]:
        if getattr(module, "__name__", "").startswith("whilst.") and hasattr(module, "clock_of"):
            monkeypatch.setattr(module, "clock_of", lambda loop: clock.monotonic)
    found: Counter[str] = Counter()

    def count(code: CodeType, offset: int) -> None:
        found[code.co_filename.rpartition("whilst/")[2]] += 1

    monitoring = sys.monitoring
    monitoring.use_tool_id(TOOL, "test")
    monitoring.register_callback(TOOL, monitoring.events.INSTRUCTION, count)
    monitoring.set_events(TOOL, monitoring.events.INSTRUCTION)
    yield found
    monitoring.set_events(TOOL, 0)
    monitoring.free_tool_id(TOOL)


def test_of_no_ops_the_account_is_less_than_one_instruction_in_a_hundred(instructions: Counter[str]) -> None:
    async def main() -> int:
        return len(await whilst.map(noop, range(10_000), concurrency=100))

    assert asyncio.run(main()) == 10_000
    whole = sum(instructions.values())
    account = sum(count for file, count in instructions.items() if file in ("core/account.py", "engine/report.py"))
    times = instructions["core/timings.py"]
    assert whole > 10_000 * 100
    assert account / whole < 0.01, account / whole
    assert times / whole < 0.01, times / whole
