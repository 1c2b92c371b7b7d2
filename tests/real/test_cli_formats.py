"""`whilst map` from every kind of input to every kind of output, as a user types it."""

from __future__ import annotations

import csv
import gzip
import itertools
import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sqlalchemy")
pytest.importorskip("zstandard")

from commandkit import run

JOBS = """\
def half(row):
    n = row["n"] if isinstance(row, dict) else row
    if int(n) == 3:
        raise ValueError("three")
    return {"half": int(n) / 2}
def size(path):
    with open(path, "rb") as file:
        return len(file.read())
def same(row):
    return row
def odd(n):
    return {"a": 1, "b": "x"}[n]
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


def call(*arguments: str) -> tuple[int, list[Any], str]:
    code, out, err = run("map", *arguments)
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


def make_inputs() -> None:
    """Write the numbers 0 to 5 in every form."""
    Path("in.txt").write_text("".join(f"{n}\n" for n in range(6)))
    Path("in.jsonl").write_text("".join(f'{{"n": {n}}}\n' for n in range(6)))
    Path("in.csv").write_text("n\n" + "".join(f"{n}\n" for n in range(6)))
    import pyarrow
    import zstandard
    from pyarrow import parquet

    lines = Path("in.jsonl").read_bytes()
    Path("in.jsonl.gz").write_bytes(gzip.compress(lines))
    Path("in.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines))

    parquet.write_table(pyarrow.table({"n": list(range(6))}), "in.parquet")
    connection = sqlite3.connect("in.db")
    connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY)")
    connection.executemany("INSERT INTO t VALUES (?)", [(n,) for n in range(6)])
    connection.commit()
    connection.close()


INPUTS = ["in.txt", "in.jsonl", "in.jsonl.gz", "in.jsonl.zst", "in.csv", "in.parquet", "sqlite:///in.db?table=t"]
OUTPUTS = [f"out.{it}" for it in ("jsonl", "jsonl.gz", "jsonl.zst", "csv", "csv.gz", "parquet")]
OUTPUTS.append("sqlite:///out.db?table=t")


def halves(name: str) -> list[float | None]:
    """Read an output of `half` with what is no part of this project, where there is such a thing."""
    if name.startswith("sqlite"):
        connection = sqlite3.connect("out.db")
        found = [it for (it,) in connection.execute("SELECT half FROM t ORDER BY rowid")]
        connection.close()
        return sorted(found, key=lambda it: (it is None, it))
    if name.endswith(".parquet"):
        from pyarrow import parquet

        values = [row["value"] for row in parquet.read_table(name).to_pylist()]
        return [it and it["half"] for it in values]
    data = Path(name).read_bytes()
    if name.endswith(".gz"):
        data = gzip.decompress(data)
    if name.endswith(".zst"):
        import zstandard

        data = zstandard.ZstdDecompressor().decompressobj().decompress(data)
    lines = data.decode().splitlines()
    if ".csv" in name:
        return [json.loads(it["value"])["half"] if it["value"] else None for it in csv.DictReader(lines)]
    return [row["value"]["half"] if "value" in row else None for row in map(json.loads, lines)]


def test_every_input_goes_to_every_output(here: Path) -> None:
    make_inputs()
    pairs = list(itertools.zip_longest(INPUTS, OUTPUTS))
    pairs += [("in.jsonl", it) for it in OUTPUTS[1:]]
    for source, out in pairs:
        code, lines, err = call("jobs:half", source, "-o", out, "--overwrite")
        assert (code, lines) == (1, []), err
        assert "5 ok, 1 failed (1 ValueError)" in err, err
        found = halves(out)
        assert [it for it in found if it is not None] == [0.0, 0.5, 1.0, 2.0, 2.5], (source, out, found)
        assert len(found) == 6
    assert not [it for it in here.iterdir() if it.name.endswith(".part")]


def test_the_columns_of_a_table_stay_columns(here: Path) -> None:
    make_inputs()
    call("jobs:half", "in.parquet", "-o", "out.csv")
    assert Path("out.csv").read_text().startswith("n,value,error,attempts\n0,")


def test_a_list_of_files_is_a_path_a_call(here: Path) -> None:
    (here / "docs" / "deep").mkdir(parents=True)
    for number, name in enumerate(["b.txt", "a.txt", "deep/c.txt", "no.md"]):
        (here / "docs" / name).write_text("x" * number)
    code, lines, _ = call("jobs:size", "files:docs/**/*.txt")
    assert (code, lines) == (
        0,
        [
            {"input": "docs/a.txt", "value": 1},
            {"input": "docs/b.txt", "value": 0},
            {"input": "docs/deep/c.txt", "value": 2},
        ],
    )


def test_failures_of_a_table_can_go_to_a_file_that_is_an_input(here: Path) -> None:
    make_inputs()
    code, _, _ = call("jobs:half", "in.parquet", "-o", "sqlite:///out.db?table=t&key=n", "--failed", "failed.jsonl.gz")
    assert code == 1
    _, lines, _ = call("jobs:half", "failed.jsonl.gz")
    assert lines == [{"input": {"n": 3}, "error": "ValueError: three", "attempts": 1}]


def test_an_archive_that_breaks_off_keeps_what_was_done_and_is_4(here: Path) -> None:
    data = gzip.compress(b"".join(b"%d\n" % (n * n) for n in range(100_000)))
    (here / "in.txt.gz").write_bytes(data[:-20_000])
    code, _, err = call("jobs:same", "in.txt.gz", "-o", "out.jsonl")
    assert code == 4
    assert err.startswith("error: reading in.txt.gz failed: the gzip archive is cut off: its end is missing\n")
    kept = [json.loads(line)["value"] for line in (here / "out.jsonl").read_text().splitlines()]
    assert len(kept) > 10_000
    assert kept == [str(n * n) for n in range(len(kept))]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (
            ("in.xml",),
            "error: in.xml is a kind of file that is not read\n  try: --format text",
        ),
        (
            ("sqlite:///in.db?table=tt",),
            "error: sqlite:///in.db?table=tt has no such table\n  it has t\n  try: sqlite:///in.db?table=t\n",
        ),
        (
            ("sqlite:///on.db?table=t",),
            "error: sqlite:///on.db?table=t cannot be read: No such file or directory\n",
        ),
        (
            ("sqlite:///in.db?query=SELECT nope",),
            "error: sqlite:///in.db?query=… is not a valid input: no such column: nope\n",
        ),
        (
            ("in.parquet", "-o", "sqlite:///in.db?table=t&key=n"),
            "error: sqlite:///in.db?table=t&key=n has rows already\n",
        ),
        (
            ("in.parquet", "-o", "sqlite:///out.db?table=t&key=m"),
            "error: 'm', the key of sqlite:///out.db?table=t&key=m, is not a column of the input\n  it has n\n",
        ),
        (
            ("in.parquet", "-o", "out.xml"),
            "error: out.xml has no ending that says what is in it\n  known endings: .jsonl",
        ),
        (
            ("in.parquet", "-o", "ftp://host/out.jsonl"),
            "error: ftp:// is not a known scheme\n",
        ),
        (
            ("files:nowhere/*.txt",),
            "error: files:nowhere/*.txt names no files: there is no nowhere\n",
        ),
        (
            ("jobs.py", "--format", "parquet"),
            "error: jobs.py is not PARQUET: ",
        ),
        (
            ("-", "--format", "parquet"),
            "error: standard input is not a file, and its format is read from the end\n",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_meant_says_what_would_work(here: Path, arguments: tuple[str, ...], said: str) -> None:
    make_inputs()
    (here / "in.xml").touch()
    code, lines, err = call("jobs:same", *arguments)
    assert (code, lines) == (2, [])
    assert err.startswith(said), err


def test_clients_load_only_when_they_are_used(here: Path) -> None:
    Path("in.jsonl").write_text("1\n")
    code = (
        "import sys; from whilst.cli.main import run; run(sys.argv[1:]); "
        "clients = {'pyarrow', 'sqlalchemy', 'obstore', 'zstandard', 'sqlite3'}; "
        "print(sorted(clients & sys.modules.keys()), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, "map", "jobs:same", "in.jsonl", "-q"], capture_output=True, text=True, timeout=50
    )
    assert done.stderr.splitlines()[-1] == "[]"
