"""`whilst … --journal`, `resume`, `status` and `export` from the command line: endings, messages, files."""

from __future__ import annotations

import csv
import json
import os
import signal
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from killkit import Launcher, launcher

import whilst

JOBS = """\
import os, time

def double(x):
    with open("called", "a") as file:
        file.write(f"{x}\\n")
    if x == "13" and not os.path.exists("mended"):
        raise ValueError("unlucky")
    return int(x) * 2

def gate(x):
    with open("called", "a") as file:
        file.write(f"{x}\\n")
    if int(x) > 4:
        while not os.path.exists("open"):
            time.sleep(0.005)
    return x

def stuck(x):
    with open("called", "a") as file:
        file.write(f"{x}\\n")
    if int(x) > 4:
        time.sleep(600)
    return x

def row(id, name):
    return {"name": name.upper(), "n": id * 2}

def big(x):
    return "x" * 20_000 + x

class Thing:
    pass

def thing(x):
    return Thing()

def leaky(x):
    import requests
    raise ConnectionError(f"no route to {x} with {os.environ['TOKEN']}"[:len(f"no route to {x}")])
"""


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    with launcher(tmp_path_factory.mktemp("programs")) as started:
        yield started


class Whilst:
    """The command in a folder of its own, run in a process of its own."""

    def __init__(self, programs: Launcher, folder: Path) -> None:
        self.programs = programs
        self.folder = folder
        (folder / "jobs.py").write_text(JOBS)
        (folder / "inputs.txt").write_text("".join(f"{number}\n" for number in range(1, 21)))

    def __call__(self, *arguments: str, **options: Any) -> tuple[int, str, str]:
        """Return exit code, standard output, messages."""
        code = self.programs.run(self.folder, "command", *arguments, **options)
        return code, self.printed, self.said

    @property
    def printed(self) -> str:
        return self.read("printed")

    @property
    def said(self) -> str:
        said = self.read("said")
        assert "Traceback" not in said, said
        return said

    @property
    def called(self) -> list[str]:
        """Take what was called."""
        lines = self.read("called").split()
        (self.folder / "called").unlink(missing_ok=True)
        return lines

    def read(self, name: str) -> str:
        path = self.folder / name
        return path.read_text() if path.exists() else ""

    def lines(self, name: str) -> list[Any]:
        return [json.loads(line) for line in self.read(name).splitlines()]

    def files(self) -> set[str]:
        return {path.name for path in self.folder.iterdir()} - {"jobs.py", "inputs.txt", "said", "printed", "called"}


@pytest.fixture
def do(programs: Launcher, tmp_path: Path) -> Whilst:
    return Whilst(programs, tmp_path)


MAP = ("map", "jobs:double", "inputs.txt", "--journal", "run.db")
GATE = ("map", "jobs:gate", "inputs.txt", "-j", "4", "--journal", "run.db", "-o", "out.jsonl")
STUCK = ("map", "jobs:stuck", *GATE[2:])
DOUBLED = [{"input": str(number), "value": number * 2} for number in range(1, 21)]
FAILED = {"input": "13", "error": "ValueError: unlucky", "attempts": 1}


# -- going on ----------------------------------------------------------------------------------------------------------


def test_what_is_done_is_given_in_its_place_and_what_failed_is_tried_again(do: Whilst) -> None:
    code, _, said = do(*MAP, "-o", "out.jsonl")
    assert (code, len(do.called)) == (1, 20)
    assert do.lines("out.jsonl") == [*DOUBLED[:12], FAILED, *DOUBLED[13:]]
    (do.folder / "mended").touch()
    code, _, said = do("resume", "run.db")
    assert (code, do.called) == (0, ["13"])
    assert "continuing: 19 done, 1 failed before\n" in said
    assert "done: 20 ok, 19 of them from the journal in" in said
    assert do.lines("out.jsonl") == DOUBLED
    assert do.files() == {"out.jsonl", "run.db", "run.db.status.json", "run.db.tail", "mended"}


