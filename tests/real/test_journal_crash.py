"""A program with a journal is killed at any instant, and run again: nothing is lost, nothing is recorded twice."""

from __future__ import annotations

import json
import os
import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("whilst.journal")

from killkit import Launcher, launcher, noted, recorded

import whilst
from whilst.engine.keeping import MOST_UNWRITTEN

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
LANES = 16


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("programs")) as started:
        yield started


@pytest.mark.slow
@pytest.mark.timeout(60 * SOAK)
@pytest.mark.parametrize(
    ("shape", "commit", "count", "kills"),
    [
        ("waiting", "buffered", 2000, 30),
        ("waiting", "strict", 2000, 35),
        ("blocking", "buffered", 2000, 30),
        ("blocking", "strict", 2000, 30),
        ("flow", "buffered", 1500, 20),
        ("instant", "buffered", 60_000, 20),
    ],
)
def test_a_program_killed_at_any_instant_goes_on_where_it_was(
    programs: Launcher, tmp_path: Path, shape: str, commit: str, count: int, kills: int
) -> None:
    pick = random.Random(f"{shape} {commit}")
    bound = LANES if commit == "strict" else LANES + MOST_UNWRITTEN
    ends = killed = worst = 0
    while killed < kills * SOAK:
        folder = tmp_path / str(ends)
        folder.mkdir()
        before: set[int] = set()
        code = -9
        while code == -9:
            delay = pick.uniform(0, 0.3) if killed < kills * SOAK else None
            code = programs.run(folder, "map", shape, commit, str(count), str(LANES), delay=delay)
            assert code in (0, -9), (folder / "said").read_text()
            killed += code == -9
            called, given, after = noted(folder / "called"), noted(folder / "given"), set(recorded(folder / "run.db"))
            assert before <= after, "lost"
            assert len(called) == len(set(called))
            assert not before & set(called), "called again although it was recorded"
            worst = max(worst, len(set(called) - after))
            assert given == [value * 2 for value in range(len(given))]
            if commit == "strict":
                assert {value // 2 for value in given} <= after, "given before it was durable"
            before = after
        assert given == [value * 2 for value in range(count)]
        assert after == set(range(count))
        ends += 1
    print(f"{shape} {commit}: {killed} kills, {ends} ends, worst {worst} calls again of {bound}")
    assert worst <= bound


@pytest.mark.slow
@pytest.mark.timeout(60 * SOAK)
@pytest.mark.parametrize(("commit", "kills"), [("buffered", 20), ("strict", 15)])
def test_a_command_killed_at_any_instant_goes_on_where_it_was(
    programs: Launcher, tmp_path: Path, commit: str, kills: int
) -> None:
    pick = random.Random(commit)
    bound = LANES if commit == "strict" else LANES + MOST_UNWRITTEN
    (tmp_path / "inputs.txt").write_text("".join(f"{number}\n" for number in range(1500)))
    command = ["map", "program:blocking", "inputs.txt", "-o", "out.jsonl", "-j", str(LANES), "--commit", commit]
    expected = [{"input": str(number), "value": number * 2} for number in range(1500)]
    ends = killed = worst = 0
    while killed < kills * SOAK:
        folder = tmp_path / str(ends)
        folder.mkdir()
        (folder / "inputs.txt").symlink_to(tmp_path / "inputs.txt")
        before: set[str] = set()
        code = -9
        while code == -9:
            known = (folder / "run.db").exists() and before
            arguments = ["resume", "run.db"] if known and pick.random() < 0.5 else [*command, "--journal", "run.db"]
            delay = pick.uniform(0, 0.4) if killed < kills * SOAK else None
            code = programs.run(folder, "command", *arguments, delay=delay)
            said = (folder / "said").read_text() if (folder / "said").exists() else ""
            assert code in (0, -9), said
            assert "Traceback" not in said
            killed += code == -9
            called, after = noted(folder / "called"), set(recorded(folder / "run.db"))
            assert before <= after, "lost"
            assert not before & {str(number) for number in called}, "called again although it was recorded"
            worst = max(worst, len({str(number) for number in called} - after))
            before = after
        assert [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()] == expected
        assert sorted(path.name for path in folder.iterdir() if path.name not in ("said", "printed", "inputs.txt")) == [
            "out.jsonl", "run.db", "run.db.status.json", "run.db.tail"
        ]  # fmt: skip
        ends += 1
    print(f"command {commit}: {killed} kills, {ends} ends, worst {worst} calls again of {bound}")
    assert worst <= bound


@pytest.mark.parametrize("shape", ["waiting", "blocking"])
def test_an_interrupted_program_has_saved_all_that_it_was_given(
    programs: Launcher, tmp_path: Path, eventually: Callable[..., bool], shape: str
) -> None:
    pid = programs.start(tmp_path, "map", shape, "buffered", "100000", str(LANES))
    assert eventually(lambda: (tmp_path / "given").exists() and (tmp_path / "given").stat().st_size > 1000, within=30)
    os.kill(pid, signal.SIGINT)
    assert programs.wait() != 0
    assert (tmp_path / "said").read_text().rstrip().endswith("KeyboardInterrupt")
    given = noted(tmp_path / "given")
    assert {value // 2 for value in given} <= set(recorded(tmp_path / "run.db"))


def test_a_second_program_is_refused_and_told_who_has_the_journal(
    programs: Launcher, tmp_path: Path, eventually: Callable[..., bool]
) -> None:
    pid = programs.start(tmp_path, "map", "blocking", "buffered", "100000", str(LANES))
    assert eventually(lambda: (tmp_path / "given").exists(), within=30)
    called: list[int] = []
    with pytest.raises(whilst.JournalLocked, match=rf"run.db is in use by pid {pid} on .+ since \d\d:\d\d\n") as caught:
        whilst.map(called.append, [1], journal=tmp_path / "run.db").list()
    assert (caught.value.pid, called) == (pid, [])
    os.kill(pid, signal.SIGKILL)
    assert programs.wait() == -signal.SIGKILL
    assert whilst.map(abs, [-1], journal=whilst.Journal(tmp_path / "run.db", accept="fresh")).list() == [1]
