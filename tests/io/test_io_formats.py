"""What each format reads and writes, and what it rejects: tables, one line a case."""

from __future__ import annotations

import csv
import dataclasses
import datetime
import io
import json
import os
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path, PurePosixPath
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.io.csv import read_csv
from whilst.io.csv_sink import CsvWriter
from whilst.io.jsonl import JsonlWriter, json_text, read_jsonl
from whilst.io.lines import ByteSource
from whilst.io.open import open_output
from whilst.io.rows import Rejected, Row
from whilst.io.sink import Shape
from whilst.io.text import read_text

MIB = 1024 * 1024


class FromBytes(ByteSource):
    """A source that needs no descriptor."""

    def __init__(self, data: bytes, size: int = 7) -> None:
        super().__init__(-1, "test", owned=False)
        self._data = data
        self._chunk = max(size, len(data) // 100)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), self._chunk):
            yield self._data[start : start + self._chunk]


def lines_of(reader: Any, data: bytes, **options: Any) -> list[tuple[int, Any]]:
    """Return (line, value) for rows and (line, Rejected) for the others."""
    return [(row.line, row if isinstance(row, Rejected) else row.value) for row in reader(FromBytes(data), **options)]


def only(reader: Any, data: bytes, **options: Any) -> Rejected:
    """Return the one rejected row between two good ones, which must have been read."""
    before, row, after = reader(FromBytes(data), **options)
    assert isinstance(before, Row)
    assert isinstance(row, Rejected)
    assert isinstance(after, Row)
    assert row.line == 2
    assert len(row.excerpt) <= 200
    return row


# -- text -----------------------------------------------------------------------------------------------------


def test_text_is_a_line_an_input() -> None:
    data = "\ufeffone\r\n\n  two \nżółw\u2028x\nlast".encode()
    assert lines_of(read_text, data) == [(1, "one"), (3, "  two "), (4, "żółw\u2028x"), (5, "last")]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"a\xffb", "not UTF-8: byte 0xff at position 1"),
        (b"a\0b", "the line holds a NUL byte, which text does not"),
        (b"x" * 50, "the row has 50 bytes, the limit is 40; it was not read"),
    ],
)
def test_a_bad_line_of_text_fails_alone(line: bytes, reason: str) -> None:
    assert only(read_text, b"a\n" + line + b"\nb\n", limit=40).reason == reason


@given(st.lists(st.text(st.characters(exclude_characters="\n\0", exclude_categories=["Cs"]), min_size=1)))
def test_any_text_comes_back(texts: list[str]) -> None:
    texts = [text for text in texts if not text.encode().isspace() and not text.endswith("\r")]
    data = "".join(f"{text}\n" for text in ["#", *texts]).encode()
    assert [value for _, value in lines_of(read_text, data)] == ["#", *texts]


# -- JSON lines -----------------------------------------------------------------------------------------------


def test_jsonl_is_a_value_a_line() -> None:
    data = b'{"a": 1}\n\n [1, "x"] \r\n"text"\nnull'
    assert lines_of(read_jsonl, data) == [(1, {"a": 1}), (3, [1, "x"]), (4, "text"), (5, None)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b'{"a": }', "not JSON: invalid character (byte 6)"),
        (b"1 2", "not JSON: trailing characters (byte 3)"),
        (b'{"a": 1', "not JSON: input data was truncated"),
        (b'"a\xffb"', "not UTF-8: byte 0xff at position 2"),
        (b'"a\0b"', "not JSON: invalid character (byte 2)"),
        (b'{"a": NaN}', "not JSON: NaN is not a JSON value; null is"),
        (b"-Infinity", "not JSON: -Infinity is not a JSON value; null is"),
        (b'{"a": "\\ud83d"}', "not JSON: \\ud83d is half a character, and its other half is not there"),
        (b'{"a": "\\udc00 and so on"}', "not JSON: \\udc00 is half a character, and its other half is not there"),
        (b"1e999", "not JSON: number out of range"),
        (b"[" * 200_000 + b"]" * 200_000, "the JSON is nested too deep"),
        (b'{"a":' * 200_000 + b"1" + b"}" * 200_000, "the JSON is nested too deep"),
        (b'{"a": 1, "b": 2, "a": 3}', "the field 'a' occurs twice"),
        (b'{"a" : "://", "a" : ":"}', "the field 'a' occurs twice"),
        (b'{"a"\t: 1, "a": "x"}', "the field 'a' occurs twice"),
        (b'{"a": 1, "\\u0061": "\\":"}', "the field 'a' occurs twice"),
        (b'[{"b": {"a": 1, "a": 3}}]', "the field 'a' occurs twice"),
        (b'"' + b"x" * 2_000_000 + b'"', "the row has 2,000,002 bytes, the limit is 1,900,000; it was not read"),
    ],
)
def test_a_bad_line_of_json_fails_alone(line: bytes, reason: str) -> None:
    assert only(read_jsonl, b"1\n" + line + b"\n2\n", limit=1_900_000).reason == reason


