"""Steps and stages of a flow whose calls worker processes make."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import processjobs as jobs
import pytest

import whilst


def test_a_step_is_made_by_a_process_and_the_others_are_not() -> None:
    flow = whilst.sequence(jobs.square, whilst.together(here=jobs.pid, there=whilst.step(jobs.pid, executor="process")))
    found = whilst.map(flow, range(5)).list()
    assert {each["here"] for each in found} == {os.getpid()}
    assert os.getpid() not in {each["there"] for each in found}


def test_a_stage_is_made_by_processes_in_order() -> None:
    flow = whilst.sequence(range, whilst.each(jobs.square, executor="process", concurrency=2), sum)
    assert flow(100) == sum(x * x for x in range(100))


def test_the_plan_shows_the_executor() -> None:
    flow = whilst.sequence(jobs.same, whilst.each(jobs.square, executor="process"))
    assert (
        str(flow.plan()).split("\n")[2].endswith("each square() · 2 at once, blocking, process") or os.cpu_count() != 2
    )
    assert repr(whilst.step(jobs.square, executor="process")) == 'step(square, executor="process")'


def test_one_value_through_a_step_uses_the_workers_of_the_loop() -> None:
    async def main() -> set[int]:
        step = whilst.step(jobs.pid, executor="process")
        return {await step.aio(1) for _ in range(5)}

    assert len(asyncio.run(main())) == 1


def test_the_context_of_each_caller_travels() -> None:
    async def ask(colour: str) -> str:
        jobs.COLOUR.set(colour)
        found: str = await whilst.step(jobs.colour, executor="process").aio(1)
        return found

    async def main() -> list[str]:
        return list(await asyncio.gather(ask("red"), ask("green"), ask("blue")))

    assert asyncio.run(main()) == ["red", "green", "blue"]


def test_a_timeout_kills_the_call_and_the_others_go_on() -> None:
    step = whilst.step(jobs.nap, executor="process", timeout=0.5)
    outcomes = list(whilst.map(step, [0.0, 60.0, 0.1, 0.1]).outcomes())
    assert [type(outcome.error) for outcome in outcomes] == [type(None), TimeoutError, type(None), type(None)]
    assert outcomes[1].took < 20.0


def test_cancelling_the_await_kills_the_call() -> None:
    async def main() -> float:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(whilst.step(jobs.spin, executor="process").aio(60.0), 1.0)
        return time.monotonic() - began

    assert asyncio.run(main()) < 20.0


def test_a_dead_worker_costs_its_own_call_only() -> None:
    step = whilst.step(jobs.end, executor="process")
    outcomes = list(whilst.map(step, ["a"] * 10 + ["exit"] + ["b"] * 10).outcomes())
    assert [outcome.index for outcome in outcomes if not outcome.ok] == [10]
    assert isinstance(outcomes[10].error, whilst.WorkerDied)


def test_a_resource_is_opened_once_in_each_process_and_closed_there(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHILST_TEST_FLAG", str(tmp_path / "flag"))
    use = {"opened": whilst.resource(jobs.Opened, per="process")}
    found = whilst.map(jobs.with_opened, range(20), executor="process", concurrency=2, use=use).list()
    assert [x for x, _ in found] == list(range(20))
    pids = {pid for _, pid in found}
    lines = sorted((tmp_path / "flag").read_text().split("\n")[:-1])
    assert lines == sorted(f"{what} {pid}" for what in ("opened", "closed") for pid in pids)
    assert os.getpid() not in pids


def test_a_resource_of_this_process_is_refused_where_it_is_written() -> None:
    use = {"opened": whilst.resource(jobs.Opened)}
    with pytest.raises(TypeError, match=r'try: whilst.resource\(…, per="process"\)'):
        whilst.map(jobs.with_opened, [1], executor="process", use=use)


def test_a_resource_per_process_is_one_for_the_run_where_calls_are_made_here(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("WHILST_TEST_FLAG", str(tmp_path / "flag"))
    use = {"opened": whilst.resource(jobs.Opened, per="process")}
    assert {pid for _, pid in whilst.map(jobs.with_opened, range(9), use=use)} == {os.getpid()}
    assert (tmp_path / "flag").read_text() == f"opened {os.getpid()}\nclosed {os.getpid()}\n"


def test_a_step_that_workers_cannot_import_fails_its_own_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys
    import types

    made = types.ModuleType("only_here")
    exec("def f(x): return x", made.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", made)
    first, second = (whilst.step(fn, executor="process") for fn in (jobs.square, made.f))
    flow = whilst.sequence(first, lambda x: x, whilst.fallback(second, whilst.step(jobs.same, executor="process")))
    assert whilst.map(flow, range(6)).list() == [x * x for x in range(6)]
    with pytest.raises(whilst.Stopped, match="No module named 'only_here'"):  # and not a worker a call, for ever
        list(whilst.map(second, range(200)).outcomes())
