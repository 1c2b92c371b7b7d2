"""Every count of a limit is seen to move, and what is not documented is not there."""

from __future__ import annotations

import asyncio
import re
import threading
import time
from pathlib import Path
from typing import Any

import pytest
from limitkit import virtually

import whilst


def test_each_field_of_the_statistics_tells_what_happens() -> None:
    seen: dict[str, Any] = {}
    limit = whilst.Limit(concurrency=1, rate=["1000/s", "5000/h"], by=str)
    with pytest.raises(whilst.Throttled), limit.of("busy"):
        raise whilst.Throttled(retry_after=3000)
    with limit.of("a"):
        waits = threading.Thread(target=lambda: limit.of("a").__enter__().__exit__(None, None, None))
        waits.start()
        while not limit.statistics().waiting:
            time.sleep(0.001)
        seen = limit.statistics()._asdict()
    waits.join(20)
    assert 2700 < seen.pop("paused_for") <= 3000.2
    assert seen == {
        "concurrency": 1,
        "in_flight": 1,
        "waiting": 1,
        "rates": ("1000/s", "5000/h"),
        "adaptive": False,
        "keys": 2,
        "started": 2,
        "rejected": 1,
        "found": "",
        "paused_by": "",
    }
    limit.pause()
    assert limit.statistics().paused_by == f"paused by limit.pause() since {time.strftime('%H:%M')}"
    adaptive = whilst.Limit(concurrency="adaptive").statistics()
    assert adaptive.adaptive
    assert adaptive.concurrency is not None
    defaults = whilst.LimitStatistics._field_defaults
    assert all(
        seen[name] != default
        for name, default in defaults.items()
        if name in seen and name not in ("adaptive", "found", "paused_by")
    )


def test_what_is_forgotten_stays_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("whilst.limit.state.REMEMBERED", 1)
    limit = whilst.Limit(concurrency=1, by=str)
    for key in "abc":
        with limit.of(key):
            pass
    with pytest.raises(whilst.Throttled), limit.of("d"):
        raise whilst.Throttled(retry_after=0.001)
    time.sleep(0.01)
    for started, key in enumerate("ef", 5):  # what was forgotten is not counted again
        with limit.of(key):
            pass
        now = limit.statistics()
        assert (now.keys, now.started, now.rejected) == (1, started, 1)


@pytest.mark.parametrize("made", [1, 2, 7, 9, 30])
@pytest.mark.parametrize(
    "terms",
    [
        pytest.param({}, id="alike"),
        pytest.param({"by": lambda x: x % 2}, id="by"),
        pytest.param({"weight": lambda x: 1.5, "rate": "1000/s"}, id="weight"),
        pytest.param({"rate": "1000/s"}, id="rate"),
    ],
)
@pytest.mark.parametrize("way", ["map", "step", "together"])
@pytest.mark.parametrize("runs", [1, 2])
@virtually
async def test_when_a_run_is_over_it_holds_no_permit_and_waits_for_none(
    made: int, terms: dict[str, Any], way: str, runs: int
) -> None:
    limit = whilst.Limit(concurrency=3, **terms)

    async def nap(value: int) -> int:
        await asyncio.sleep(1)
        return value

    async def run() -> None:
        step = whilst.step(nap, limit=limit)
        if way == "map":
            await whilst.map(nap, range(made), limit=limit)
        else:
            await whilst.map(step if way == "step" else whilst.together(step, step), range(made))

    await asyncio.gather(*(run() for _ in range(runs)))
    assert (limit.statistics().in_flight, limit.statistics().waiting) == (0, 0)


def test_a_limit_has_no_public_attribute_that_the_docs_do_not_name() -> None:
    docs = Path(__file__).parents[2] / "docs"
    pages = "\n".join(page.read_text("utf-8") for page in docs.glob("*.md"))
    public = {name for name in dir(whilst.Limit(concurrency=1)) if not name.startswith("_")}
    assert public == {"of", "pause", "resume", "set", "statistics", "try_acquire"}
    assert all(re.search(rf"\.{name}\(", pages) for name in public)
