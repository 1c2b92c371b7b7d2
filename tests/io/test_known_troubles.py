"""What has gone wrong with other tools, tried here: each is one report of somebody's real file or table."""

from __future__ import annotations

import csv
import io
from pathlib import Path
from typing import Any

import pytest

from whilst.io.open import Manner, open_input, open_output
from whilst.io.rows import Rejected, Row
from whilst.io.sink import Shape


def read(path: Path, data: bytes, **manner: str) -> list[Any]:
    path.write_bytes(data)
    return [
        it.value if isinstance(it, Row) else it.reason for it in open_input(str(path), None, Manner(**manner)).rows()
    ]


BOM = b"\xef\xbb\xbf"


@pytest.mark.parametrize(
    ("trouble", "data", "rows"),
    [
        ("a mark before a quoted header", BOM + b'"a","b"\r\n"1","2"\r\n', [{"a": "1", "b": "2"}]),
        ("a mark before sep=", BOM + b"sep=;\r\na;b\r\n1;2\r\n", [{"a": "1", "b": "2"}]),
        ("a header and no rows", b"a,b\n", []),
        ("a header without a line end", b"a,b", []),
        ("nothing at all", b"", []),
        ("a mark and nothing else", BOM, []),
        ("a quoted field at the end without a line end", b'a,b\n"text, text","more text"',
         [{"a": "text, text", "b": "more text"}]),
        ("a field of more than 131,072 characters", b"a\n" + b"x" * 200_000 + b"\n", [{"a": "x" * 200_000}]),
        ("an empty name at the end of the header", b"id;url;\n1;http://x/?a=1;\n",
         [{"id": "1", "url": "http://x/?a=1", "": ""}]),
        ("a line end in a quoted field of one column", b'a\n"cell with\nnewline"\n', [{"a": "cell with\nnewline"}]),
        ("a line end in a name", b'a,"b\nc"\n1,2\n', [{"a": "1", "b\nc": "2"}]),
        ("quotes that are first needed late", b"a,b\n" + b"x,y\n" * 3000 + b'Bob,"Beth, Co."\n',
         [{"a": "x", "b": "y"}] * 3000 + [{"a": "Bob", "b": "Beth, Co."}]),
        ("an inch sign in the middle", b'a,b\n7" disk,"x"\n', [{"a": '7" disk', "b": "x"}]),
        ("semicolons, and decimal commas", b"Country;Count;Date\nChina;97100,7;04/07/20\n",
         [{"Country": "China", "Count": "97100,7", "Date": "04/07/20"}]),
        ("semicolons, and a comma in a name", b"Name;Price, EUR;Date\na;1,5;x\n",
         [{"Name": "a", "Price, EUR": "1,5", "Date": "x"}]),
        ("commas, and semicolons in a name", b"a,b;c;d\n1,2\n", [{"a": "1", "b;c;d": "2"}]),
        ("leading zeros", b"zip\n00420\n", [{"zip": "00420"}]),
        ("long digits", b"id\n9007199254740993\n", [{"id": "9007199254740993"}]),
        ("words that others take for nothing", b"name\nNA\nnull\nNone\n\n-\n",
         [{"name": it} for it in ("NA", "null", "None", "-")]),
        ("a comma at the end of rows alone", b"a,b\n1,2,\n", ["the row has 3 fields, the header names 2"]),
        ("NUL in a field", b"a,b\nx\0y,1\nz,2\n",
         ["not CSV: the row holds a NUL byte, which text does not", {"a": "z", "b": "2"}]),
        ("a closing quote that is missing", b'id,name\n2,"Alice,Doe"\n1,"John, Doe\n3,"Bob"\n', None),
    ],
    ids=lambda it: it if isinstance(it, str) else "",
)  # fmt: skip
def test_a_file_that_others_read_wrong(tmp_path: Path, trouble: str, data: bytes, rows: list[Any] | None) -> None:
    got = read(tmp_path / "in.csv", data)
    if rows is None:
        assert got[0] == {"id": "2", "name": "Alice,Doe"}
        assert got[-1] == {"id": "3", "name": "Bob"}
        assert "looking for the end of a quoted field" in got[1]
        return
    assert got == rows


@pytest.mark.parametrize("name", ["out.csv", "out.jsonl", "out.parquet", "sqlite:///out.db?table=t", "out.csv.gz"])
@pytest.mark.parametrize("values", [False, True])
def test_no_rows_at_all_make_an_output_and_no_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, values: bool
) -> None:
    for package in ("pyarrow", "sqlalchemy"):
        pytest.importorskip(package)
    monkeypatch.chdir(tmp_path)
    sink = open_output(name)
    sink.begin(Shape(["a", "b"], values, not values))
    assert sink.finish() is None
    assert sink.broken is None


def test_lines_of_old_macs_are_not_one_row(tmp_path: Path) -> None:
    (only,) = read(tmp_path / "in.txt", b"a\rb\rc\r")
    assert only == "a\rb\rc", "nothing but a line feed ends a line, and nothing is lost"


def test_a_carriage_return_inside_a_field_is_kept_in_quotes(tmp_path: Path) -> None:
    sink = open_output(str(tmp_path / "out.csv"))
    sink.begin(Shape(values_only=True, failures_here=False))
    for number, value in enumerate([{"a": "x\ry"}, {"a": "x\r\ny"}, {"a": '"'}, {"a": " x "}, {"a": ""}], 1):
        sink.write(Row(number, number, b"1"), sink.prepare(value))
    sink.finish()
    found = list(csv.reader(io.StringIO((tmp_path / "out.csv").read_bytes().decode(), newline="")))
    assert found == [["a"], ["x\ry"], ["x\r\ny"], ['"'], [" x "], [""]]
    again = [it.value["a"] for it in open_input(str(tmp_path / "out.csv")).rows() if isinstance(it, Row)]
    assert again == ["x\ry", "x\r\ny", '"', " x ", ""]


def test_a_name_of_many_columns_that_are_alike_is_said_once(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(b"a,b,,\n1,2,3,4\n")
    with pytest.raises(ValueError, match="its header names '' twice"):
        list(open_input(str(tmp_path / "in.csv")).rows())


def test_a_file_in_latin_1_says_what_to_give(tmp_path: Path) -> None:
    rows = read(tmp_path / "in.csv", b"name\ncaf\xe9\n", encoding="latin-1")
    assert rows == [{"name": "café"}]
    (bad,) = open_input(str(tmp_path / "in.csv")).rows()
    assert isinstance(bad, Rejected)
    assert "not UTF-8: byte 0xe9" in bad.reason
