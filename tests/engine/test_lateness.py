"""Does the process keep up? Told by how late the loop is and what its thread queued, on a machine that is made up."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

import whilst
from whilst import testing
from whilst.engine import driver, report

TAKES = 0.02  # seconds of a call
LANES = 8


class Machine:
    """A clock that goes on when the loop waits, or when a test says so; and what the process got of its processors."""

    def __init__(self) -> None:
        self.now = self.ran = self.queued = 0.0
        self.slow = 0.0  # seconds for which others hold the interpreter when the loop wants to go on
        self.looks = 0

    def goes_on(self, seconds: float, *, ran: float = 0.0, queued: float = 0.0) -> None:
        self.now += seconds
        self.ran += ran * seconds
        self.queued += queued * seconds

    def used(self, tid: int) -> tuple[float, float, int]:
        self.looks += 1
        return self.ran, self.queued, 0

    def process_time(self) -> float:
        return self.ran


class Selector(selectors.DefaultSelector):
    """Lets the time pass by which the loop would wait."""

    def __init__(self, machine: Machine) -> None:
        super().__init__()
        self._machine = machine

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:  # a thread loads modules
            return super().select()
        if not (ready := super().select(0)) and timeout > 0.0:
            self._machine.goes_on(timeout)
            self._machine.goes_on(self._machine.slow, ran=0.7)
        return ready


class Loop(asyncio.SelectorEventLoop):
    """A loop on that machine; for whilst it is one like any other."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        super().__init__(Selector(machine))

    def time(self) -> float:
        return self._machine.now


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    found = Machine()
    monkeypatch.setattr(driver, "clock_of", lambda loop: lambda: found.now)
    monkeypatch.setattr(report, "used", found.used)
    monkeypatch.setattr(report, "time", found)
    return found


def summary_on(machine: Machine, fn: Callable[[Any], Awaitable[Any]], count: int = 200) -> whilst.Summary:
    async def main() -> whilst.Summary:
        run = whilst.map(fn, range(count), concurrency=LANES)
        await run
        return run.summary()

    with asyncio.Runner(loop_factory=lambda: Loop(machine)) as runner:
        return runner.run(main())


async def waits(_: int) -> None:
    await asyncio.sleep(TAKES)


def test_a_loop_that_is_free_is_never_late(machine: Machine) -> None:
    now = summary_on(machine, waits)
    assert (now.late, now.queued) == (0.0, 0.0)
    assert "  loop " not in str(now)
    assert now.advice[0].text.startswith("All 8 lanes were in calls")


def test_a_call_that_holds_the_loop_and_waits_is_told_and_awaiting_is_the_mend(machine: Machine) -> None:
    async def holds(_: int) -> None:
        machine.goes_on(TAKES)

    before = summary_on(machine, holds)
    assert before.late >= TAKES
    assert "  loop    usually late by" in str(before)
    (advice,) = before.advice
    assert advice.text.startswith("Something holds the event loop and waits there")
    assert "the loop was late by" in advice.evidence
    after = summary_on(machine, waits)
    assert before.elapsed / after.elapsed == pytest.approx(LANES, rel=0.1)


def test_calls_that_compute_on_the_loop_are_told_from_those_that_wait(machine: Machine) -> None:
    async def computes(_: int) -> None:
        machine.goes_on(TAKES, ran=1.0)

    (advice,) = summary_on(machine, computes).advice
    assert advice.text.startswith("The calls compute rather than wait")
    assert advice.change == {"executor": "process"}


def test_threads_that_hold_the_interpreter_are_told_although_a_processor_is_not_full(machine: Machine) -> None:
    """They compute for two thirds of the time, on a machine that has other work, too."""
    machine.slow = 0.02
    now = summary_on(machine, waits)
    assert 0.5 < now.cpu / now.elapsed < 0.85
    assert now.advice[0].text.startswith("This process hardly keeps up with its calls")


def test_a_machine_that_has_other_work_is_told_from_calls_that_wait(machine: Machine) -> None:
    async def starves(_: int) -> None:
        machine.goes_on(TAKES, ran=0.2, queued=0.8)

    now = summary_on(machine, starves)
    assert now.queued == pytest.approx(0.8)
    assert now.cpu / now.elapsed == pytest.approx(0.2, rel=0.1)
    assert now.wanted == pytest.approx(now.elapsed, rel=0.1)
    assert now.speedup is None, "that is not what calls would have waited"
    (advice,) = now.advice
    assert advice.text.startswith("This machine has other work: the run's loop got a processor for 20 %")
    assert "got a processor for 20 % of the time in which it wanted one" in " ".join(str(now).split())


def test_it_looks_every_50_ms_and_later_once_a_second(machine: Machine) -> None:
    summary_on(machine, waits, 400)  # a second
    assert machine.looks in range(18, 22)
    machine.looks, machine.now = 0, 0.0
    summary_on(machine, waits, 40_000)  # a hundred seconds
    assert machine.looks in range(20 + 60, 20 + 60 + 90)


def test_a_run_that_ends_sets_no_alarm_any_more(machine: Machine) -> None:
    summary_on(machine, waits)
    looks = machine.looks

    async def later() -> None:
        await asyncio.sleep(10.0)

    with asyncio.Runner(loop_factory=lambda: Loop(machine)) as runner:
        runner.run(later())
    assert machine.looks == looks


def test_where_the_queue_cannot_be_seen_nothing_is_said_of_it(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "used", lambda tid: None)
    assert summary_on(machine, waits).queued == 0.0


def test_virtual_time_is_never_late_and_still_sees_that_nothing_can_happen_any_more() -> None:
    async def for_ever(_: int) -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        await whilst.map(for_ever, range(3))

    with pytest.raises(testing.Deadlock):
        testing.run(main())
