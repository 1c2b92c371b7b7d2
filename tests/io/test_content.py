"""What is in an input, whatever its name says: read all the same and said, or refused with the line that works."""

from __future__ import annotations

import gzip
import io
import json
import os
import re
import tarfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.io.csv import read_csv
from whilst.io.json_array import read_json
from whilst.io.lines import ByteSource
from whilst.io.open import FORMATS, Manner, given_input, open_input
from whilst.io.refusal import BrokenInput, Refused
from whilst.io.rows import Rejected, Row

ROWS = b"id,name\n1,a\n2,b\n"


def archive() -> bytes:
    """Return a tar archive of one file."""
    written = io.BytesIO()
    with tarfile.open(fileobj=written, mode="w") as file:
        file.addfile(tarfile.TarInfo("rows.csv"), io.BytesIO())
    return written.getvalue()


TAR = archive()


def read(path: Path, data: bytes, format: str | None = None, **manner: str) -> tuple[list[Any], list[str]]:
    """Write a file, read it, and return values (reasons of rejected rows) and notes."""
    path.write_bytes(data)
    opened = open_input(str(path), format, Manner(**manner))
    values = [it.value if isinstance(it, Row) else it.reason for it in opened.rows()]
    return values, [it.replace(str(path), path.name) for it in opened.notes]


def refusal(path: Path, data: bytes, **manner: str) -> str:
    with pytest.raises(Refused) as caught:
        read(path, data, **manner)
    return str(caught.value).replace(str(path), path.name)


# -- names ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["hosts", "hosts.list", "hosts.log", "a.2024-01-02", "hosts.TXT", ".hidden", "x.text"])
def test_a_file_of_no_known_kind_is_lines_of_text(tmp_path: Path, name: str) -> None:
    assert read(tmp_path / name, b"a\nb\n") == (["a", "b"], [])


@pytest.mark.parametrize(
    ("name", "remedy"),
    [
        ("a.xlsx", "in2csv"), ("a.sqlite", "sqlite:///"), ("a.zip", "unzip -p"), ("a.bz2", "bzcat"),
        ("a.xml", "--format text"),
        ("a.avro", ".jsonl"), ("a.pdf", "files:"), ("a.PICKLE", ".jsonl"), ("a.xlsx.gz", "in2csv"),
    ],
)  # fmt: skip
def test_a_kind_that_is_not_read_is_refused_by_its_ending(tmp_path: Path, name: str, remedy: str) -> None:
    text = refusal(tmp_path / name, b"a\nb\n")
    assert "is a kind of file that is not read" in text
    assert remedy in text


@pytest.mark.parametrize(
    ("name", "close", "format"),
    [
        ("a.cvs", "csv", "csv"),
        ("a.csvv", "csv", "csv"),
        ("a.jsn", "json", "json"),
        ("a.jsnol", "jsonl", "jsonl"),
        ("a.ndjsn", "ndjson", "jsonl"),
        ("a.txr", "txt", "text"),
        ("a.tba", "tab", "tsv"),
        ("a.parqet", "parquet", "parquet"),
    ],
)
def test_an_ending_one_letter_from_a_known_one_is_refused(tmp_path: Path, name: str, close: str, format: str) -> None:
    text = refusal(tmp_path / name, b"a\nb\n")
    assert f"nearly .{close}\n" in text
    assert f"try: --format {format}" in text
    assert "--format text" in text
    assert all(it in FORMATS for it in re.findall(r"--format (\w+)", text))


def test_a_pattern_that_is_no_list_of_files_gets_the_hint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=r"try: 'files:\*\.txt'"):
        open_input("*.txt")
    (tmp_path / "[a].txt").write_text("x\n")
    assert next(open_input("[a].txt").rows()).line == 1


def test_a_list_of_no_files_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(Refused, match=r"files:\*\.txt names no file"):
        list(open_input("files:*.txt").rows())


