"""Parquet: what is written is read, types are found, what does not fit fails alone."""

from __future__ import annotations

import datetime
import json
import subprocess
import sys
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pyarrow = pytest.importorskip("pyarrow")
parquet = pytest.importorskip("pyarrow.parquet")

from whilst.io.kinds import fitted, kind_of, settled, simplified, unified  # noqa: E402
from whilst.io.open import open_input, open_output  # noqa: E402
from whilst.io.parquet_sink import ParquetSink  # noqa: E402
from whilst.io.refusal import BrokenInput, Refused  # noqa: E402
from whilst.io.rows import Rejected, Row  # noqa: E402
from whilst.io.sink import Shape, Unfit  # noqa: E402

WHEN = datetime.datetime(2026, 1, 2, 3, 4, 5, 678901)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"])) | st.binary() | st.dates() | st.datetimes(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3),
    max_leaves=8,
)  # fmt: skip


@given(st.lists(VALUES, min_size=1, max_size=6))
def test_whatever_was_unified_fits_and_arrow_takes_it(values: list[Any]) -> None:
    from whilst.io.parquet_sink import _type

    kind = settled(unified(kind_of(it) for it in values))
    cells = [fitted(kind, it) for it in values]
    assert len(pyarrow.array(cells, type=_type(pyarrow, kind))) == len(values)


@given(st.lists(VALUES, max_size=6))
def test_a_column_of_large_cells_is_what_arrow_makes_of_it(values: list[Any]) -> None:
    from whilst.io.parquet_sink import _array, _type

    kind = settled(unified(kind_of(it) for it in values))
    cells, type = [fitted(kind, it) for it in values], _type(pyarrow, kind)
    made = _array(pyarrow, cells, type)
    made.validate(full=True)
    assert made.equals(pyarrow.array(cells, type=type))


