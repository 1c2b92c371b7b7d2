"""What operators add to a command: times, fields, batches, appending, kinds of retries, a summary, words of help."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from commandkit import run

import whilst

JOBS = """
import whilst

def same(x):
    return x

def name(row):
    return row["name"]

def some_fields(row):
    return {"id": row["id"]}

def lengths(rows):
    with open("sizes", "a") as file:
        file.write(f"{len(rows)} ")
    return [len(row) for row in rows]

async def doubled(rows):
    return [row * 2 for row in rows]

def one_less(rows):
    return rows[1:]

def no_list(rows):
    return "three"

def half_bad(rows):
    return [object() if row == "b" else row for row in rows]

def never(rows):
    raise KeyError("never")

flow = whilst.sequence(lengths, sorted)

def as_set(rows):
    return {*rows}

def as_keys(rows):
    return {row: 1 for row in rows}.keys()

def as_text(rows):
    return "".join(rows)

flow_of_set = whilst.sequence(lengths, set)

def fails(x):
    raise ValueError(x)

def missing(x):
    raise KeyError(x)

def ends(x):
    raise KeyboardInterrupt

def undecodable(x):
    import json
    json.loads("{")

class Refused(Exception):
    status_code = 404

def refused(x):
    raise Refused("not here")
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "in.txt").write_text("a\nb\ncc\n")
    (tmp_path / "rows.csv").write_text("id,name,more\n1,mew,x\n2,onix,y\n")
    (tmp_path / "rows.jsonl").write_text('{"id":1,"name":"mew","more":[1]}\n{"id":2}\n')
    return tmp_path


def call(*arguments: str, stdin: bytes = b"") -> tuple[int, list[Any], str]:
    code, out, err = run("map", *arguments, stdin=stdin)
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


# -- beside the value -------------------------------------------------------------------------------------------------


def test_times_are_added_to_outcomes(here: Path) -> None:
    code, lines, _ = call("jobs:same", "in.txt", "--times")
    assert (code, [line["value"] for line in lines]) == (0, ["a", "b", "cc"])
    for line in lines:
        assert list(line) == ["input", "started", "took", "value"]
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", line["started"])
        age = datetime.now(UTC) - datetime.fromisoformat(line["started"])
        assert timedelta(0) < age < timedelta(minutes=2)
        assert 0 <= line["took"] < 60


def test_a_line_of_a_failure_with_times_is_a_valid_input(here: Path) -> None:
    code, lines, _ = call("jobs:missing", "in.txt", "--times", "--failed", "failed.jsonl")
    assert (code, lines) == (1, [])
    assert "started" in json.loads((here / "failed.jsonl").read_text().splitlines()[0])
    code, lines, _ = call("jobs:same", "failed.jsonl")
    assert (code, [line["value"] for line in lines]) == (0, ["a", "b", "cc"])


@pytest.mark.parametrize("source", ["in.txt", "rows.csv", "rows.jsonl"])
def test_times_are_columns_of_a_table(source: str, here: Path) -> None:
    assert call("jobs:same", source, "--times", "-o", "out.csv")[0] == 0
    head, first, *_ = (here / "out.csv").read_text().splitlines()
    inputs = "id,name,more" if source == "rows.csv" else "input"
    assert head == f"{inputs},started,took,value,error,attempts"
    assert f",{datetime.now(UTC).year}-" in first


