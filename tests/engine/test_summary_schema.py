"""What `Summary.to_dict()` returns is what the published schema says, of every kind of run, as JSON."""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import pytest

import whilst

jsonschema = pytest.importorskip("jsonschema")

SCHEMA = json.loads((Path(__file__).parents[2] / "docs/summary.schema.json").read_text("utf-8"))


async def nap(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def failing(item: int) -> int:
    if item % 3 == 0:
        raise ConnectionResetError("https://user:s3cr3t-t0ken@api.example/x")
    return item


def flow() -> whilst.Run[Any, Any]:
    run = whilst.map(whilst.sequence(whilst.together(a=nap, b=nap), len), [0.01] * 30, concurrency=4)
    run.list()
    return run


def stages() -> whilst.Run[Any, Any]:
    pipeline = whilst.sequence(
        lambda n: [0.005] * n, whilst.flatten(), whilst.each(nap, concurrency=2), whilst.each(nap)
    )
    run = pipeline.stream(60)
    run.list()
    return run


def limited() -> whilst.Run[Any, Any]:
    run = whilst.map(time.sleep, [0.005] * 60, concurrency=8, rate="150/s")
    run.list()
    return run


def failed() -> whilst.Run[Any, Any]:
    run = whilst.map(failing, range(30), retry=whilst.Retry(attempts=2, base=0.01))
    run.outcomes().list()
    return run


def unfinished() -> whilst.Run[Any, Any]:
    run = whilst.map(time.sleep, [0.01] * 1000, concurrency=4)
    next(iter(run))
    return run


@pytest.mark.parametrize("make", [flow, stages, limited, failed, unfinished, lambda: whilst.map(abs, [1])])
def test_a_summary_is_what_the_schema_says(make: Any) -> None:
    found = make().summary().to_dict()
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), SCHEMA)
    assert set(SCHEMA["properties"]) == set(found)


def test_the_names_are_those_of_the_attributes() -> None:
    run = limited()
    now = run.summary()
    assert all(hasattr(now, name) for name in now.to_dict())
    assert now.to_dict()["account"] == now.account
    assert now.to_dict()["times"]["p50"] == now.times.p50


def test_the_advice_is_that_of_the_attribute() -> None:
    spent = {"limit: rate=20/s": 64.0, "busy": 16.0}  # of a run that no busy machine can make another one
    now = whilst.Summary("fetch", 200, 200, 0, 0, 0, 10.0, 8, lane_time=spent, called=200, peak=8, cpu=0.5, done=True)
    found = now.to_dict()
    jsonschema.validate(json.loads(json.dumps(found, allow_nan=False)), SCHEMA)
    assert found["advice"] == [dataclasses.asdict(one) for one in now.advice]
    assert found["advice"][0]["text"].startswith("rate=20/s is what bounds this run")


def test_no_secret_is_in_it() -> None:
    run = whilst.map(failing, range(30), name="fetch https://u:s3cr3t-t0ken@api.example")
    run.outcomes().list()
    assert "s3cr3t-t0ken" not in json.dumps(run.summary().to_dict())
    assert "s3cr3t-t0ken" not in run.summary()._repr_html_()


def test_an_outcome_is_told_by_its_attributes() -> None:
    good, bad = whilst.map(failing, [1, 3]).outcomes()
    assert good.to_dict() == {
        "index": 0, "input": 1, "ok": True, "value": 1, "error": None,
        "attempts": 1, "started": good.started, "took": good.took, "recalled": False,
    }  # fmt: skip
    told = bad.to_dict()
    assert (told["ok"], told["value"]) == (False, None)
    assert told["error"].startswith("ConnectionResetError: https://")
    assert "s3cr3t-t0ken" not in told["error"]


def test_a_summary_takes_microseconds_however_much_was_done() -> None:
    """Fifty are asked for, which the row `summary` of the bench holds; this sees one that looks at all calls."""
    run = whilst.map(nap, [0.001] * 200_000, concurrency=1000)
    taken = iter(run)
    for _ in range(5000):
        next(taken)
    times = []
    for _ in range(200):
        began = time.thread_time()
        run.summary()
        times.append(time.thread_time() - began)
        next(taken)
    run.cancel()
    assert min(times) <= 500e-6