def test_failures_can_be_kept_as_they_are(do: Whilst) -> None:
    do(*MAP)
    assert len(do.called) == 20
    code, _, _ = do("resume", "run.db", "--keep-failed")
    assert (code, do.called) == (1, [])
    assert json.loads(do.printed.splitlines()[12]) == FAILED
    do("resume", "run.db")  # the flag was meant that once
    assert do.called == ["13"]
    code, _, _ = do(*MAP, "--keep-failed")
    assert (code, do.called) == (1, [])


def test_inputs_may_come_in_another_order_twice_more_of_them_or_fewer(do: Whilst) -> None:
    do(*MAP)
    assert len(do.called) == 20
    (do.folder / "inputs.txt").write_text("7\n3\n3\n21\n7\n7\n")
    code, printed, _ = do(*MAP)
    assert code == 0
    assert sorted(do.called) == ["21", "3", "7", "7"]
    assert [json.loads(line)["value"] for line in printed.splitlines()] == [14, 6, 6, 42, 14, 14]
    (do.folder / "inputs.txt").write_text("3\n7\n7\n3\n7\n")
    do(*MAP)
    assert do.called == []


def test_a_row_is_known_again_by_a_field(do: Whilst) -> None:
    keyed = ("map", "jobs:row", "rows.jsonl", "--journal", "run.db", "--journal-key", "id")
    (do.folder / "rows.jsonl").write_text('{"id":1,"name":"a"}\n{"name":"b","id":2}\n')
    _, first, _ = do(*keyed)
    (do.folder / "rows.jsonl").write_text('{"id":2,"name":"changed"}\n{"id":1,"name":"changed"}\n{"name":"none"}\n')
    code, second, _ = do(*keyed)
    assert code == 1
    assert [json.loads(line).get("value") for line in first.splitlines()] == [
        {"name": "A", "n": 2},
        {"name": "B", "n": 4},
    ]
    assert [json.loads(line).get("value") for line in second.splitlines()] == [
        {"name": "B", "n": 4}, {"name": "A", "n": 2}, None
    ]  # fmt: skip


def test_a_rejected_row_stays_rejected_and_is_no_outcome_of_the_journal(do: Whilst) -> None:
    (do.folder / "rows.jsonl").write_text('{"id":1,"name":"a"}\n{"id":\n{"id":2,"name":"b"}\n')
    for _ in range(2):
        code, printed, said = do("map", "jobs:row", "rows.jsonl", "--journal", "run.db")
        assert code == 1
        assert "1 row rejected" in said
        assert '"line":2,' in printed
    assert do("status", "run.db")[1].startswith("row: 2 done of 3, 0 failed\n")


def test_the_status_says_what_is_left_to_do(do: Whilst) -> None:
    do(*MAP, "-o", "out.jsonl")
    _, shown, _ = do("status", "run.db")
    assert "19 done of 20, 1 failed" in shown
    assert "try the failed ones again: whilst resume run.db" in shown
    (do.folder / "mended").touch()
    do("resume", "run.db")
    _, shown, _ = do("status", "run.db")
    assert "20 done of 20" in shown
    assert "whilst resume" not in shown


def test_a_journal_written_from_python_is_seen_and_not_resumed(do: Whilst) -> None:
    assert whilst.map(str.upper, ["a", "b"], journal=do.folder / "run.db").list() == ["A", "B"]
    code, _, said = do("resume", "run.db")
    assert code == 2
    assert "run.db was written from Python, so there is no command to run again" in said
    assert do("status", "run.db")[1].startswith("str.upper: 2 done of 2, 0 failed\n")
    assert [json.loads(line) for line in do("export", "run.db")[1].splitlines()] == [
        {"input": "a", "value": "A"}, {"input": "b", "value": "B"}
    ]  # fmt: skip


def test_a_journal_can_be_moved_and_resumed_from_anywhere(do: Whilst) -> None:
    do(*MAP, "-o", "out.jsonl")
    assert len(do.called) == 20
    for more in ("", ".tail", ".status.json"):
        os.rename(do.folder / f"run.db{more}", do.folder / f"moved.db{more}")
    elsewhere = do.folder / "elsewhere"
    elsewhere.mkdir()
    code = do.programs.run(elsewhere, "command", "resume", "../moved.db")
    assert code == 1
    assert "--journal=" + str(do.folder / "moved.db") in (elsewhere / "said").read_text()
    assert do.called == ["13"]
    assert not (do.folder / "run.db").exists()


