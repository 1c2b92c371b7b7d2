"""Workers are killed at random instants: every input has exactly one outcome, and what was kept is whole."""

from __future__ import annotations

import os
import random
import signal
import threading
import time
from collections import Counter
from pathlib import Path

import processjobs as jobs
import pytest

import whilst

KILLS = 25 * int(os.environ.get("WHILST_SOAK", "1"))  # with a journal, and as many without


def workers() -> list[int]:
    found = []
    for name in os.listdir("/proc"):
        try:
            with open(f"/proc/{name}/stat") as file:
                state, parent = file.read().rpartition(")")[2].split()[:2]
            with open(f"/proc/{name}/cmdline") as file:
                command = file.read()
        except (OSError, ValueError, IndexError):
            continue
        if name.isdigit() and int(parent) == os.getpid() and state != "Z" and "whilst.processes" in command:
            found.append(int(name))
    return found


def calls(folder: Path) -> list[tuple[int, int]]:
    """Return index and process of each call that has begun."""
    try:
        lines = (folder / "calls").read_text().split("\n")[:-1]
    except FileNotFoundError:
        return []
    return [(int(line.split()[0]), int(line.split()[1])) for line in lines]


@pytest.mark.slow
@pytest.mark.timeout(60 + KILLS)
@pytest.mark.parametrize("journal", [False, True])
def test_kills_at_random_instants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, journal: bool) -> None:
    monkeypatch.setenv("WHILST_TEST_CALLS", str(tmp_path / "calls"))
    rng, over, killed = random.Random(20), threading.Event(), []

    def kill() -> None:
        while not over.is_set() and len(killed) < KILLS:
            time.sleep(rng.uniform(0.05, 0.3))
            found, at_work = workers(), {pid for _, pid in calls(tmp_path)}
            if len(killed) % 5:  # most of them in the middle of their calls, some while they start
                found = [pid for pid in found if pid in at_work]
            if found and not over.is_set():
                killed.append(rng.choice(found))
                os.kill(killed[-1], signal.SIGKILL)

    count = 0

    def inputs():
        nonlocal count
        while len(killed) < KILLS:
            yield count
            count += 1

    path = tmp_path / "run.db" if journal else None
    run = whilst.map(jobs.counted, inputs(), executor="process", concurrency=3, journal=path)
    thread = threading.Thread(target=kill)
    thread.start()
    try:
        outcomes = list(run.outcomes())
    finally:
        over.set()
        thread.join()
    assert len(killed) == KILLS
    assert [outcome.index for outcome in outcomes] == list(range(count))
    failed = [outcome for outcome in outcomes if not outcome.ok]
    assert all(isinstance(outcome.error, whilst.WorkerDied) for outcome in failed)
    assert all(outcome.error.signal == "SIGKILL" for outcome in failed)
    assert len(failed) <= KILLS
    assert all(outcome.value == 2 * outcome.index for outcome in outcomes if outcome.ok)
    begun = Counter(index for index, _ in calls(tmp_path))
    again = [index for index, times in begun.items() if times > 1]
    assert again == [], "an input was called again although its outcome was to come"
    if journal:
        with_again = whilst.map(jobs.counted, range(count), executor="process", journal=path)
        found = list(with_again.outcomes())
        assert sum(outcome.recalled for outcome in found) >= count - len(failed)
        assert [outcome.value for outcome in found] == [2 * index for index in range(count)]
