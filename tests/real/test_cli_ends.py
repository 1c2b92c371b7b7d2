"""Outputs of runs that end badly: killed, on a full disk, without the right to write; alone and with a journal."""

from __future__ import annotations

import csv
import gzip
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import postgres
import pytest
from killkit import Launcher, launcher

JOBS = """\
import os, time

def twice(x):
    with open("called", "a") as file:
        file.write(f"{x}\\n")
    if int(x) > 4:
        while not os.path.exists("open"):
            time.sleep(0.005)
    return {"twice": int(x) * 2}

def long(x):
    return "x" * 1000
"""
COUNT = 20
EVERY = {str(number): number * 2 for number in range(1, COUNT + 1)}


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("programs")) as started:
        yield started


@pytest.fixture
def here(tmp_path: Path) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "in.txt").write_text("".join(f"{number}\n" for number in range(1, COUNT + 1)))
    return tmp_path


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    pytest.importorskip("psycopg")
    with postgres.server() as port:
        yield port


def called(here: Path) -> list[str]:
    path = here / "called"
    return path.read_text().split() if path.exists() else []


def said(here: Path) -> str:
    text = (here / "said").read_text()
    assert "Traceback" not in text, text
    return text


def kill_at_the_gate(programs: Launcher, here: Path, eventually: Callable[..., bool], *command: str) -> None:
    """Kill a run when four of its outcomes are durable and four calls are in flight."""
    pid = programs.start(here, "command", *command, "-j", "4")
    assert eventually(lambda: len(called(here)) == 8, within=30), said(here)
    os.kill(pid, signal.SIGKILL)
    assert programs.wait() == -signal.SIGKILL
    (here / "open").touch()


# -- killed ------------------------------------------------------------------------------------------------------------


def in_sqlite(path: Path) -> list[tuple[str, int]]:
    with closing(sqlite3.connect(path)) as database:
        return [(json.loads(it), value) for it, value in database.execute("SELECT input, twice FROM t")]


def in_parquet(path: Path) -> list[tuple[str, int]]:
    parquet = pytest.importorskip("pyarrow.parquet")
    return [(row["input"], row["value"]["twice"]) for row in parquet.read_table(path).to_pylist()]


def in_csv(path: Path) -> list[tuple[str, int]]:
    with gzip.open(path, "rt", newline="") as file:
        return [(row["input"], json.loads(row["value"])["twice"]) for row in csv.DictReader(file)]


def in_jsonl(path: Path) -> list[tuple[str, int]]:
    return [(row["input"], row["value"]["twice"]) for row in map(json.loads, path.read_text().splitlines())]


FILES = [
    ("sqlite:///out.db?table=t", "out.db", in_sqlite),
    ("out.parquet", "out.parquet", in_parquet),
    ("out.csv.gz", "out.csv.gz", in_csv),
    ("out.jsonl", "out.jsonl", in_jsonl),
]


@pytest.mark.parametrize("command", ["map", "run"])
@pytest.mark.parametrize(("name", "file", "rows"), FILES, ids=[file for _, file, _ in FILES])
def test_a_killed_run_goes_on_and_every_row_is_there_once(
    programs: Launcher,
    here: Path,
    eventually: Callable[..., bool],
    command: str,
    name: str,
    file: str,
    rows: Callable[[Path], list[tuple[str, int]]],
) -> None:
    asked = (command, "jobs:twice", "in.txt", "--journal", "run.db", "--commit", "strict", "-o", name)
    kill_at_the_gate(programs, here, eventually, *asked)
    assert programs.run(here, "command", "resume", "run.db") == 0, said(here)
    found = rows(here / file)
    assert len(found) == COUNT
    assert dict(found) == EVERY
    again = Counter(called(here))
    assert len(again) == COUNT
    assert sum(again.values()) <= COUNT + 4
    assert not list(here.glob("*.part"))
    assert programs.run(here, "command", *asked) == 0, said(here)  # the whole command once more: nothing is called
    assert sorted(rows(here / file)) == sorted(found)
    assert Counter(called(here)) == again


def test_a_killed_run_goes_on_into_postgresql_and_every_row_is_there_once(
    programs: Launcher, here: Path, eventually: Callable[..., bool], port: int
) -> None:
    psycopg = pytest.importorskip("psycopg")
    secret = {"PGPASSWORD": postgres.PASSWORD}
    url = f"postgresql://me@127.0.0.1:{port}/data?table=t"
    command = ("map", "jobs:twice", "in.txt", "--journal", "run.db", "--commit", "strict", "-o", url, "-j", "4")
    pid = programs.start(here, "command", *command, environment=secret)

    def rows() -> list[tuple[str, int]]:
        with psycopg.connect(url.partition("?")[0], password=postgres.PASSWORD) as connection:
            if connection.execute("SELECT to_regclass('t')").fetchone() == (None,):
                return []
            found = connection.execute("SELECT input, twice FROM t").fetchall()
            return [(json.loads(it), value) for it, value in found]

    assert eventually(lambda: len(called(here)) == 8 and len(rows()) == 4, within=30), said(here)
    os.kill(pid, signal.SIGKILL)
    assert programs.wait() == -signal.SIGKILL
    (here / "open").touch()
    assert programs.run(here, "command", "resume", "run.db", environment=secret) == 0, said(here)
    assert len(rows()) == COUNT
    assert dict(rows()) == EVERY
    assert sum(Counter(called(here)).values()) <= COUNT + 4


