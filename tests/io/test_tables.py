"""One rule for tables of values: the same columns and cells in CSV, Parquet and SQL, as the docs' table says."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import json
import sqlite3
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

pytest.importorskip("pyarrow")
pytest.importorskip("sqlalchemy")

from pyarrow import parquet

from whilst.io.open import open_output
from whilst.io.rows import Row
from whilst.io.sink import Shape, Sink, Unfit

VALUES = Shape(values_only=True, failures_here=False)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(name: str, values: list[Any], shape: Shape = VALUES) -> list[str]:
    """Write values, return what did not fit."""
    sink: Sink = open_output(name)
    sink.begin(shape)
    unfit: list[str] = []
    for number, value in enumerate(values, 1):
        try:
            sink.write(Row(number, number, str(number).encode()), sink.prepare(value))
        except Unfit as error:
            unfit.append(str(error))
    assert sink.finish() is None
    return unfit


def in_csv(name: str = "out.csv") -> list[list[str]]:
    with Path(name).open(newline="") as file:
        return list(csv.reader(file, delimiter="\t" if name.endswith("tsv") else ","))


def in_parquet() -> list[list[Any]]:
    found = parquet.read_table("out.parquet")
    return [found.column_names, *(list(it.values()) for it in found.to_pylist())]


def in_sql() -> list[list[Any]]:
    connection = sqlite3.connect("out.db")
    cursor = connection.execute("SELECT * FROM t ORDER BY rowid")
    names = [it[0] for it in cursor.description]
    places = [at for at, name in enumerate(names) if name not in ("key", "error", "attempts")]
    rows = [[names[at] for at in places], *([row[at] for at in places] for row in cursor)]
    connection.close()
    return rows


TABLES: dict[str, Callable[[], list[list[Any]]]] = {
    "out.csv": in_csv,
    "out.parquet": in_parquet,
    "sqlite:///out.db?table=t": in_sql,
}
EMPTY = {"out.csv": ""}


@dataclasses.dataclass
class Point:
    x: int
    y: int


@pytest.mark.parametrize("name", [*TABLES, "out.tsv"])
def test_the_fields_of_a_value_are_columns(name: str) -> None:
    nothing = "" if name.endswith("sv") else None
    texts = name.endswith("sv")
    values: list[Any] = [{"a": 1, "b": "x"}, {"b": "y", "c": 2}, Point(3, 4), {"x": 5}]
    assert write(name, values) == []
    rows = [
        ["a", "b", "c", "x", "y"], [1, "x", nothing, nothing, nothing], [nothing, "y", 2, nothing, nothing],
        [nothing, nothing, nothing, 3, 4], [nothing, nothing, nothing, 5, nothing],
    ]  # fmt: skip
    found = TABLES[name]() if name in TABLES else in_csv(name)
    assert found == ([[str(it) for it in row] for row in rows] if texts else rows)


@pytest.mark.parametrize("name", TABLES)
def test_other_values_are_one_column(name: str) -> None:
    assert write(name, ["x", None, [1]]) == []
    assert [row[0] for row in TABLES[name]()][:2] == ["value", "x" if name != "out.parquet" else '"x"']


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_no_values_at_all_are_a_table_without_rows(name: str) -> None:
    write(name, [])
    assert TABLES[name]() == [["value"]]


# What the docs say of each value: in CSV, in Parquet, in SQLite.
WHEN, ID = datetime.datetime(2026, 1, 2, 3, 4, 5), "00000000-0000-0000-0000-000000000001"
ODD = 'two\nlines, "quoted"\tż'
FORMULA = "=cmd|' /C calc'!A0"

CELLS: list[tuple[Any, Any, Any, Any]] = [
    ({"b": [1, None]}, '{"b":[1,null]}', {"b": [1, None]}, '{"b":[1,null]}'),
    ([1, 2], "[1,2]", [1, 2], "[1,2]"),
    (float("nan"), "", None, None),
    (float("-inf"), "", None, None),
    ([float("nan")], "[null]", [None], "[null]"),
    (None, "", None, None),
    (True, "true", True, 1),
    (WHEN, "2026-01-02T03:04:05", WHEN, "2026-01-02T03:04:05"),
    (datetime.date(2026, 1, 2), "2026-01-02", datetime.date(2026, 1, 2), "2026-01-02"),
    (datetime.timedelta(days=1), "P1D", "P1D", "P1D"),
    (Decimal("1.50"), "1.50", "1.50", "1.50"),
    (b"ab", "YWI=", b"ab", b"ab"),
    (2**63, "9223372036854775808", "9223372036854775808", "9223372036854775808"),
    (-(2**63), "-9223372036854775808", -(2**63), -(2**63)),
    (UUID(int=1), ID, ID, ID),
    (FORMULA, FORMULA, FORMULA, FORMULA),
    (ODD, ODD, ODD, ODD),
    ("", "", "", ""),
]  # fmt: skip


@pytest.mark.parametrize(("value", "of_csv", "of_parquet", "of_sql"), CELLS, ids=[repr(it[0])[:30] for it in CELLS])
def test_a_cell_is_what_the_docs_say(value: Any, of_csv: Any, of_parquet: Any, of_sql: Any) -> None:
    for (name, read), expected in zip(TABLES.items(), (of_csv, of_parquet, of_sql), strict=True):
        assert write(name, [{"n": 1, "v": value}]) == []
        assert read() == [["n", "v"], ["1" if name == "out.csv" else 1, expected]]


@pytest.mark.parametrize("kind", ["float32", "float64", "datetime64"])
@pytest.mark.parametrize("name", TABLES)
def test_what_is_no_value_to_numpy_is_none_in_any_format(name: str, kind: str) -> None:
    numpy = pytest.importorskip("numpy")
    values = ["NaT"] if kind == "datetime64" else ["nan", "inf", "-inf"]
    cells = [numpy.datetime64(it, "us") if kind == "datetime64" else getattr(numpy, kind)(it) for it in values]
    assert write(name, [{"id": at, "cell": cell} for at, cell in enumerate(cells)]) == []
    head, *rows = TABLES[name]()
    assert {row[head.index("cell")] for row in rows} == {EMPTY.get(name)}


def test_the_docs_have_the_table() -> None:
    docs = (Path(__file__).parents[2] / "docs" / "inputs-and-outputs.md").read_text()
    of = [
        "a dict, a list",
        "NaN, ±Infinity",
        "a date, a time",
        "`Decimal`",
        "`bytes`",
        "an integer over 64 bits",
        "`=cmd`",
    ]
    for value in of:
        assert any(line.startswith(f"| {value}") for line in docs.splitlines()), value


@pytest.mark.parametrize(("name", "first"), [("out.csv", 1000), ("out.parquet", 65_536)])
def test_a_field_that_comes_too_late_is_a_failure_that_holds_its_value(name: str, first: int) -> None:
    values: list[Any] = [{"a": 1}] * first + [{"a": 2, "bb": 3}, {"a": 4}]
    (text,) = write(name, values)
    assert "'bb' is not a column" in text
    assert text.endswith(json.dumps({"a": 2, "bb": 3}, separators=(",", ":")))
    assert len(TABLES[name]()) == first + 2


def test_an_input_is_written_as_it_came_whatever_the_function_did_to_it() -> None:
    sink = open_output("out.csv")
    sink.begin(Shape(columns=["id", "at"]))
    row = Row(1, {"id": 1, "at": datetime.date(2026, 1, 2)}, b'{"id":1,"at":"2026-01-02"}')
    row.value.clear()
    sink.write(row, sink.prepare({"a": True}))
    sink.finish()
    assert in_csv() == [["id", "at", "value", "error", "attempts"], ["1", "2026-01-02", '{"a":true}', "", ""]]