def test_a_failures_file_is_a_valid_input() -> None:
    data = (
        b'{"input": {"id": 1, "x": 1.10}, "error": "ValueError: no", "attempts": 1}\n'
        b'{"line": 7, "error": "not JSON: \xc2\xa7", "input": "{{"}\n'
        b'{"input": 1}\n'
    )
    first, second, third = read_jsonl(FromBytes(data))
    assert first == Row(1, {"id": 1, "x": 1.1}, b'{"id": 1, "x": 1.10}')
    assert second == Rejected(2, "rejected before: not JSON: §", "{{")
    assert isinstance(third, Row)
    assert third.value == {"input": 1}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(st.lists(JSON))
def test_any_json_comes_back(values: list[Any]) -> None:
    values = [it for it in values if not (isinstance(it, dict) and {"input", "error"} <= it.keys())]
    data = b"".join(json_text(value) + b"\n" for value in values)
    assert [value for _, value in lines_of(read_jsonl, data)] == values


ODD = [
    b"", b" \t\r", b"[1", b'"\xff"', b"NaN", b"1 2", b"7", b'"{"', b' {"a":1}\r', b'{"a" :1}', b'{"a":1,"a":2}',
    b'{"a" :1,"a":"\\":"}', b'[{"a":1,"a":2}]', b'{"a":{"b":1}}', b'{"a":"http://x:1"}', b'{"a":":","a":1}',
    b'{"input":1,"error":"no"}', b'{"\\u0069nput":1,"err\\u006fr":"no"}', b"[" * 3000,
    b'{"line":9,"error":"e","input":"x"}', b'"' + b"x" * 300 + b'"',
]  # fmt: skip


@given(st.lists(st.sampled_from([*ODD, b'{"id":1,"x":2.5}', b'{"id":2,"u":"a:b"}']) | JSON.map(json_text)))
def test_json_lines_read_together_are_what_they_are_one_by_one(lines: list[bytes]) -> None:
    together = list(read_jsonl(FromBytes(b"\n".join(lines), 10**6), limit=200))
    alone = [
        row
        for before, line in enumerate(lines)
        for row in read_jsonl(FromBytes(b"\n" * before + line, 10**6), limit=200)
    ]
    assert together == alone


@given(st.dictionaries(st.text('ab:"\\ {', max_size=3), JSON, min_size=1, max_size=3), st.booleans())
def test_a_key_given_twice_is_found_wherever_it_hides(value: dict[str, Any], spaced: bool) -> None:
    colon = " : " if spaced else ":"
    pairs = [f"{json.dumps(key)}{colon}{json.dumps(it)}" for key, it in value.items()]
    whole = "{" + ", ".join(pairs) + "}"
    twice = "{" + ", ".join([*pairs, pairs[0]]) + "}"
    (good,) = read_jsonl(FromBytes(whole.encode()))
    (bad,) = read_jsonl(FromBytes(twice.encode()))
    assert isinstance(good, Row)
    assert isinstance(bad, Rejected)


@dataclasses.dataclass
class Point:
    x: int


class Frame:
    def model_dump(self, mode: str) -> dict[str, str]:
        return {"mode": mode}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Point(1), '{"x":1}'),
        (datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), '"2026-01-02T00:00:00Z"'),
        (b"ab", '"YWI="'),
        (Decimal("1.10"), '"1.10"'),
        ({1}, "[1]"),
        (float("nan"), "null"),
        ([float("inf")], "[null]"),
        (PurePosixPath("/a"), '"/a"'),
        (Frame(), '{"mode":"json"}'),
        ({1: 2}, '{"1":2}'),
        ("żó\n\u2028", '"żó\\n\u2028"'),
    ],
)
def test_what_people_return_can_be_written(value: object, text: str) -> None:
    assert json_text(value).decode() == text