# -- magic ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["x", "x.txt", "x.csv", "x.jsonl", "x.json"])
@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"PAR1\x15\x04\x15\x00", ["is Parquet", "--format parquet"]),
        (b"SQLite format 3\0\x10", ["is an SQLite database", "sqlite:///"]),
        (b"PK\x03\x04\x14\x00", ["zip archive", "in2csv"]),
        (b"%PDF-1.4\n%\xe2\xe3", ["is a PDF", "pdftotext"]),
        (b"\xfd7zXZ\0\x00", ["xz-packed", "xzcat"]),
        (b"BZh91AY&SY\x01", ["bzip2-packed", "bzcat"]),
        (b"\x89PNG\r\n\x1a\n", ["is an image", "files:"]),
        (b"\x80\x04\x95\x05", ["a pickle, which runs code"]),
        ("id,name\n1,a\n".encode("utf-16-le"), ["is UTF-16, by the look of it", "--encoding utf-16-le"]),
        ("id,name\n1,a\n".encode("utf-16-be"), ["--encoding utf-16-be"]),
        (TAR, ["is a tar archive", "tar -xf ", "then 'files:FOLDER/**'"]),
    ],
)
def test_what_is_no_text_is_refused_by_what_it_is(tmp_path: Path, name: str, data: bytes, words: list[str]) -> None:
    text = refusal(tmp_path / name, data)
    assert all(word in text for word in words), text
    assert gzip.decompress(gzip.compress(data)) == data
    assert all(word in refusal(tmp_path / name, gzip.compress(data)) for word in words), "packed too"


def test_a_guess_is_refused_where_it_is_no_text(tmp_path: Path) -> None:
    assert "byte 1 is NUL" in refusal(tmp_path / "x", b"a\0b\nabc\n")
    text = refusal(tmp_path / "x", b"caf\xe9\n")
    assert "byte 0xe9 at position 3 is not UTF-8" in text
    assert "--encoding latin-1" in text
    assert read(tmp_path / "x", b"a" * 4095 + "ż\n".encode()) == (["a" * 4095 + "ż"], []), "cut in a letter"


@pytest.mark.parametrize("text", ["PAR1 is a name", "ORCHID", "BZh is none", "Obj", "GIF8 it", "PK is one too"])
def test_text_that_begins_as_another_kind_is_text(tmp_path: Path, text: str) -> None:
    assert read(tmp_path / "x", text.encode() + b"\n") == ([text], [])


def test_text_that_is_json_gets_a_hint_and_is_read_as_text(tmp_path: Path) -> None:
    values, notes = read(tmp_path / "x", b'{"a": 1}\n{"a": 2}\n')
    assert values == ['{"a": 1}', '{"a": 2}']
    assert notes == ["the first line of x is JSON, and is read as text; --format jsonl reads its value"]
    assert read(tmp_path / "x", b"[brackets] are no JSON\n")[1] == []


# -- encodings ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-16", "utf-32", "utf-8-sig"])
@pytest.mark.parametrize(("name", "kind"), [("x.csv", None), ("x", "csv"), ("x.txt", None), ("x.jsonl", None)])
def test_a_byte_order_mark_says_the_encoding(tmp_path: Path, encoding: str, name: str, kind: str | None) -> None:
    text = '{"n":"ż"}\n{"n":"ó"}\n' if name.endswith("jsonl") else "n\nż\nó\n"
    values, notes = read(tmp_path / name, text.encode(encoding), kind)
    assert [json.dumps(it, ensure_ascii=False)[-3] for it in values][-2:] in (["ż", "ó"], ["n", "ż"]) or values[
        -1:
    ] == ["ó"]
    assert notes == ([] if encoding == "utf-8-sig" else [f"{name} is {encoding.upper()}, as its first bytes say"])


@given(st.text(st.characters(exclude_characters="\n\r\0", exclude_categories=["Cs"]), min_size=1), st.integers(1, 7))
def test_any_text_comes_back_from_utf16(text: str, size: int) -> None:
    from whilst.io.content import Recognised
    from whilst.io.text import read_text

    if text.encode().isspace():
        return
    stream = Recognised(
        Pieces(f"#\n{text}\n".encode("utf-16"), max(size, 4)), "text", "", None, guessed=False, notes=[]
    )
    assert [it.value for it in read_text(stream) if isinstance(it, Row)][1:] == [text]