LARGE_CELL = """
import resource, sys
import pyarrow.parquet
from whilst.io.open import open_output
from whilst.io.rows import Row
from whilst.io.sink import Shape
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
sink = open_output("out.parquet", overwrite=True)
sink.begin(Shape())
sink.write(Row(1, "a", b'"a"'), sink.prepare({"page": "é" * (16 << 20)}))
sink.finish()
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss has other units elsewhere")
def test_a_large_cell_takes_a_few_times_its_size(tmp_path: Path) -> None:
    took = subprocess.run([sys.executable, "-c", LARGE_CELL], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert int(took.stdout) < 9 * 32, "MiB, of a cell of 32 MiB of UTF-8; it takes 6 to 7 times that, and took 12"
    table = parquet.read_table(tmp_path / "out.parquet")
    assert table["value"][0].as_py() == {"page": "é" * (16 << 20)}


def test_what_does_not_fit_says_what_was_expected() -> None:
    assert simplified({"a": Decimal("1.5"), "b": {1}}) == {"a": "1.5", "b": [1]}
    assert kind_of((1, 2)) == ("list", "int")
    assert fitted(("list", "int"), (1, 2)) == [1, 2]
    for kind, value, words in [
        ("int", "x", 'int was expected, not "x"'),
        (("list", "int"), 7, "a list was expected, not 7"),
        (("struct", {"a": "int"}), {"b": 1}, "'b' is not a field of this column, which has a"),
    ]:
        with pytest.raises(Unfit) as caught:
            fitted(kind, value)  # type: ignore[arg-type]
        assert str(caught.value) == words


def write(path: Path, outcomes: list[tuple[Any, Any]], shape: Shape | None = None, group_rows: int = 0) -> list[str]:
    """Write `(input, value)`, return what did not fit."""
    sink = open_output(str(path))
    assert isinstance(sink, ParquetSink)
    sink._group_rows = group_rows or sink._group_rows
    sink.begin(shape or Shape())
    unfit: list[str] = []
    for number, (source, value) in enumerate(outcomes, 1):
        row = Row(number, source, json.dumps(source, default=str).encode())
        if isinstance(source, Rejected) or isinstance(value, Exception):
            sink.failure(source if isinstance(source, Rejected) else row, str(value), 2)
            continue
        try:
            sink.write(row, sink.prepare(value))
        except Unfit as error:
            unfit.append(str(error))
            sink.failure(row, str(error), 1)
    sink.flush()
    assert not path.exists()
    assert sink.finish() is None
    return unfit


def test_outcomes_become_columns_with_the_types_of_their_values(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    write(
        path,
        [
            ({"id": 1}, {"at": WHEN, "share": 1, "raw": b"\xff", "tags": ["a"], "mixed": 1}),
            ({"id": 2}, {"at": None, "share": 0.5, "raw": b"", "tags": [], "mixed": "x"}),
            ({"id": 3}, ValueError("no")),
            (Rejected(9, "broken", "{{"), ValueError()),
        ],
        Shape(columns=["id"]),
    )
    table = parquet.read_table(path)
    assert table.column_names == ["id", "value", "error", "attempts"]
    ok = {"error": None, "attempts": None}
    assert table.to_pylist() == [
        {"id": 1, "value": {"at": WHEN, "share": 1.0, "raw": b"\xff", "tags": ["a"], "mixed": "1"}, **ok},
        {"id": 2, "value": {"at": None, "share": 0.5, "raw": b"", "tags": [], "mixed": '"x"'}, **ok},
        {"id": 3, "value": None, "error": "no", "attempts": 2},
        {"id": None, "value": None, "error": "line 9: broken (it begins: {{)", "attempts": None},
    ]  # fmt: skip


def test_a_value_that_comes_too_late_for_its_type_is_a_failure_that_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "out.parquet"
    unfit = write(path, [(n, n if n != 150 else {"odd": [n]}) for n in range(300)], group_rows=100)
    assert unfit == [
        'column \'value\' has its type from the rows before: int was expected, not {"odd":[150]}; {"odd":[150]}'
    ]
    table = parquet.read_table(path)
    assert parquet.ParquetFile(path).num_row_groups == 3
    assert [it["input"] for it in table.to_pylist()] == list(range(300))
    assert table.to_pylist()[150]["error"] == unfit[0]


def test_many_values_at_once_are_taken_or_none_of_them(tmp_path: Path) -> None:
    sink = open_output(str(tmp_path / "out.parquet"))
    assert isinstance(sink, ParquetSink)
    sink._group_rows = 2
    sink.begin(Shape())

    def write_all(*values: Any) -> None:
        rows = [Row(number, number, b"%d" % number) for number in range(len(values))]
        ParquetSink.write_all(sink, rows, [sink.prepare(value) for value in values])

    write_all({"a": 1}, {"a": 2})
    with pytest.raises(Unfit, match="'b' is not a field"):
        write_all({"a": 3}, {"a": 4, "b": 5})
    write_all({"a": 6}, None, {})
    sink.finish()
    found = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert [it["value"] for it in found] == [{"a": 1}, {"a": 2}, {"a": 6}, None, {"a": None}]
    assert [it["input"] for it in found] == [0, 1, 0, 1, 2]


def test_no_outcome_at_all_is_a_file_without_rows(tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", [])
    assert list(open_input(str(tmp_path / "out.parquet")).rows()) == []


def test_values_come_as_python_has_them_and_json_has_a_form_for_each(tmp_path: Path) -> None:
    table = pyarrow.table(
        {
            "n": pyarrow.array([1, None]),
            "at": pyarrow.array([1_700_000_000_123_456_789, None], pyarrow.timestamp("ns", "UTC")),
            "price": pyarrow.array([Decimal("1.50"), None], pyarrow.decimal128(10, 2)),
            "raw": pyarrow.array([b"ab", None]),
            "deep": pyarrow.array([{"a": [1, 2]}, None]),
            "share": pyarrow.array([float("nan"), 1.0]),
        }
    )
    parquet.write_table(table, tmp_path / "in.parquet")
    first, second = open_input(str(tmp_path / "in.parquet")).rows()
    assert isinstance(first, Row)
    assert isinstance(second, Row)
    assert first.line == 1
    assert first.value["price"] == Decimal("1.50")
    assert first.value["raw"] == b"ab"
    assert json.loads(first.raw) == {
        "n": 1, "at": "2023-11-14T22:13:20.123456Z", "price": "1.50", "raw": "YWI=", "deep": {"a": [1, 2]},
        "share": None,
    }  # fmt: skip
    assert second.value["deep"] is None


def test_a_bad_row_fails_alone(tmp_path: Path) -> None:
    """Text that is not UTF-8, and a row over the limit."""
    broken = pyarrow.Array.from_buffers(
        pyarrow.string(), 4, pyarrow.array(["ok", "\u00e9", "x" * 17_000_000, "end"]).buffers()
    )
    data = bytearray(broken.buffers()[2].to_pybytes())
    data[2] = 0xFF
    broken = pyarrow.Array.from_buffers(pyarrow.string(), 4, [None, broken.buffers()[1], pyarrow.py_buffer(data)])
    parquet.write_table(pyarrow.table({"text": broken}), tmp_path / "in.parquet")
    one, two, three, four = open_input(str(tmp_path / "in.parquet")).rows()
    assert isinstance(one, Row)
    assert isinstance(four, Row)
    assert isinstance(two, Rejected)
    assert isinstance(three, Rejected)
    assert (two.line, two.reason) == (2, "not UTF-8: byte 0xff")
    assert (three.line, three.reason) == (3, "the row has 17,000,011 bytes, the limit is 16,777,216")


def test_a_file_that_is_none_and_one_that_breaks_off_say_so(tmp_path: Path) -> None:
    path = tmp_path / "in.parquet"
    path.write_bytes(b"PAR1 no")
    with pytest.raises(ValueError, match="Parquet"):
        list(open_input(str(path)).rows())
    parquet.write_table(pyarrow.table({"n": list(range(100_000))}), path, row_group_size=50_000, use_dictionary=False)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2 + 1000
    data[middle : middle + 50_000] = b"\xff" * 50_000
    path.write_bytes(data)
    rows: list[Any] = []
    with pytest.raises(BrokenInput, match=r"\(after row"):
        rows.extend(open_input(str(path)).rows())
    assert len(rows) >= 40_000
    assert [row.value["n"] for row in rows[:40_000]] == list(range(40_000))


def test_a_pipe_cannot_hold_parquet() -> None:
    import os

    read, write = os.pipe()
    os.close(write)
    with pytest.raises(Refused, match="is read from the end"):
        list(open_input(f"/dev/fd/{read}", "parquet").rows())
    os.close(read)


def test_a_package_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(Refused, match=r"pip install 'whilst\[arrow\]'"):
        open_output(str(tmp_path / "out.parquet"))
    assert list(tmp_path.iterdir()) == []


@settings(max_examples=30, deadline=None)  # each makes a file
@given(st.lists(st.tuples(VALUES, VALUES), max_size=12), st.integers(1, 5))
def test_no_outcome_is_lost_whatever_the_values(
    tmp_path_factory: pytest.TempPathFactory, pairs: Any, size: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "out.parquet"
    write(path, list(pairs), group_rows=size)
    found = parquet.read_table(path).to_pylist()
    assert len(found) == len(pairs)


def test_a_schema_that_arrow_finds_too_deep_is_said_in_its_words(tmp_path: Path) -> None:
    kind, value = pyarrow.int32(), 1
    for _ in range(60):
        kind, value = pyarrow.list_(kind), [value]
    parquet.write_table(pyarrow.table({"n": pyarrow.array([value], type=kind)}), tmp_path / "deep.parquet")
    with pytest.raises(BrokenInput, match="too deeply nested"):
        next(open_input(str(tmp_path / "deep.parquet")).rows())


LATER: list[Any] = [
    "text", 7, 2.5, True, b"ab", WHEN, datetime.date(2026, 1, 2), [1, None], ["a"], {"a": 1, "b": [None]},
    {"a": {"b": "c"}},
]  # fmt: skip


@pytest.mark.parametrize("value", LATER, ids=repr)
@pytest.mark.parametrize("inside", [False, True])
def test_a_column_of_nulls_has_the_type_of_the_first_value_that_comes(tmp_path: Path, value: Any, inside: bool) -> None:
    """The type is decided when it is known, however many row groups of nulls there were."""
    nothing: Any = {"deep": None, "n": 1} if inside else None
    something: Any = {"deep": value, "n": 2} if inside else value
    values = [nothing] * 5 + [something, nothing] * 3 + [nothing] * 2
    assert write(tmp_path / "out.parquet", [(n, it) for n, it in enumerate(values)], group_rows=2) == []
    found = parquet.read_table(tmp_path / "out.parquet")
    assert [json.dumps(it, default=str) for it in found["value"].to_pylist()] == [
        json.dumps(it, default=str) for it in values
    ]
    assert found["input"].to_pylist() == list(range(len(values)))
    assert [it.name for it in tmp_path.iterdir()] == ["out.parquet"]


@settings(max_examples=60, deadline=None)  # each makes a file
@given(st.lists(st.tuples(st.none(), st.sampled_from([None, [], {}]) | VALUES), max_size=14), st.integers(1, 4))
def test_what_was_written_is_what_is_read_however_late_types_are_known(
    tmp_path_factory: pytest.TempPathFactory, pairs: Any, size: int
) -> None:
    path = tmp_path_factory.mktemp("p") / "out.parquet"
    unfit = write(path, [(number, value) for number, (_, value) in enumerate(pairs)], group_rows=size)
    found = parquet.read_table(path).to_pylist()
    assert len(found) == len(pairs)
    nothing = [number for number, (_, value) in enumerate(pairs) if value is None]
    assert all(found[number]["value"] is None for number in nothing)
    assert sum(it["error"] is not None for it in found) == len(unfit)


def test_what_is_no_number_is_null(tmp_path: Path) -> None:
    write(tmp_path / "out.parquet", [(1, float("nan")), (2, 3), (3, float("inf")), (4, [float("-inf"), 1.5])][:3])
    found = parquet.read_table(tmp_path / "out.parquet")["value"]
    assert found.to_pylist() == [None, 3, None]
    assert found.type == pyarrow.int64()


def test_half_a_character_fails_alone(tmp_path: Path) -> None:
    sink = open_output(str(tmp_path / "out.parquet"))
    sink.begin(Shape())
    for value in ("\ud800", {"a": ["x\udc00"]}):
        with pytest.raises(ValueError, match="cannot be UTF-8"):
            sink.prepare(value)
    sink.discard()