LOOP: list[Any] = []
LOOP.append(LOOP)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (object(), "an object cannot be written as JSON"),
        ([iter([])], "a list_iterator cannot be written as JSON"),
        (Point, "a type cannot be written as JSON"),
        ({(1, 2): 3}, "a tuple cannot be written as JSON"),
        ("\ud800", "the value holds text that cannot be UTF-8: surrogates not allowed"),
        (LOOP, "the value is nested too deep for JSON, or holds itself"),
    ],
)
def test_what_cannot_be_json_says_so(value: object, message: str) -> None:
    with pytest.raises((TypeError, ValueError)) as caught:
        json_text(value)
    assert str(caught.value) == message


def test_an_input_is_written_as_it_was_read() -> None:
    (row,) = read_jsonl(FromBytes(b' {"id": 1.10,  "n": 12345678901234567890123} \n'))
    assert isinstance(row, Row)
    row.value["id"] = "changed by the function"
    assert JsonlWriter().value(row, b"1") == b'{"input":{"id": 1.10,  "n": 12345678901234567890123},"value":1}\n'


def test_an_error_text_that_is_not_utf8_is_written_anyway() -> None:
    line = JsonlWriter().failure(Row(1, 1, b"1"), "OSError: \udcff", 2)
    assert json.loads(line) == {"input": 1, "error": "OSError: ?", "attempts": 2}


# -- CSV ------------------------------------------------------------------------------------------------------


def test_csv_is_a_dict_a_record() -> None:
    data = '\ufeffid,text\r\n1,"a ""b"", c"\r\n\r\n2,"two\nlines"\n3,5" disk\n'.encode()
    assert lines_of(read_csv, data) == [
        (2, {"id": "1", "text": 'a "b", c'}),
        (4, {"id": "2", "text": "two\nlines"}),
        (6, {"id": "3", "text": '5" disk'}),
    ]


def test_a_csv_of_nothing_has_no_rows() -> None:
    assert lines_of(read_csv, b"") == []
    assert lines_of(read_csv, b"a,b\n") == []


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"1", "the row has 1 field, the header names 2"),
        (b"1,2,3", "the row has 3 fields, the header names 2"),
        (b"a\xff,b", "not CSV: not UTF-8: byte 0xff at position 1"),
        (b"a\0,b", "not CSV: the row holds a NUL byte, which text does not"),
        (b'"a"b,c', "not CSV: ',' expected after '\"'"),
        (b"x" * (10 * MIB) + b",b", f"not CSV: field larger than field limit ({MIB})"),
        (b"x" * (17 * MIB) + b",b", "not CSV: the row has 17,825,794 bytes, the limit is 16,777,216; it was not read"),
    ],
)
def test_a_bad_record_fails_alone(line: bytes, reason: str) -> None:
    rows = list(read_csv(FromBytes(b"x,y\n1,2\n" + line + b"\n3,4\n")))
    good, bad, after = rows
    assert isinstance(bad, Rejected)
    assert (bad.line, bad.reason) == (3, reason)
    assert [it.value for it in (good, after) if isinstance(it, Row)] == [{"x": "1", "y": "2"}, {"x": "3", "y": "4"}]


@pytest.mark.parametrize("following", [3, 100_000])
def test_a_quote_that_is_never_closed_costs_its_own_line_only(following: int) -> None:
    data = b'x,y\n1,"open\n' + b"".join(b"%d,b\n" % n for n in range(following))
    bad, *rows = read_csv(FromBytes(data))
    assert isinstance(bad, Rejected)
    assert bad.line == 2
    assert [row.value["x"] for row in rows if isinstance(row, Row)] == [str(n) for n in range(following)]
    assert [row.line for row in rows] == list(range(3, following + 3))


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"a,b,a", "its header names 'a' twice"),
        (
            b"a\xff",
            "its first line cannot be a header: not CSV: not UTF-8: byte 0xff at position 1 "
            "(--encoding latin-1 reads it, if it is that)",
        ),
    ],
)
def test_a_header_must_name_columns(header: bytes, message: str) -> None:
    with pytest.raises(ValueError, match="header") as caught:
        list(read_csv(FromBytes(header + b"\n1,2,3\n")))
    assert str(caught.value) == message


CELL = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)


@given(st.lists(st.tuples(CELL, CELL), max_size=8), st.integers(1, 9))
def test_any_csv_comes_back(records: list[tuple[str, str]], size: int) -> None:
    file = io.StringIO()
    csv.writer(file, quoting=csv.QUOTE_ALL).writerows([("x", "y"), *records])
    rows = list(read_csv(FromBytes(file.getvalue().encode(), size)))
    assert [tuple(row.value.values()) for row in rows if isinstance(row, Row)] == records