def test_a_command_that_read_standard_input_needs_it_again(do: Whilst) -> None:
    code, _, _ = do("map", "jobs:double", "--journal", "run.db", "-o", "out.jsonl", stdin="inputs.txt")
    assert (code, len(do.called)) == (1, 20)
    code, _, said = do("resume", "run.db")
    assert code == 2
    assert "the inputs of run.db came from standard input, which is empty now" in said
    assert "try: whilst resume run.db < INPUT" in said
    assert len(do.lines("out.jsonl")) == 20
    code, _, _ = do("resume", "run.db", stdin="inputs.txt")
    assert (code, do.called) == (1, ["13"])


def test_an_output_of_the_same_journal_is_replaced_and_no_other(do: Whilst) -> None:
    (do.folder / "mine.jsonl").write_text("not to be touched\n")
    code, _, said = do(*MAP, "-o", "mine.jsonl")
    assert (code, do.called) == (2, [])
    assert "mine.jsonl exists" in said
    do(*MAP, "-o", "out.jsonl", "--failed", "failed.jsonl")
    assert len(do.called) == 20
    code, _, said = do(*MAP, "-o", "mine.jsonl")
    assert (code, do.called) == (2, [])
    assert do.read("mine.jsonl") == "not to be touched\n"
    (do.folder / "mended").touch()
    code, _, _ = do(*MAP, "-o", "out.jsonl", "--failed", "failed.jsonl")
    assert (code, do.called) == (0, ["13"])
    assert (do.lines("out.jsonl"), do.lines("failed.jsonl")) == (DOUBLED, [])


def test_every_kind_of_output_is_completed_without_doubles(do: Whilst) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("sqlalchemy")
    rows = [{"id": number, "name": f"n{number}"} for number in range(1, 9)]
    (do.folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    upper = [{"name": f"N{number}", "n": number * 2} for number in range(1, 9)]

    def of_csv(name: str) -> list[Any]:
        with open(do.folder / name, newline="") as file:
            return [json.loads(row["value"]) for row in csv.DictReader(file)]

    def of_parquet(name: str) -> list[Any]:
        return [row["value"] for row in pq.read_table(do.folder / name).to_pylist()]

    def of_sqlite(name: str) -> list[Any]:
        with closing(sqlite3.connect(do.folder / "out.sqlite")) as database:
            found = database.execute("SELECT name, n FROM t ORDER BY n").fetchall()
        return [{"name": name, "n": n} for name, n in found]

    readers: dict[str, Callable[[str], list[Any]]] = {
        "out.csv": of_csv,
        "out.csv.gz": lambda name: upper,
        "out.parquet": of_parquet,
        "sqlite:///out.sqlite?table=t&key=id": of_sqlite,
    }
    for place, (name, read) in enumerate(readers.items()):
        command = ("map", "jobs:row", "rows.jsonl", "--journal", f"{place}.db", "-o", name)
        code, _, said = do(*command, "--take", "5")
        assert code == 0, said
        code, _, said = do(*command)
        assert (code, "continuing: 5 done" in said) == (0, True), said
        assert read(name) == upper, name
        code, _, said = do("resume", f"{place}.db")
        assert code == 0, said
        assert read(name) == upper, name


# -- being ended -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_saves_what_is_in_flight_and_names_the_way_on(
    do: Whilst, eventually: Callable[..., bool], number: signal.Signals, code: int
) -> None:
    pid = do.programs.start(do.folder, "command", *GATE)
    assert eventually(lambda: len(do.read("called").split()) == 8, within=30)  # 1 to 4 are done, 5 to 8 at the gate
    os.kill(pid, number)
    assert eventually(lambda: "nothing new is started, waiting for 4 in flight" in do.read("said"))
    (do.folder / "open").touch()
    assert do.programs.wait() == code
    assert sorted(map(int, do.called)) == list(range(1, 9))
    assert "interrupted: 8 ok in" in do.said
    assert ", saved\n  go on: whilst resume run.db\n" in do.said
    assert [line["value"] for line in do.lines("out.jsonl")] == [str(each) for each in range(1, 9)]
    (do.folder / "called").unlink(missing_ok=True)
    assert do("resume", "run.db")[0] == 0
    assert sorted(map(int, do.called)) == list(range(9, 21))
    assert [line["value"] for line in do.lines("out.jsonl")] == [str(each) for each in range(1, 21)]


