"""Recordings that are made up: calls in lanes, some of which fail, in one run or in several."""

from __future__ import annotations

import heapq
import random
import sys
from pathlib import Path
from typing import Any

from whilst.insight.chunks import Chunk, Rows
from whilst.insight.looks import Look
from whilst.insight.recorded import Beginning, Gathering, Recorded
from whilst.insight.spans import FAILED, RETRIED

sys.path.append(str(Path(__file__).parents[1] / "real"))  # `installed` says what is skipped for want of a program

KINDS = ["429", "TimeoutError", "ValueError"]
SAID = [
    "HTTPError: 429 Client Error: Too Many Requests for url: https://api.example.com/v1/items",
    "TimeoutError: no answer within 2 s",
    "ValueError: expected a number, got 'n/a'",
]
ACCOUNT = {"busy": 0.62, "limit: rate=100/s": 0.2, "source": 0.1, "retries": 0.05, "tail": 0.03}
ADVICE = {
    "text": "The rate held 31 of 32 lanes for a fifth of the time.",
    "evidence": "100 calls started a second; 32 at once could take 130.",
    "condition": "the other side takes more",
    "gain": 1.3,
    "change": {"rate": "130/s"},
}
Row = tuple[int, float, float]


def calls(count: int, lanes: int = 32, usual: float = 0.02, first: int = 0, seed: int = 1) -> list[Row]:
    """Return calls in the order in which they end: index, start, seconds."""
    chance = random.Random(seed)
    free = [0.0] * lanes
    found: list[Row] = []
    for index in range(first, first + count):
        start = heapq.heappop(free)
        took = max(0.001, chance.lognormvariate(0, 0.4) * usual * (6 if index % 997 == 5 else 1))
        found.append((index, start, took))
        heapq.heappush(free, start + took + 2e-5)
    return sorted(found, key=lambda row: row[1] + row[2])


def recording(count: int, *, failing: float = 0.01, runs: int = 1, lanes: int = 32, seed: int = 1) -> Recorded:
    """Return a recording of so many calls in one run, or in several of which all but the last were killed."""
    gathering, chance = Gathering(), random.Random(seed)
    each = count // runs
    for number in range(runs):
        first = number * each
        many = each if number < runs - 1 else count - first
        beginning = Beginning("fetch", 1.79e9 + number * 900, lanes, count, python="3.13.0", whilst="0.1.0")
        session = gathering.begin(beginning)
        rows, counts = calls(many, lanes, first=first, seed=seed + number), [0, 0, 0]
        for at in range(0, many, 4096):
            gathering.calls(_chunk(rows[at : at + 4096], counts, failing, chance))
        elapsed = max((row[1] + row[2] for row in rows), default=0.0)
        session.looks = [Look(elapsed * at / 20, permitted=lanes if at < 8 else 24, rate=2000.0) for at in range(21)]
        if number == runs - 1:
            failed = sum(counts)
            session.ending = {"ok": many - failed, "failed": failed, "elapsed": elapsed, "retried": 33}
            session.ending |= {"account": ACCOUNT, "advice": [ADVICE]}
    return gathering.settle()


def flow_recording(count: int) -> Recorded:
    """Return a recording of a flow of two steps, the second of which is tried again for every tenth input."""
    found = recording(count, failing=0.0)
    for path, began, attempts in (("load", 0.0, 1), ("save", 0.5, 1), ("save", 0.75, 2)):
        rows = [
            (found.spans.index[row], found.spans.started[row] + began * took, took / 4)
            for row, took in enumerate(found.spans.took)
            if attempts == 1 or found.spans.index[row] % 10 == 3
        ]
        kind = [
            (row, FAILED if attempts == 1 else RETRIED, attempts)
            for row, (index, *_) in enumerate(rows)
            if path == "save" and index % 10 == 3
        ]
        head = Chunk(len(rows), 1e-6, 1, len(rows), kind, [KINDS[0]], [0], path=f"sequence.{path}")
        columns: Any = list(zip(*rows, strict=True)) or [(), (), ()]
        rows_of_it = Rows(columns[0], columns[1], columns[2], head)
        gathering = Gathering()
        gathering.recorded = found
        gathering.calls(rows_of_it)
    return found


def _chunk(rows: list[Row], counts: list[int], failing: float, chance: random.Random) -> Rows:
    head = Chunk(len(rows), 1e-6, 1, len(rows), kinds=KINDS)
    for row, (index, _, took) in enumerate(rows):
        if chance.random() < failing:
            kind = chance.choice([0, 0, 0, 1, 2])
            counts[kind] += 1
            head.marks.append((row, FAILED + kind, 3 if kind == 0 else 1))
            if counts[kind] <= 4:
                head.examples.append((kind, index, SAID[kind], 3, took))
        elif chance.random() < 0.01:
            head.marks.append((row, RETRIED, 2))
    head.counts = [*counts]
    columns: Any = list(zip(*rows, strict=True)) or [(), (), ()]
    return Rows(columns[0], columns[1], columns[2], head)
