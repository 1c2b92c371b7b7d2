"""What a command takes as INPUT: arguments, texts that NUL ends, other encodings, kinds seen in the content."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from commandkit import run

JOBS = """\
def up(text):
    return text.upper()
def same(row):
    return row
"""


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


def call(*arguments: str, stdin: bytes = b"", command: str = "map") -> tuple[int, list[Any], str]:
    code, out, err = (
        run(command, *arguments, "--values", stdin=stdin) if ":::" not in arguments else run(command, *arguments)
    )
    lines = [json.loads(line) for line in out.splitlines()]
    return code, [it["value"] if type(it) is dict and "value" in it else it for it in lines], err.decode()


@pytest.mark.parametrize("command", ["map", "run"])
def test_arguments_are_inputs_whatever_they_look_like(command: str) -> None:
    given = ("a", "-b", "--help", "two words", "", ":::", "ż")
    code, values, err = call("jobs:up", "-q", ":::", *given, command=command)
    assert (code, values) == (0, [it.upper() for it in given]), err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("jobs:up", ":::"), "error: there is nothing after :::\n  try: ::: a b c\n"),
        (
            ("jobs:up", "in.txt", ":::", "a"),
            "error: INPUT is in.txt, and ::: gives other inputs\n  try: one of the two\n",
        ),
        (("jobs:up", "*.txt"), "error: there is no file *.txt, and it is not a list of files\n  try: 'files:*.txt'\n"),
        (("jobs:up", "files:*.txt"), "error: files:*.txt names no file\n"),
        (("jobs:up", "-0", "--format", "csv"), "error: -0 is for text, but --format is csv\n"),
        (("jobs:up", "--encoding", "latin-11"), "error: 'latin-11' is not an encoding of text\n"),
        (("jobs:up", "--delimiter", ";"), "error: standard input is text, which has no delimiter\n"),
        (("jobs:up", "rows"), "error: rows is Parquet\n  try: --format parquet\n"),
        (
            ("jobs:up", "::::", "in.txt"),
            "error: whilst map has no ::::: a file of inputs is given as it is\n  try: whilst map jobs:up in.txt\n",
        ),
    ],
)
def test_what_cannot_be_meant_says_what_would_work(here: Path, arguments: tuple[str, ...], said: str) -> None:
    (here / "rows").write_bytes(b"PAR1\x15\x04\x00")
    code, values, err = call(*arguments)
    assert (code, values) == (2, [])
    assert err.startswith(said), err


def test_texts_that_nul_ends(here: Path) -> None:
    assert call("jobs:up", "-0", "-q", stdin=b"a\0b\nc\0")[1] == ["A", "B\nC"]


def test_a_note_says_how_a_file_was_read(here: Path) -> None:
    (here / "rows.csv").write_text("id;name\n1;ż\n", encoding="utf-16")
    code, values, err = call("jobs:same", "rows.csv")
    assert (code, values) == (0, [{"id": "1", "name": "ż"}])
    assert err.startswith(
        "note: rows.csv is UTF-16, as its first bytes say\n"
        "note: rows.csv has ';' between its fields; --delimiter , would read it with commas\n"
    )
    assert call("jobs:same", "rows.csv", "-q")[2] == ""


def test_json_on_standard_input_gets_the_hint(here: Path) -> None:
    code, values, err = call("jobs:same", stdin=b'{"a":1}\n')
    assert (code, values) == (0, ['{"a":1}'])
    assert "note: the first line of standard input is JSON, and is read as text; --format jsonl" in err


def test_a_file_that_nothing_names_is_lines(here: Path) -> None:
    (here / "hosts").write_text("a\nb\n")
    assert call("jobs:up", "hosts", "-q")[1] == ["A", "B"]
    (here / "rows.json").write_text('[{"a": 1},\n {"a": 2}]\n')
    assert call("jobs:same", "rows.json", "-q")[1] == [{"a": 1}, {"a": 2}]


@pytest.mark.parametrize(
    ("name", "other"),
    [("run.db", "run.db"), ("./run.db.lock", "run.db"), ("sqlite:///run.db?table=t", "run.db"), ("l.jsonl", "run.db")],
)
def test_an_output_never_destroys_the_journal(here: Path, name: str, other: str) -> None:
    (here / "in.txt").write_text("a\n")
    assert run("map", "jobs:up", "in.txt", "--journal", other, "-q")[0] == 0
    (here / "l.jsonl").symlink_to("run.db")
    before = (here / "run.db").read_bytes()
    code, _, err = run("map", "jobs:up", "in.txt", "-o", name, "--journal", other, "--overwrite")
    if name == "run.db":
        assert b"no ending" in err
    else:
        assert b"are the same file" in err or b"no ending" in err, err
    assert code == 2
    assert (here / "run.db").read_bytes() == before


@pytest.mark.parametrize("option", ["-o", "--rate=5/s", "--executor"])
def test_an_option_behind_the_colons_is_an_input_and_that_is_said(here: Path, option: str) -> None:
    code, out, err = run("map", "jobs:up", "--values", ":::", "a", option, "x.jsonl")
    assert (code, out.decode().splitlines()[-1]) == (0, '"X.JSONL"')
    assert err.startswith(f"note: {option} stands after ::: and is an input; as an option it stands before\n".encode())
    assert b"note" not in run("map", "jobs:up", "-j", "2", ":::", "-a", "-1", "--zzz")[2]


@pytest.mark.parametrize("other", ["-o", "--failed", "--journal", "--summary"])
def test_no_file_of_a_command_is_its_trace_too(here: Path, other: str) -> None:
    code, out, err = run("map", "jobs:up", other, "x.jsonl", "--trace", "x.jsonl", stdin=b"a\n")
    assert (code, out) == (2, b"")
    assert err.startswith(f"error: {other} and --trace are the same file: x.jsonl\n".encode())
    assert sorted(it.name for it in here.iterdir() if it.name != "x.jsonl") == ["jobs.py"]


def test_the_input_is_no_trace(here: Path) -> None:
    (here / "in.txt").write_text("")  # which a trace may replace
    assert run("map", "jobs:up", "in.txt", "--trace", "in.txt")[::2] == (
        2,
        b"error: --trace in.txt is INPUT\n  a run that ends early would delete the rows that it did not reach\n"
        b"  try: --trace in-out.txt\n",
    )


def test_a_refused_summary_is_not_written_in_the_place_of_the_other_file(here: Path) -> None:
    assert run("map", "jobs:up", "-o", "x.jsonl", "--summary", "./x.jsonl", stdin=b"a\n")[0] == 2
    assert sorted(it.name for it in here.iterdir()) == ["jobs.py"]


def test_an_output_named_as_its_journal_is_refused(here: Path) -> None:
    code, _, err = run("map", "jobs:up", "-o", "x.jsonl", "--journal", "x.jsonl", "--overwrite", stdin=b"a\n")
    assert code == 2
    assert err.startswith(b"error: -o and --journal are the same file: x.jsonl\n")
    assert sorted(it.name for it in here.iterdir()) == ["jobs.py"]