def test_a_second_signal_ends_within_two_seconds_and_loses_nothing_that_finished(
    do: Whilst, eventually: Callable[..., bool]
) -> None:
    pid = do.programs.start(do.folder, "command", *STUCK)
    assert eventually(lambda: len(do.read("called").split()) == 8, within=30)
    os.kill(pid, signal.SIGINT)
    assert eventually(lambda: "a second Ctrl-C ends within 2 s" in do.read("said"))
    os.kill(pid, signal.SIGINT)
    assert do.programs.wait() == 130
    assert "4 were in flight and may run again" in do.said
    assert "whilst resume run.db" in do.said
    assert do("status", "run.db")[1].startswith("stuck: 4 done, 0 failed\n  not running;")


def test_a_second_run_refuses_names_the_first_and_leaves_no_output(
    do: Whilst, programs: Launcher, tmp_path_factory: pytest.TempPathFactory, eventually: Callable[..., bool]
) -> None:
    pid = do.programs.start(do.folder, "command", *GATE)
    assert eventually(lambda: len(do.read("called").split()) == 8, within=30)
    with launcher(tmp_path_factory.mktemp("second")) as others:
        second = Whilst(others, tmp_path_factory.mktemp("other"))
        journal = str(do.folder / "run.db")
        command = ("map", "jobs:gate", "inputs.txt", "--journal", journal, "-o", "second.jsonl")
        for arguments in (command, ("resume", journal), ("export", journal)):
            code, _, said = second(*arguments)
            assert (code, second.called) == (4, [])
            assert f"error: run.db is in use by pid {pid} on {os.uname().nodename} since " in said
            assert f"meanwhile: whilst status {journal}\n" in said
            assert second.files() == set()
        code, printed, _ = second("status", journal)
        assert code == 0
        assert f"running as pid {pid} on {os.uname().nodename} since" in printed
        assert json.loads(second("status", journal, "--json")[1])["running"] is True
    (do.folder / "open").touch()
    assert do.programs.wait() == 0
    assert len(do.lines("out.jsonl")) == 20


def test_a_full_disk_ends_the_run_and_nothing_is_lost(do: Whilst) -> None:
    (do.folder / "inputs.txt").write_text("".join(f"{number}\n" for number in range(100)))
    code, _, said = do(
        "map", "jobs:big", "inputs.txt", "-j", "4", "--journal", "run.db", "-o", "/dev/null", largest=600_000
    )
    assert code == 4
    assert "run.db cannot be written any more: " in said
    assert "go on" in said or "run it again" in said
    (do.folder / "called").unlink(missing_ok=True)
    code, printed, said = do("map", "jobs:big", "inputs.txt", "--journal", "run.db")
    assert code == 0, said
    assert [len(json.loads(line)["value"]) for line in printed.splitlines()] == [
        20_000 + len(str(number)) for number in range(100)
    ]


# -- bad input ---------------------------------------------------------------------------------------------------------


