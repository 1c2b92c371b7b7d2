"""Rows in, a function that does nothing, rows out: the command beside the program that one writes by hand."""

import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench.measuring import WrongResultsError, no_job
from bench.model import WHILST, Contestant, Sample

BY_HAND = "by hand"

JSONL_BY_HAND = """\
import msgspec

async def main():
    decode, encode = msgspec.json.decode, msgspec.json.encode
    with open("in.jsonl", "rb") as rows, open("out.jsonl", "wb") as out:
        for line in rows:
            row = decode(line)
            out.write(encode({"input": row, "value": await same(row)}) + b"\\n")
"""

SQLITE_BY_HAND = """\
import msgspec, sqlite3

async def main():
    decode = msgspec.json.decode
    base = sqlite3.connect("out.db")
    base.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, name TEXT, x REAL)")
    some = []
    with open("in.jsonl", "rb") as rows, base:
        for line in rows:
            row = await same(decode(line))
            some.append((row["id"], row["name"], row["x"]))
            if len(some) == 10_000:
                base.executemany("INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", some)
                some.clear()
        base.executemany("INSERT INTO t VALUES (?, ?, ?) ON CONFLICT (id) DO NOTHING", some)
    base.close()
"""

PARQUET_BY_HAND = """\
import csv, pyarrow, pyarrow.parquet

async def main():
    kinds = pyarrow.schema([("id", pyarrow.int64()), ("name", pyarrow.string()), ("x", pyarrow.float64())])
    with open("in.csv", newline="") as file, pyarrow.parquet.ParquetWriter("out.parquet", kinds) as out:
        some = []
        for row in csv.DictReader(file):
            row = await same(row)
            some.append({"id": int(row["id"]), "name": row["name"], "x": float(row["x"])})
            if len(some) == 50_000:
                out.write_table(pyarrow.Table.from_pylist(some, kinds))
                some.clear()
        out.write_table(pyarrow.Table.from_pylist(some, kinds))
"""

BEGIN = "import asyncio, sys, time\n\nasync def same(row):\n    return row\n\n"
END = """
began = time.perf_counter()
asyncio.run(main())
print(f"{int(sys.argv[1]) / (time.perf_counter() - began):.0f}/s", file=sys.stderr)
"""
COMMAND = "import sys; from whilst.cli.main import run; sys.exit(run(sys.argv[1:]))"
FORMS = {  # what goes in and comes out, and the program by hand
    "jsonl": ("in.jsonl", ("-o", "out.jsonl"), JSONL_BY_HAND),
    "sqlite": ("in.jsonl", ("--values", "-o", "sqlite:///out.db?table=t&key=id"), SQLITE_BY_HAND),
    "parquet": ("in.csv", ("--values", "-o", "out.parquet"), PARQUET_BY_HAND),
}
CONTESTANTS = (
    Contestant(BY_HAND, no_job, kind="floor"),
    Contestant(WHILST, no_job, needs="whilst", kind="whilst"),
)


def row(form: str) -> Callable[[Contestant, int], Sample]:
    """Measure µs a row, by the clock of the program from the first row to the last; its CPU is that of the process."""

    def measure(contestant: Contestant, n: int) -> Sample:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            given, out, by_hand = FORMS[form]
            write_rows(folder, given, n)
            (folder / "jobs.py").write_text("async def same(x):\n    return x\n")
            if contestant.name == BY_HAND:
                command = [sys.executable, "-c", BEGIN + by_hand + END, str(n)]
            else:
                command = [sys.executable, "-c", COMMAND, "map", "jobs:same", given, *out]
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            done = subprocess.run(
                command, cwd=folder, env=with_path(), capture_output=True, text=True, check=False, timeout=60
            )
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            rate = re.search(r"([\d,]+)/s", done.stderr)
            if done.returncode or rate is None or (count := rows_in(folder, form)) != n:
                raise WrongResultsError(
                    f"{contestant.name}: {count if rate else 'no'} rows of {n}: {done.stderr[-200:]}"
                )
        cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return Sample(n, 1e6 / int(rate[1].replace(",", "")), cpu=cpu / n * 1e6)

    return measure


def with_path() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(it or "." for it in sys.path)}


def write_rows(folder: Path, name: str, n: int) -> None:
    with (folder / name).open("w") as file:
        if name.endswith(".csv"):
            file.write("id,name,x\n")
            file.writelines(f"{x},row number {x},1.5\n" for x in range(n))
        else:
            file.writelines(f'{{"id": {x}, "name": "row number {x}", "x": 1.5}}\n' for x in range(n))


def rows_in(folder: Path, form: str) -> int:
    if form == "sqlite":
        import sqlite3

        base = sqlite3.connect(folder / "out.db")
        (count,) = base.execute("SELECT count(*) FROM t").fetchone()
        base.close()
        return int(count)
    if form == "parquet":
        import pyarrow.parquet

        return int(pyarrow.parquet.ParquetFile(folder / "out.parquet").metadata.num_rows)
    with (folder / "out.jsonl").open("rb") as file:
        return sum(1 for _ in file)