def test_times_are_columns_of_a_parquet_file(here: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    assert call("jobs:name", "rows.csv", "--times", "--fields", "id", "-o", "out.parquet")[0] == 0
    rows = parquet.read_table(here / "out.parquet").to_pylist()
    assert [(row["id"], row["value"], type(row["took"])) for row in rows] == [("1", "mew", float), ("2", "onix", float)]


@pytest.mark.parametrize("name", ["out.csv", "out.tsv", "out.parquet"])
def test_columns_of_the_input_that_are_called_as_ours_keep_their_cells(name: str, here: Path) -> None:
    columns = ["started", "took", "took_", "value", "error", "attempts"]
    (here / "own.csv").write_text(",".join(columns) + "\n" + ",".join(columns) + "\n")
    if name.endswith(".parquet"):
        pytest.importorskip("pyarrow")
    assert call("jobs:same", "own.csv", "--times", "-o", name)[0] == 0
    (row,) = whilst.rows(str(here / name))
    assert [row[it] for it in columns] == columns
    assert [it for it in row if it not in columns] == ["started_", "took__", "value_", "error_", "attempts_"]
    assert row["started_"].startswith(f"{datetime.now(UTC).year}-")


def test_what_came_from_the_journal_was_started_elsewhere(here: Path) -> None:
    assert call("jobs:same", "in.txt", "--times", "--journal", "run.db")[0] == 0
    _, lines, _ = call("jobs:same", "in.txt", "--times", "--journal", "run.db")
    assert [line["started"] for line in lines] == [None] * 3


def test_fields_of_the_input_are_chosen(here: Path) -> None:
    _, lines, _ = call("jobs:name", "rows.jsonl", "--fields", "name, id")
    assert lines[0] == {"input": {"name": "mew", "id": 1}, "value": "mew"}
    assert lines[1] == {"input": {"id": 2}, "error": "KeyError: 'name'", "attempts": 1}  # whole, to be tried again
    assert call("jobs:name", "rows.csv", "--fields", "id", "-o", "out.csv")[0] == 0
    assert (here / "out.csv").read_text() == "id,value,error,attempts\n1,mew,,\n2,onix,,\n"


def test_a_row_that_has_no_fields_has_none_of_those_that_were_chosen(here: Path) -> None:
    (here / "mixed.jsonl").write_text('{"id":1}\n[1]\n"a"\n{"x":1}\n')
    code, lines, err = call("jobs:same", "mixed.jsonl", "--fields", "id")
    assert (code, [line["input"] for line in lines]) == (0, [{"id": 1}, {"id": None}, {"id": None}, {"id": None}]), err


def test_a_field_whose_name_has_a_comma_is_quoted_as_in_csv(here: Path) -> None:
    (here / "comma.csv").write_text('"a,b",c\n1,2\n')
    assert call("jobs:same", "comma.csv", "--fields", '"a,b", c')[1][0]["input"] == {"a,b": "1", "c": "2"}


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (
            ("--fields", "nam"),
            "error: row 2 of rows.csv has no field nam, which --fields names\n  it has id, name, more\n",
        ),
        (("--fields", ","), "error: --fields names no field\n  try: --fields id,name\n"),
        (("--times", "--values"), "error: --times is for what is written beside a value"),
        (("--times", "-o", "sqlite:///f.db?table=t"), "error: --times cannot be used with a table of a database"),
    ],
)
def test_what_cannot_stand_beside_a_value_is_refused(flags: tuple[str, ...], said: str, here: Path) -> None:
    code, _, err = call("jobs:name", "rows.csv", *flags)
    assert code == 2
    assert err.startswith(said)


# -- inputs that are arguments -----------------------------------------------------------------------------------------


def test_inputs_that_are_arguments_are_known_to_a_journal(here: Path) -> None:
    flags = ("jobs:lengths", "--batch", "2", "--journal", "run.db", ":::", "--fresh", "bb", "-o")
    assert call(*flags)[0] == 0
    code, out, err = run("resume", "run.db")
    assert (code, [json.loads(line)["input"] for line in out.splitlines()]) == (0, ["--fresh", "bb", "-o"])
    assert b"3 of them from the journal" in err


# -- batches ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["lengths", "flow"])
def test_a_batch_is_a_list_and_its_answers_are_split(target: str, here: Path) -> None:
    code, lines, err = call(f"jobs:{target}", "in.txt", "--batch", "2")
    assert (code, lines) == (0, [{"input": it, "value": len(it)} for it in ("a", "b", "cc")])
    assert sorted((here / "sizes").read_text().split()) == ["1", "2"]
    assert err.startswith("done: 3 ok in ")


@pytest.mark.parametrize("target", ["as_set", "as_keys", "as_text", "flow_of_set"])
def test_answers_without_an_order_are_never_split(target: str, here: Path) -> None:
    code, lines, _ = call(f"jobs:{target}", "in.txt", "--batch", "3")
    assert (code, len(lines)) == (1, 3)
    assert all(f"TypeError: {target}() gets a list of 3 and must return one, got " in it["error"] for it in lines)