def test_a_changed_function_stops_and_asks(do: Whilst) -> None:
    do(*MAP, "-o", "out.jsonl")
    assert len(do.called) == 20
    (do.folder / "jobs.py").write_text(JOBS.replace("int(x) * 2", "int(x) * 3"))
    for arguments in ((*MAP, "-o", "out.jsonl"), ("resume", "run.db")):
        code, _, said = do(*arguments)
        assert (code, do.called) == (4, [])
        assert "error: double() changed since run.db was written (jobs.py line 3)\n" in said
        assert "  20 results are from the old version\n  keep them: --accept-old   start afresh: --fresh   " in said
        assert len(do.lines("out.jsonl")) == 20
    code, _, _ = do("resume", "run.db", "--accept-old")
    assert (code, do.called) == (1, ["13"])
    assert do.lines("out.jsonl")[0]["value"] == 2
    code, _, _ = do(*MAP, "-o", "out.jsonl", "--fresh")
    assert (code, len(do.called)) == (1, 20)
    assert do.lines("out.jsonl")[0]["value"] == 3
    assert (do.folder / "run.db.old-1").exists()


def no_directory(folder: Path) -> str:
    return str(folder / "missing" / "run.db")


def a_directory(folder: Path) -> str:
    (folder / "run.db").mkdir()
    return "run.db"


def text(folder: Path) -> str:
    (folder / "run.db").write_text("to be kept\n")
    return "run.db"


def another_database(folder: Path) -> str:
    with closing(sqlite3.connect(folder / "run.db")) as database:
        database.execute("CREATE TABLE precious(x)")
    return "run.db"


def newer(folder: Path) -> str:
    whilst.map(str.upper, ["a"], journal=folder / "run.db").list()
    with closing(sqlite3.connect(folder / "run.db")) as database:
        database.execute("PRAGMA user_version = 99")
    return "run.db"


def without_its_head(folder: Path) -> str:
    whilst.map(str.upper, ["a"], journal=folder / "run.db").list()
    data = (folder / "run.db").read_bytes()
    (folder / "run.db").write_bytes(bytes(100) + data[100:])
    return "run.db"


def without_its_middle(folder: Path) -> str:
    whilst.map(str.upper, [str(number) for number in range(5000)], journal=folder / "run.db").list()
    data = bytearray((folder / "run.db").read_bytes())
    data[4096:8192] = bytes(4096)
    (folder / "run.db").write_bytes(bytes(data))
    return "run.db"


@pytest.mark.parametrize(
    ("make", "fact", "mend"),
    [
        (no_directory, "its directory does not exist", "mkdir -p"),
        (a_directory, "it is a directory", "a file in it"),
        (text, "is not a journal, and is not changed", "another path"),
        (another_database, "is not a journal, and is not changed", "another path"),
        (newer, "was written by a newer whilst", "pip install --upgrade whilst"),
        (without_its_head, "is damaged", "run.db --rescue rescued.db, then go on with rescued.db"),
        (without_its_middle, "is damaged", "run.db --rescue rescued.db, then go on with rescued.db"),
    ],
)
def test_a_file_that_is_no_usable_journal_is_named_and_left_alone(
    do: Whilst, make: Callable[[Path], str], fact: str, mend: str
) -> None:
    name = make(do.folder)
    path = do.folder / name
    before = path.read_bytes() if path.is_file() else None
    code, _, said = do("map", "jobs:double", "inputs.txt", "--journal", name, "-o", "out.jsonl")
    assert (code, do.called) == (4, [])
    assert said.startswith("error: ")
    assert fact in said
    assert mend in said
    assert not (do.folder / "out.jsonl").exists()
    assert do.files() <= {"run.db", "run.db.tail", "run.db.status.json"}
    do("status", name)  # what was said last may be all there is
    for command in ("resume", "export"):
        code, _, said = do(command, name)
        assert code == 4, (command, said)
        assert said.startswith("error: "), (command, said)
    if before is not None:
        assert path.read_bytes() == before


def test_an_empty_file_becomes_a_journal(do: Whilst) -> None:
    (do.folder / "run.db").touch()
    code, _, _ = do(*MAP)
    assert (code, len(do.called)) == (1, 20)
    do(*MAP)
    assert do.called == ["13"]


def test_what_is_whole_in_a_damaged_journal_is_rescued_and_gone_on_with(do: Whilst) -> None:
    do(*MAP)
    assert len(do.called) == 20
    data = (do.folder / "run.db").read_bytes()
    (do.folder / "run.db").write_bytes(bytes(100) + data[100:])
    code, _, said = do("export", "run.db", "--rescue", "rescued.db")
    assert (code, "rescued: 20 outcomes are in rescued.db" in said) == (0, True)
    do("map", "jobs:double", "inputs.txt", "--journal", "rescued.db")
    assert do.called == ["13"]