@pytest.mark.parametrize(
    ("encoding", "data", "values"),
    [
        ("latin-1", b"caf\xe9\n", ["café"]),
        ("cp1252", b"\x80 5\nbad \x81\ngood\n", ["€ 5", "not UTF-8: byte 0xed at position 4", "good"]),
        ("shift_jis", "日本\n".encode("shift_jis"), ["日本"]),
        ("utf-16-le", "a\nb\n".encode("utf-16-le"), ["a", "b"]),
        ("utf-8", b"a\n\xff\nb\n", ["a", "not UTF-8: byte 0xed at position 0", "b"]),
    ],
)
def test_an_encoding_by_name(tmp_path: Path, encoding: str, data: bytes, values: list[str]) -> None:
    assert read(tmp_path / "x", data, encoding=encoding)[0] == values


@pytest.mark.parametrize(
    "name", ["latin-11", "base64", "rot13", "zlib", "idna", "punycode", "undefined", "", "\0", "utf-8 "]
)
def test_an_encoding_that_is_none_is_refused(tmp_path: Path, name: str) -> None:
    if name == "utf-8 ":
        assert read(tmp_path / "x", b"a\n", encoding=name)[0] == ["a"]
        return
    assert "is not an encoding of text" in refusal(tmp_path / "x", b"a\n", encoding=name)


# -- what stands between fields -------------------------------------------------------------------------------


@pytest.mark.parametrize("mark", [";", "\t", "|"])
def test_another_delimiter_is_found_and_said(tmp_path: Path, mark: str) -> None:
    values, notes = read(tmp_path / "x.csv", ROWS.replace(b",", mark.encode()))
    assert values == [{"id": "1", "name": "a"}, {"id": "2", "name": "b"}]
    assert notes == [f"x.csv has {mark!r} between its fields; --delimiter , would read it with commas"]


def test_a_line_of_excel_says_the_delimiter(tmp_path: Path) -> None:
    for line in (b"sep=;\r\n", b'"sep=;"\n'):
        values, notes = read(tmp_path / "x.csv", line + b"a;b\r\n1;2,5\r\n")
        assert values == [{"a": "1", "b": "2,5"}]
        assert notes == ["x.csv has ';' between its fields, as its first line says"]


@pytest.mark.parametrize("given", [";", "tab", r"\t", "|", "~", " "])
def test_a_delimiter_that_is_given_is_used(tmp_path: Path, given: str) -> None:
    mark = "\t" if given in ("tab", r"\t") else given
    values, notes = read(tmp_path / "x.csv", ROWS.replace(b",", mark.encode()), delimiter=given)
    assert (values, notes) == ([{"id": "1", "name": "a"}, {"id": "2", "name": "b"}], [])


def test_one_column_stays_one_column(tmp_path: Path) -> None:
    assert read(tmp_path / "x.csv", b"a\n1;2\n") == ([{"a": "1;2"}], [])
    assert read(tmp_path / "x.csv", b'"a;b"\n1\n') == ([{"a;b": "1"}], [])
    assert read(tmp_path / "x.csv", b"a;b\n1\n", delimiter=",") == ([{"a;b": "1"}], [])


@pytest.mark.parametrize("given", ["", ";;", '"', "\n"])
def test_a_delimiter_that_cannot_be_one_is_refused(tmp_path: Path, given: str) -> None:
    assert "cannot stand between fields" in refusal(tmp_path / "x.csv", ROWS, delimiter=given)


def test_flags_that_make_no_sense_for_a_kind_are_refused(tmp_path: Path) -> None:
    assert "has no delimiter" in refusal(tmp_path / "x.jsonl", b"1\n", delimiter=";")
    assert "has no encoding" in refusal(tmp_path / "x.parquet", b"PAR1", encoding="latin-1")


def test_tabs_by_the_ending(tmp_path: Path) -> None:
    assert read(tmp_path / "x.tsv", b"a\tb\n1\t2,3\n") == ([{"a": "1", "b": "2,3"}], [])


# -- texts that NUL ends, and arguments -----------------------------------------------------------------------


def test_texts_that_end_with_nul(tmp_path: Path) -> None:
    data = b"a\0b\nc\0\0 \0\xff\0last"
    assert read(tmp_path / "x", data, "nul")[0] == ["a", "b\nc", " ", "not UTF-8: byte 0xff at position 0", "last"]


def test_arguments_are_inputs() -> None:
    rows = list(given_input(["a", "-b", "", "\udcff"]).rows())
    assert [it.value if isinstance(it, Row) else it.reason for it in rows] == [
        "a",
        "-b",
        "",
        "the argument is not UTF-8",
    ]