def test_a_batch_for_an_async_function(here: Path) -> None:
    assert [line["value"] for line in call("jobs:doubled", "in.txt", "--batch", "9")[1]] == ["aa", "bb", "cccc"]


@pytest.mark.parametrize(
    ("target", "errors"),
    [
        (
            "one_less",
            ["ValueError: one_less() returned 1 values for 2 rows"] * 2 + ["ValueError: one_less() returned 0"],
        ),
        ("no_list", ["TypeError: no_list() gets a list of 2 and must return one, got 'three'"] * 2),
        ("never", ["KeyError: 'never'"] * 3),
    ],
)
def test_a_batch_that_fails_fails_for_each_of_its_rows(target: str, errors: list[str], here: Path) -> None:
    code, lines, err = call(f"jobs:{target}", "in.txt", "--batch", "2")
    assert (code, [line["input"] for line in lines]) == (1, ["a", "b", "cc"])
    for line, error in zip(lines, errors, strict=False):
        assert line["error"].startswith(error)
    assert f"done: 0 ok, 3 failed (3 {errors[0].partition(':')[0]})" in err


def test_a_value_of_a_batch_that_cannot_be_written_fails_alone(here: Path) -> None:
    code, lines, _ = call("jobs:half_bad", "in.txt", "--batch", "3")
    assert (code, [line.get("value") for line in lines]) == (1, ["a", None, "cc"])
    assert "object" in lines[1]["error"]


def test_a_rejected_row_is_not_part_of_its_batch(here: Path) -> None:
    (here / "bad.jsonl").write_text('"a"\n{{\n"bb"\n')
    code, lines, err = call("jobs:lengths", "bad.jsonl", "--batch", "3")
    assert (code, [line.get("value") for line in lines]) == (1, [1, None, 2])
    assert "done: 2 ok, 1 row rejected" in err
    assert (here / "sizes").read_text() == "2 "


def test_batches_are_known_again_by_their_rows(here: Path) -> None:
    flags = ("jobs:lengths", "in.txt", "--batch", "2", "--journal", "run.db")
    first = call(*flags)
    (here / "sizes").unlink()
    second = call(*flags)
    assert first[1] == second[1]
    assert not (here / "sizes").exists()
    assert "3 of them from the journal" in second[2]


def test_a_dry_run_shows_batches(here: Path) -> None:
    code, out, _ = run("map", "jobs:lengths", "in.txt", "--batch", "2", "--dry-run", "3")
    assert (code, out) == (0, b"lengths(['a', 'b'])  # lines 1 to 2\nlengths(['cc'])  # lines 3 to 3\n")


# -- appending --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_outcomes_are_put_behind_those_that_are_there(ending: str, here: Path) -> None:
    for _ in range(3):
        assert call("jobs:name", "rows.csv", "-o", f"out.{ending}", "--append")[0] == 0
    lines = (here / f"out.{ending}").read_text().splitlines()
    heads = 0 if ending == "jsonl" else 1
    assert lines[heads:] == lines[heads : heads + 2] * 3
    assert [line for line in lines if line.startswith("id")] == lines[:heads]
    assert [path.name for path in here.iterdir() if ".part" in path.name] == []