@pytest.mark.parametrize("more", [["--failed"], ["-o", "out.jsonl", "--overwrite"], ["-o", "-"], ["--times"]])
def test_a_rescue_takes_no_options_of_an_output(do: Whilst, more: list[str]) -> None:
    do(*MAP)
    code, _, said = do("export", "run.db", "--rescue", "rescued.db", *more)
    assert code == 2
    assert said.startswith(f"error: --rescue copies a whole journal, and {more[0]} chooses what is written\n")
    assert "try: leave out " in said
    assert not (do.folder / "rescued.db").exists()


def test_a_value_that_cannot_be_stored_is_said_at_the_first_one(do: Whilst) -> None:
    (do.folder / "inputs.txt").write_text("x\n" * 1000)
    code, _, said = do("map", "jobs:thing", "inputs.txt", "-j", "2", "--journal", "run.db", "--values")
    assert code == 4
    assert "error: a value cannot be stored: <jobs.Thing object" in said
    assert "try: return a type that JSON has, or leave out --journal" in said


@pytest.mark.parametrize(
    "flags", [["--accept-old"], ["--fresh"], ["--keep-failed"], ["--journal-key", "id"], ["--commit", "strict"]]
)
def test_flags_of_a_journal_without_one_are_refused(do: Whilst, flags: list[str]) -> None:
    code, _, said = do("map", "jobs:double", "inputs.txt", *flags)
    assert (code, do.called) == (2, [])
    assert f"error: {flags[0]} needs a journal" in said


# -- looking -----------------------------------------------------------------------------------------------------------


def test_status_says_what_there_is_as_text_and_as_json(do: Whilst) -> None:
    do(*MAP, "-o", "out.jsonl")
    code, printed, _ = do("status", "run.db")
    assert code == 0
    assert printed.splitlines()[0] == "double: 19 done of 20, 1 failed"
    assert '  1 ValueError  e.g. unlucky for "13"' in printed
    command, left = "whilst map jobs:double inputs.txt --journal run.db -o out.jsonl", "try the failed ones again"
    assert f"  {command}\n  {left}: whilst resume run.db" in printed
    found = json.loads(do("status", "run.db", "--json")[1])
    assert (found["done"], found["failed"], found["running"]) == (19, 1, False)
    assert found["kinds"]["ValueError"] == {"count": 1, "example": {"input": '"13"', "message": "unlucky"}}


def test_status_of_a_killed_run_counts_what_is_there(do: Whilst, eventually: Callable[..., bool]) -> None:
    pid = do.programs.start(do.folder, "command", *GATE, "--commit", "strict")
    assert eventually(lambda: len(do.read("called").split()) == 8, within=30)  # so four outcomes are durable
    os.kill(pid, signal.SIGKILL)
    assert do.programs.wait() == -signal.SIGKILL
    assert do("status", "run.db")[1].startswith("gate: 4 done, 0 failed\n  not running: it was killed; last written ")


def test_what_is_exported_as_failed_is_an_input(do: Whilst) -> None:
    do(*MAP)
    assert len(do.called) == 20
    code, _, said = do("export", "run.db", "--failed", "-o", "failed.jsonl")
    assert (code, said) == (0, "exported: 1 outcome\n")
    assert do.lines("failed.jsonl") == [FAILED]
    (do.folder / "mended").touch()
    code, printed, _ = do("map", "jobs:double", "failed.jsonl")
    assert (code, json.loads(printed)) == (0, {"input": "13", "value": 26})


@pytest.mark.parametrize("other", ["--done", "--values"])
def test_what_leaves_nothing_to_export_is_refused(do: Whilst, other: str) -> None:
    do(*MAP)
    code, printed, said = do("export", "run.db", "--failed", other)
    assert (code, printed) == (2, "")
    assert said == f"error: --failed and {other} leave nothing\n  try: one of the two\n"