# -- one array ------------------------------------------------------------------------------------------------


class Pieces(ByteSource):
    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(-1, "x.json", owned=False)
        self._data, self._piece = data, size

    def chunks(self) -> Any:
        for start in range(0, len(self._data), self._piece):
            yield self._data[start : start + self._piece]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**60), 2**60) | st.text(st.characters(exclude_categories=["Cs"]))
    | st.sampled_from(['"', "\\", '\\"', "[", "]", "{", "},", '"]']),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text("ab\"\\[]{}", max_size=3), inner, max_size=4),
    max_leaves=10,
)  # fmt: skip


@given(st.lists(JSON, max_size=6), st.integers(1, 40), st.sampled_from([None, 1, 4]), st.booleans())
def test_any_array_comes_back(values: list[Any], size: int, indent: int | None, escaped: bool) -> None:
    values = [it for it in values if not (isinstance(it, dict) and "error" in it)]
    data = json.dumps(values, indent=indent, ensure_ascii=escaped).encode()
    rows = list(read_json(Pieces(b" \n" + data + b"\n", size)))
    assert [it.value for it in rows if isinstance(it, Row)] == values
    assert [it.line for it in rows] == list(range(1, len(values) + 1))
    assert not any(b"\n" in it.raw for it in rows if isinstance(it, Row)), "one line an outcome"


@pytest.mark.parametrize(
    ("data", "values"),
    [
        (b"[]", []),
        (b"[1, {, 3]", [1]),
        (b"[1, nope, 3]", [1, "not JSON: invalid character (byte 4)", 3]),
        (b"[1,,3]", [1, "not JSON: nothing is there", 3]),
        (b"[1,]", [1, "not JSON: nothing is there"]),
        (b'[1, {"a": 1, "a": 2}, 3]', [1, "the field 'a' occurs twice", 3]),
        (b'[1, "' + b"x" * 3000 + b'\\"", 3]', [1, "the row has 3,004 bytes, the limit is 1,000; it was not read", 3]),
        (b"[1, [" + b"1," * 3000 + b"1], 3]", [1, "the row has 6,003 bytes, the limit is 1,000; it was not read", 3]),
    ],
)
def test_a_bad_element_fails_alone(data: bytes, values: list[Any]) -> None:
    for size in (7, 10_000):
        got: list[Any] = []
        with suppress(BrokenInput):  # where a bracket is missing, nothing after it can be told apart
            got.extend(it.value if isinstance(it, Row) else it.reason for it in read_json(Pieces(data, size), 1000))
        assert got == values


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", "it is empty"),
        (b'{"a": 1}\n{"a": 2}\n', r"should hold one array, and begins with.*--format jsonl"),
        (b"[1, 2", "cut off"),
        (b"[1, 2] 3", "something follows the array"),
        (b"[1, 2}", "ends with }"),
    ],
)
def test_what_is_no_array_is_an_error(data: bytes, error: str) -> None:
    with pytest.raises((ValueError, BrokenInput), match=error):
        list(read_json(Pieces(data, 3)))


def test_a_large_text_in_small_pieces_takes_time_that_grows_with_it(tmp_path: Path) -> None:
    import time

    def cpu(size: int) -> float:
        data = b'["' + b"x" * size + b'"]'
        before = time.process_time()
        (row,) = read_json(Pieces(data, 65536), limit=100_000_000)
        assert isinstance(row, Row)
        return time.process_time() - before

    assert cpu(16_000_000) < 100 * max(cpu(1_000_000), 0.002)


def test_the_delimiter_is_looked_for_in_the_first_line_alone() -> None:
    rows = list(read_csv(Pieces(b"a,b\n1;2,3\n", 2)))
    assert [it.value if isinstance(it, Row) else it.reason for it in rows] == [{"a": "1;2", "b": "3"}]


def test_a_pipe_is_not_waited_for_beyond_its_first_bytes() -> None:
    into, out = os.pipe()
    os.write(out, b"first\n")
    rows = open_input(f"/dev/fd/{into}", "text").rows()
    assert isinstance(row := next(rows), Row | Rejected)
    assert row.line == 1
    os.close(out)
    assert list(rows) == []
    os.close(into)