def test_what_a_killed_run_left_is_named_by_the_next_and_kept(
    programs: Launcher, here: Path, eventually: Callable[..., bool]
) -> None:
    pid = programs.start(here, "command", "map", "jobs:twice", "in.txt", "-j", "4", "-o", "out.jsonl")
    assert eventually(lambda: any(it.stat().st_size for it in here.glob("out.jsonl.*.part")), within=30), said(here)
    os.kill(pid, signal.SIGKILL)
    assert programs.wait() == -signal.SIGKILL
    (here / "open").touch()
    (part,) = here.glob(f"out.jsonl.{pid}.*.part")
    left = part.read_bytes()
    assert programs.run(here, "command", "map", "jobs:twice", "in.txt", "-o", "out.jsonl") == 0
    assert f"note: {part.name} is what an earlier run left of out.jsonl;" in said(here)
    assert part.read_bytes() == left
    assert len(in_jsonl(here / "out.jsonl")) == COUNT
    assert programs.run(here, "command", "map", "jobs:twice", "in.txt", "-o", "out.jsonl", "--overwrite", "-q") == 0
    assert said(here) == ""


# -- a full disk -------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="a device of Linux")
def test_a_full_disk_costs_the_output_and_nothing_of_the_journal(programs: Launcher, here: Path) -> None:
    (here / "open").touch()
    (here / "in.txt").write_text("".join(f"{number}\n" for number in range(1, 5001)))
    asked = ("map", "jobs:twice", "in.txt", "--journal", "run.db", "-o")
    assert programs.run(here, "command", *asked, "/dev/full") == 4
    assert said(here).startswith("error: /dev/full cannot be written: No space left on device\n")
    done = len(called(here))
    assert programs.run(here, "command", *asked, "out.jsonl") == 0, said(here)
    twice = [number for number, count in Counter(called(here)).items() if count > 1]
    assert len(twice) <= 32, "what was in flight may be called again, what was done is not"
    assert len(in_jsonl(here / "out.jsonl")) == 5000 >= done


@pytest.mark.parametrize("name", ["out.jsonl", "out.csv", "out.csv.gz", "out.parquet"])
def test_an_output_that_is_not_whole_does_not_get_its_name(programs: Launcher, here: Path, name: str) -> None:
    (here / "in.txt").write_text("".join(f"{os.urandom(400).hex()}\n" for _ in range(1000)))
    pid = programs.start(here, "command", "map", "jobs:long", "in.txt", "-o", name, largest=100_000)
    assert programs.wait() == 4
    assert said(here).startswith(f"error: {name} cannot be written: File too large\n")
    assert not (here / name).exists()
    (left,) = here.glob(f"{name}.{pid}.*.part")
    assert said(here).endswith(f"  what could be written is in {left}\n")
    assert left.stat().st_size == 100_000


# -- without the right to write ----------------------------------------------------------------------------------------

# What a command imports when it is needed may lie where only root can read, so it runs once with all rights.
AS_NOBODY = """\
import contextlib, io, os, sys
from whilst.cli.main import run
with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
    for name in ("warm.jsonl", "warm.parquet", "sqlite:///warm.sqlite?table=t"):
        run(["map", "jobs:long", "in.txt", "--journal", "warm.db", "-o", name, "--overwrite"])
if os.geteuid() == 0:
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.exit(run(sys.argv[1:]))
"""


@pytest.fixture
def readable() -> Iterator[Path]:
    """A folder that everybody may enter; pytest's own are closed to others."""
    folder = Path(tempfile.mkdtemp(prefix="whilst-"))
    folder.chmod(0o755)
    (folder / "jobs.py").write_text(JOBS)
    (folder / "in.txt").write_text("1\n2\n")
    yield folder
    for path in folder.rglob("*"):
        path.chmod(0o755)
    shutil.rmtree(folder)


def as_nobody(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([*sys.path, str(folder)])}
    command = [sys.executable, "-c", AS_NOBODY, *arguments]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stderr


@pytest.mark.skipif(not hasattr(os, "setuid"), reason="POSIX rights")
@pytest.mark.parametrize(
    ("flags", "code", "fact"),
    [
        (["-o", "closed/out.jsonl"], 2, "closed/out.jsonl cannot be written: Permission denied"),
        (["-o", "closed/out.parquet"], 2, "closed/out.parquet cannot be written: Permission denied"),
        (["-o", "sqlite:///closed/out.db?table=t"], 2, "closed/out.db"),
        (["--failed", "closed/failed.jsonl"], 2, "closed/failed.jsonl cannot be written: Permission denied"),
        (["--journal", "closed/run.db"], 4, "its directory cannot be written"),
        (["--journal", "closed/old.db"], 4, "cannot be written"),
    ],
)
def test_who_may_not_write_is_told_before_anything_is_called(
    readable: Path, flags: list[str], code: int, fact: str
) -> None:
    closed = readable / "closed"
    closed.mkdir()
    (closed / "old.db").touch(0o444)
    closed.chmod(0o555)
    found, text = as_nobody(readable, "map", "jobs:twice", "in.txt", *flags)
    assert (found, text[:7]) == (code, "error: "), text
    assert fact in text
    assert not (readable / "called").exists()
    assert [it.name for it in closed.iterdir()] == ["old.db"]