def test_outcomes_are_exported_in_every_format(do: Whilst) -> None:
    pq = pytest.importorskip("pyarrow.parquet")
    pytest.importorskip("sqlalchemy")
    do(*MAP)
    values = sorted(line["value"] for line in DOUBLED if line["input"] != "13")
    assert do("export", "run.db", "--values", "-o", "out.jsonl")[0] == 0
    assert sorted(do.lines("out.jsonl")) == values
    assert do("export", "run.db", "-o", "out.csv")[0] == 0
    with open(do.folder / "out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert sorted(int(row["value"]) for row in rows if row["value"]) == values
    assert [row["error"] for row in rows if row["error"]] == ["ValueError: unlucky"]
    assert do("export", "run.db", "--done", "-o", "out.parquet")[0] == 0
    assert sorted(pq.read_table(do.folder / "out.parquet").column("value").to_pylist()) == values
    assert do("export", "run.db", "-o", "sqlite:///out.sqlite?table=t")[0] == 0
    with closing(sqlite3.connect(do.folder / "out.sqlite")) as database:
        found = database.execute("SELECT value, error FROM t").fetchall()
    assert sorted(value for value, error in found if error is None) == values
    code, _, said = do("export", "run.db", "-o", "out.csv")
    assert code == 2
    assert "out.csv exists" in said


# -- secrets -----------------------------------------------------------------------------------------------------------


def test_fifty_canaries_are_in_no_message_status_or_failure(do: Whilst) -> None:
    """URLs with credentials as inputs, in exceptions and in the command: only the inputs themselves keep them."""
    canaries = [f"canary{number:02}" for number in range(50)]
    urls = [
        f"https://{canary}:pw{canary}@host/p" if number % 2 else f"https://host/p?key={canary}&x={canary}"
        for number, canary in enumerate(canaries)
    ]
    (do.folder / "urls.txt").write_text("".join(f"{url}\n" for url in urls))
    options = {"environment": {"TOKEN": "canary-token"}}
    command = ("map", "jobs:leaky", "urls.txt", "--journal", "run.db", "-o", "out.jsonl", "--failed", "failed.jsonl")
    said = do(*command, "--stop-after", "100%", **options)[2]
    said += "".join(do("status", "run.db", **options)[1:]) + "".join(do("status", "run.db", "--json", **options)[1:])
    said += do("resume", "run.db", **options)[2]
    said += do.read("run.db.status.json")
    said += "".join(line["error"] for line in do.lines("failed.jsonl"))
    do("export", "run.db", "--failed", "-o", "exported.jsonl", **options)
    said += "".join(line["error"] for line in do.lines("exported.jsonl"))
    assert "no route to https://host/p?…" in said
    assert "no route to https://…@host/p" in said
    assert "canary" not in said
    assert [line["input"] for line in do.lines("failed.jsonl")] == urls


def test_a_password_of_the_command_is_not_kept_and_resume_says_what_to_do(do: Whilst) -> None:
    pytest.importorskip("sqlalchemy")
    with closing(sqlite3.connect(do.folder / "in.sqlite")) as database, database:
        database.execute("CREATE TABLE t(id INTEGER PRIMARY KEY)")
    url = "postgresql://me:canary@127.0.0.1:1/none?table=t"
    do("map", "jobs:double", "inputs.txt", "--journal", "run.db", "--dry-run", "1")
    code, _, said = do(*MAP, "-o", "out.jsonl")
    assert code == 1
    with closing(sqlite3.connect(do.folder / "run.db")) as database:
        assert b"canary" not in b"".join(frame for (frame,) in database.execute("SELECT frame FROM log"))
    journal = whilst.Journal(do.folder / "other.db")
    journal._command = (["map", "jobs:double", url.replace(":canary@", ":…@"), "--journal", "other.db"], str(do.folder))
    whilst.map(str.upper, ["a"], journal=journal).list()
    code, _, said = do("resume", "other.db")
    assert code == 2
    assert "a URL of the command had a password, and a journal does not store passwords" in said
    assert "PGPASSWORD" in said
