"""The pictures are those of the recorded runs, and a run today looks the same."""

from __future__ import annotations

import sys
from importlib import import_module
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

pytest.importorskip("requests")
pytest.importorskip("aiohttp")
pytest.importorskip("starlette")
pytestmark = pytest.mark.once
PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
sys.path.append(str(PICTURES))
draw: Any = import_module("draw")
record: Any = import_module("record")

RUNS: dict[str, Any] = draw.recorded()


@pytest.mark.parametrize("name", sorted(draw.pictures(RUNS)))
def test_a_picture_is_what_is_drawn_of_the_recorded_runs(name: str) -> None:
    text = (PICTURES / name).read_text("utf-8")
    assert text == draw.pictures(RUNS)[name], "try: make pictures"
    ElementTree.fromstring(text)


def test_there_is_no_picture_that_nothing_draws() -> None:
    assert {path.name for path in PICTURES.glob("*.svg")} == set(draw.pictures(RUNS))


def shape(demo: dict[str, Any]) -> tuple[int, int, bool]:
    """Return how many calls there were, and whether the picture is a staircase above a wall."""
    alone, together = demo["alone"], demo["together"]
    stairs = all(after[0] >= before[0] + before[1] - 0.001 for before, after in pairwise(alone["spans"]))
    wall = max(began for began, _ in together["spans"]) < min(began + took for began, took in together["spans"])
    return len(alone["spans"]), len(together["spans"]), stairs and wall


@pytest.mark.clocked
def test_a_run_today_is_a_staircase_and_a_wall_too() -> None:
    assert shape(RUNS["demo"]) == (20, 20, True)
    tries = (shape(record.demo()) for _ in range(10))
    assert (20, 20, True) in tries


@pytest.mark.slow
def test_the_command_line_today_says_what_the_picture_shows() -> None:
    now = record.terminal()
    assert len(now) >= 6
    for lines in (RUNS["terminal"], now):
        done = next(at for at, line in enumerate(lines) if line.startswith("done: 150 ok, "))
        assert lines[0] == RUNS["terminal"][0]
        assert "429 Too Many Requests" in " ".join(lines[1:done])
        assert any(line.startswith("  lanes ") for line in lines[done:])
    assert now[-2:] == RUNS["terminal"][-2:]


@pytest.mark.once
@pytest.mark.slow
def test_the_controller_today_finds_what_the_picture_shows() -> None:
    for curves in (RUNS["curves"], record.curves()):
        rate, queue = curves["rate"], curves["queue"]
        last = rate["adaptive"][-20:]
        assert 0.95 * 200 <= sum(last) / len(last) <= 1.05 * 200
        assert sum(rate["refused"]) < 0.03 * sum(rate["adaptive"])
        for (began, allowed), end in zip(queue["allowed"], (20, 40, 60), strict=True):
            steady = queue["adaptive"][round((began + 8) / curves["step"]) : round(end / curves["step"])]
            assert sum(steady) / len(steady) >= 0.9 * allowed