@pytest.mark.parametrize("ending", ["jsonl", "csv", "tsv"])
def test_a_file_of_nothing_grows_as_one_that_is_not_there(ending: str, here: Path) -> None:
    """A run whose rows have all failed leaves such a file, and the next one is to go on from there."""
    flags = ("-o", f"out.{ending}", "--failed", "failed.jsonl", "--append")
    assert call("jobs:fails", "in.txt", *flags)[0] == 1
    (here / f"out.{ending}").write_text("")
    assert call("jobs:same", "in.txt", *flags)[0] == 0
    assert len([*whilst.rows(str(here / f"out.{ending}"))]) == 3
    assert len((here / "failed.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize("quoted", [False, True])
def test_values_alone_go_into_the_columns_of_the_file(quoted: bool, here: Path) -> None:
    head = '"more","id",name\r\n' if quoted else "more,id,name\n"
    (here / "out.csv").write_bytes(head.encode())
    assert call("jobs:same", "rows.csv", "--values", "-o", "out.csv", "--append")[0] == 0
    assert [*whilst.rows(str(here / "out.csv"))] == [*whilst.rows(str(here / "rows.csv"))]
    assert call("jobs:some_fields", "rows.csv", "--values", "-o", "out.csv", "--append")[0] == 0
    assert [*whilst.rows(str(here / "out.csv"))][2] == {"more": "", "id": "1", "name": ""}


def test_a_value_that_has_no_column_in_the_file_ends_the_run_at_the_first_row(here: Path) -> None:
    (here / "out.csv").write_text("id,nme\n7,old\n")
    (here / "many.csv").write_text("id,name\n" + "1,a\n" * 20_000)
    flags = ("--values", "-o", "out.csv", "--failed", "failed.jsonl", "--append")
    code, _, err = call("jobs:same", "many.csv", *flags)
    assert (code, (here / "out.csv").read_text()) == (3, "id,nme\n7,old\n")
    assert "'name' is not a column of the file, 'nme' is" in err
    assert 0 < len((here / "failed.jsonl").read_text().splitlines()) < 10_000
    (here / "some.jsonl").write_text('{"id":1}\n{"id":2,"name":"a"}\n{"id":3}\n')
    code, _, err = call("jobs:same", "some.jsonl", *flags[:3], "--append")
    assert (code, (here / "out.csv").read_text()) == (1, "id,nme\n7,old\n1,\n3,\n"), err


def test_a_last_line_without_an_end_stays_one(here: Path) -> None:
    (here / "out.jsonl").write_text('{"old":1}')
    assert call("jobs:same", "in.txt", "-o", "out.jsonl", "--append", "--values")[0] == 0
    assert (here / "out.jsonl").read_text() == '{"old":1}\n"a"\n"b"\n"cc"\n'


def test_rows_of_other_columns_are_not_put_into_a_table_and_nothing_is_called(here: Path) -> None:
    (here / "out.csv").write_text("id,value\n7,old\n")
    code, _, err = call("jobs:lengths", "rows.csv", "-o", "out.csv", "--append")
    assert (code, (here / "out.csv").read_text()) == (2, "id,value\n7,old\n")
    assert "its columns are id,value, and those of the new rows id,name,more,value,error,attempts" in err
    assert not (here / "sizes").exists()
    assert sorted(path.name for path in here.iterdir() if path.name.startswith("out")) == ["out.csv"]


@pytest.mark.parametrize(
    "flags",
    [
        ("-o", "out.jsonl", "--overwrite"),
        ("-o", "out.jsonl", "--journal", "run.db"),
        ("-o", "out.parquet"),
        ("-o", "sqlite:///f.db?table=t"),
        ("-o", "out.csv.gz"),
    ],
)
def test_what_cannot_grow_is_refused(flags: tuple[str, ...], here: Path) -> None:
    code, _, err = call("jobs:same", "in.txt", "--append", *flags)
    assert code == 2
    assert "\n  try: " in err


# -- retries of some kinds --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "kinds", "attempts"),
    [
        ("missing", ["KeyError"], 2),
        ("missing", ["LookupError"], 2),
        ("missing", ["builtins.KeyError"], 2),
        ("undecodable", ["json.JSONDecodeError"], 2),  # its module is json.decoder
        ("undecodable", ["json.decoder.JSONDecodeError"], 2),
        ("undecodable", ["js.JSONDecodeError"], 1),
        ("missing", ["all"], 2),
        ("missing", ["transient"], 1),
        ("missing", ["ValueError", "404"], 1),
        ("refused", ["404"], 2),
        ("refused", ["Refused", "transient"], 2),
        ("refused", ["transient"], 1),
    ],
)
def test_what_is_tried_again_is_said_by_its_kind(target: str, kinds: list[str], attempts: int, here: Path) -> None:
    flags = [flag for kind in kinds for flag in ("--retry-on", kind)]
    _, lines, _ = call(f"jobs:{target}", "in.txt", "--take", "1", "--retry", "2", *flags)
    assert lines[0]["attempts"] == attempts


def test_a_kind_that_is_none_is_refused(here: Path) -> None:
    assert call("jobs:same", "in.txt", "--retry-on", "all")[0] == 2
    assert "is not a kind of failure" in call("jobs:same", "in.txt", "--retry", "2", "--retry-on", "200")[2]


@pytest.mark.parametrize(
    ("given", "meant"), [("ALL", "all"), ("Transient", "transient"), ("keyerror", "KeyError"), ("IOError", "OSError")]
)
def test_a_kind_that_is_written_otherwise_is_named(given: str, meant: str, here: Path) -> None:
    code, lines, said = call("jobs:missing", "in.txt", "--retry", "2", "--retry-on", given)
    assert (code, lines) == (2, [])
    assert f"try: --retry-on {meant}\n" in said


def test_a_kind_that_no_failure_has_is_said_at_the_end(here: Path) -> None:
    code, _, said = call("jobs:missing", "in.txt", "--retry", "2", "--retry-on", "KeyErorr")
    assert code == 1
    assert "nothing was tried again: no failure was of --retry-on KeyErorr" in said
    for also in (["--retry-on", "KeyError"], ["--retry-on", "transient"]):
        assert "nothing was" not in call("jobs:missing", "in.txt", "--retry", "2", "--retry-on", "KeyErorr", *also)[2]


@pytest.mark.once  # it is about words, and waits for a budget of the real clock
def test_retries_wait_for_their_budget_as_it_is_given_and_the_way_out_is_a_flag(here: Path) -> None:
    Path("many.txt").write_text("".join(f"{n}\n" for n in range(40)))
    flags = ("many.txt", "--retry", "2", "--retry-on", "KeyError", "--advice", "on")
    _, lines, said = call("jobs:missing", *flags)
    assert [it["attempts"] for it in lines] == [2] * 40
    assert "--retry-budget 0.5 lets more of them through" in said
    assert "Retry(" not in said
    [way_out] = set(re.findall(r"--retry-budget \S+", said))
    assert call("jobs:missing", *flags, *way_out.split())[0] == 1  # it is an option that there is
    assert "retry budget" not in call("jobs:missing", *flags, "--retry-budget", "none")[2]
    assert "--retry-budget none lets" in call("jobs:missing", *flags, "--retry-budget", "50%")[2]


@pytest.mark.parametrize("given", ["50", "-1", "half", "nan", "inf", "%"])
def test_a_budget_that_is_no_share_is_refused(given: str, here: Path) -> None:
    code, _, said = call("jobs:missing", "in.txt", "--retry", "2", f"--retry-budget={given}")
    assert code == 2
    assert "try: --retry-budget 50%" in said


def test_a_budget_needs_retries(here: Path) -> None:
    assert "try: --retry 3 --retry-budget 50%" in call("jobs:same", "in.txt", "--retry-budget", "1")[2]


# -- the summary ------------------------------------------------------------------------------------------------------


def summary(here: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((here / "summary.json").read_text())
    return found


@pytest.mark.parametrize(
    ("flags", "code", "ended"),
    [
        (("jobs:same",), 0, "done"),
        (("jobs:missing",), 1, "done"),
        (("jobs:missing", "--stop-after", "1", "-j", "1"), 3, "stopped"),
        (("jobs:ends",), 1, "error"),
        (("jobs:nothing",), 2, "error"),
        (("jobs:same", "-o", "/dev/full"), 4, "error"),
    ],
)
def test_however_it_ends_there_is_a_summary(flags: tuple[str, ...], code: int, ended: str, here: Path) -> None:
    for _ in range(2):  # one that is there is replaced
        assert call(flags[0], "in.txt", *flags[1:], "--summary", "summary.json")[0] == code
    found = summary(here)
    assert (found["exit_code"], found["ended"]) == (code, ended)
    assert found["message"]
    if ended == "done":
        assert (found["ok"], found["failed"]) == ((3, 0) if code == 0 else (0, 3))
        assert found["failures"] == ({} if code == 0 else {"KeyError": 3})


def test_a_summary_replaces_nothing_else(here: Path) -> None:
    for name in ("in.txt", "rows.csv", "jobs.py"):
        before = (here / name).read_text()
        assert call("jobs:same", "in.txt", "--summary", name)[0] == 2
        assert (here / name).read_text() == before
    assert call("jobs:same", "in.txt", "-o", "x.jsonl", "--summary", "./x.jsonl")[0] == 2
    assert call("jobs:same", "in.txt", "--summary", "no/such/folder.json")[0] == 2


def test_a_summary_that_cannot_be_written_is_refused_before_anything_is_called(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from whilst.cli.main import run as run_here

    may = os.access  # nobody may write here: a read-only mount, which no test may make
    monkeypatch.setattr(os, "access", lambda path, mode, **given: mode != os.W_OK and may(path, mode, **given))
    assert run_here(["map", "jobs.py:lengths", "in.txt", "--batch", "3", "--summary", "end.json"]) == 2
    assert f"error: --summary end.json cannot be written: nothing can be made in {here}\n" in capsys.readouterr().err
    assert not (here / "sizes").exists()


def test_a_summary_goes_to_a_stream(here: Path) -> None:
    _, _, err = call("jobs:same", "in.txt", "-q", "--summary", "/dev/stderr")
    assert json.loads(err)["exit_code"] == 0


# -- words ------------------------------------------------------------------------------------------------------------


def test_help_and_version_can_be_asked_for_as_people_do() -> None:
    assert run("help")[:2] == run("--help")[:2]
    assert run("help", "map")[1].startswith(b"Usage: whilst map [OPTIONS] TARGET")
    assert run("version")[1] == run("--version")[1] == run("-V")[1]
    code, _, err = run("help", "mpa")
    assert (code, err) == (2, b"error: whilst has no command mpa\n  try: whilst map\n")
    for code_of_an_end in ("0", "1", "2", "3", "4", "129", "130", "141", "143"):
        assert re.search(rf"(?m)^ +{code_of_an_end} ", run("help")[1].decode())


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_gets_its_completion(shell: str) -> None:
    code, out, _ = run("completion", shell)
    assert code == 0
    assert b"_WHILST_COMPLETE" in out


def test_bash_completes_commands_options_and_files(here: Path) -> None:
    script = """
whilst() { "$PYTHON" -m whilst "$@"; }
eval "$(whilst completion bash)"
try() { COMPREPLY=(); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _whilst_completion "$PYTHON"; echo "${COMPREPLY[@]}"; }
try whilst re
try whilst map --retry-
"""
    environment = {**os.environ, "PYTHON": f"{here}/whilst"}
    (here / "whilst").write_text(f'#!/bin/sh\nexec {sys.executable} -m whilst "$@"\n')
    (here / "whilst").chmod(0o755)
    script = script.replace('"$PYTHON" -m whilst', '"$PYTHON"')
    done = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.split() == ["resume", "report", "--retry-on", "--retry-budget"]


# -- items ------------------------------------------------------------------------------------------------------------


def test_items_are_counted_where_a_value_holds_many(here: Path) -> None:
    (here / "flows.py").write_text(
        "import whilst\n"
        "def upto(n): return range(int(n))\n"
        "items = whilst.sequence(upto, whilst.flatten(), whilst.each(str))\n"
        "batches = whilst.sequence(upto, whilst.flatten(), whilst.batched(4))\n"
        "one = whilst.sequence(int, str)\n"
    )
    for flow, said in (("items", "2 ok (14 items) in"), ("batches", "2 ok (14 items) in"), ("one", "2 ok in")):
        code, _, err = call(f"flows.py:{flow}", "--summary", "summary.json", ":::", "5", "9")
        assert (code, err.startswith(f"done: {said}")) == (0, True), err
        assert summary(here).get("items") == (None if flow == "one" else 14)
    for flow, said in (("items", "10 values written"), ("batches", "3 values (10 items) written")):
        code, _, text = run("run", f"flows.py:{flow}", "--value", "10", "--summary", "summary.json")
        assert (code, text.startswith(f"done: {said}".encode())) == (0, True), text
        assert summary(here)["exit_code"] == 0