PIECES = [
    *(b"1,2\n", b"1,2\r\n", b'"a,b",c\n', b'"open,2\n', b'"two\nlines",2\n', b"\n", b"\r\n", b"\xff,1\n", b'"'),
    *(b"\0,1\n", b"1\n", b"1,2,3\n", b'"a"b,c\n', b"1,\r2\n", b'x"y,2\n', b"123456789,12345678\n"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=12).map(b"".join), st.integers(1, 40), st.sampled_from([2, 3, 512]))
def test_many_records_at_once_are_read_as_one_by_one(data: bytes, size: int, together: int) -> None:
    def read(lines: int) -> list[Row | Rejected]:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("whilst.io.csv.TOGETHER", lines)
            return [*read_csv(FromBytes(b"x,y\n" + data, size), limit=18)]

    assert read(together) == read(1)


def test_csv_out_keeps_the_columns_of_csv_in() -> None:
    writer = CsvWriter(Shape(columns=["id", "value"]))
    row = Row(2, {"id": "7", "value": "changed"}, b'{"id":"7","value":"a,b"}')
    lines = [
        writer.head(),
        writer.value(row, writer.prepare({"x": [1]})),
        writer.value(row, writer.prepare(datetime.date(2026, 1, 2))),
        writer.failure(row, "ValueError: \n no", 3),
        writer.failure(Rejected(9, "broken", '"'), "", 0),
    ]
    assert list(csv.reader(io.StringIO(b"".join(lines).decode()))) == [
        ["id", "value", "value_", "error", "attempts"],
        ["7", "a,b", '{"x":[1]}', "", ""],
        ["7", "a,b", "2026-01-02", "", ""],
        ["7", "a,b", "", "ValueError: \n no", "3"],
        ['"', "", "", "line 9: broken", ""],
    ]


def test_csv_out_has_one_column_for_any_other_input() -> None:
    writer = CsvWriter(Shape(failures_here=False))
    row = Row(1, {"a": None}, b'{"a":null}')
    assert writer.head() + writer.value(row, writer.prepare(1.5)) == b'input,value\n"{""a"":null}",1.5\n'


def test_a_reader_does_not_keep_what_it_gave(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(b'{"a":1}\n' * 1000)
    rows = read_jsonl(ByteSource(os.open(path, os.O_RDONLY), "x"))
    next(rows)
    rows.close()  # type: ignore[attr-defined]


def test_a_header_of_many_columns_costs_what_its_length_costs() -> None:
    """Ten times the columns take ten times as long, not a hundred: told in CPU time, with a wide margin."""

    def cpu(columns: int) -> float:
        data = ",".join(f"column {number}" for number in range(columns)).encode() + b"\n"
        data += b",".join([b"1"] * columns) + b"\n"
        before = time.process_time()
        assert len(lines_of(read_csv, data)) == 1
        return time.process_time() - before

    assert cpu(40_000) < 100 * max(cpu(4_000), 0.002)


@pytest.mark.parametrize("delimiter", [",", "\t"])
@pytest.mark.parametrize("values_only", [False, True])
def test_a_large_cell_is_the_same_cell_as_a_small_one(tmp_path: Path, delimiter: str, values_only: bool) -> None:
    name = str(tmp_path / ("out.csv" if delimiter == "," else "out.tsv"))
    texts = [it * 400_000 for it in ("x", '"', "a,b\t\r\n", "ż")]
    sink = open_output(name)
    sink.begin(Shape(values_only=values_only, failures_here=False))
    for number, text in enumerate([*texts, "small"], 1):
        value = {"a": 1, "value": text, "b": None, "c": ""}
        sink.write(Row(number, text, json.dumps(text).encode()), sink.prepare(value if values_only else text))
    assert sink.finish() is None
    limit = csv.field_size_limit(1 << 30)
    try:
        with open(name, newline="", encoding="utf-8") as file:
            rows = [*csv.DictReader(file, delimiter=delimiter)]
    finally:
        csv.field_size_limit(limit)
    assert [row["value"] for row in rows] == [*texts, "small"]
    if values_only:
        assert {(row["a"], row["b"], row["c"]) for row in rows} == {("1", "", "")}
    else:
        assert [row["input"] for row in rows] == [*texts, "small"]
