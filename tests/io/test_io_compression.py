"""Archives: what is packed comes back, bombs stay small, damage gives what was before it."""

from __future__ import annotations

import gzip
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from whilst.io.compression import Unpacked, compressor
from whilst.io.lines import ByteSource
from whilst.io.open import UnknownKind, open_input, open_output
from whilst.io.refusal import BrokenInput, Refused
from whilst.io.rows import Rejected, Row
from whilst.io.sink import Shape

zstandard = pytest.importorskip("zstandard")

KINDS = ["gzip", "zstd"]
PACK: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": lambda data: zstandard.ZstdCompressor().compress(data),
}
MIB = 1024 * 1024


class FromBytes(ByteSource):
    def __init__(self, data: bytes, size: int) -> None:
        super().__init__(-1, "test", owned=False)
        self._data, self._chunk = data, max(1, size)

    def chunks(self) -> Iterator[bytes]:
        for start in range(0, len(self._data), self._chunk):
            yield self._data[start : start + self._chunk]


def unpacked(kind: str, data: bytes, size: int = 1 << 20) -> bytes:
    return b"".join(Unpacked(FromBytes(data, size), kind).chunks())


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.binary(max_size=2000), max_size=4), size=st.integers(1, 700))
def test_archives_one_after_the_other_are_one_whatever_the_chunks(kind: str, parts: list[bytes], size: int) -> None:
    assert unpacked(kind, b"".join(PACK[kind](part) for part in parts), size) == b"".join(parts)


@pytest.mark.parametrize("kind", KINDS)
@given(parts=st.lists(st.binary(max_size=2000), max_size=4))
def test_what_is_packed_piece_by_piece_comes_back(kind: str, parts: list[bytes]) -> None:
    packer = compressor(kind)
    data = b"".join(packer.compress(part) for part in parts) + packer.flush()
    assert unpacked(kind, data) == b"".join(parts)


def test_zeros_behind_a_gzip_archive_are_padding() -> None:
    assert unpacked("gzip", gzip.compress(b"a") + b"\0" * 100 + gzip.compress(b"b") + b"\0" * 50, 7) == b"ab"


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 256 * 1024, 3 * 256 * 1024])
def test_an_archive_whose_content_fills_whole_pieces_is_not_cut_off(kind: str, size: int) -> None:
    data = b"x" * size
    assert unpacked(kind, PACK[kind](data)) == data


def rows_of(path: Path) -> tuple[list[Any], str]:
    rows: list[Any] = []
    try:
        rows.extend(row.value if isinstance(row, Row) else row for row in open_input(str(path)).rows())
    except BrokenInput as error:
        return rows, error.strerror or ""
    return rows, ""


@pytest.mark.parametrize(("kind", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_an_archive_that_ends_too_early_gives_what_could_be_read(tmp_path: Path, kind: str, ending: str) -> None:
    data = PACK[kind](b"".join(b'{"n": %d, "x": "%d"}\n' % (n, n * n) for n in range(200_000)))
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(data[: len(data) * 2 // 3])
    rows, error = rows_of(path)
    assert error.endswith("archive is cut off: its end is missing")
    assert 1000 < len(rows) < 200_000
    assert rows == [{"n": n, "x": str(n * n)} for n in range(len(rows))]


@pytest.mark.parametrize(("kind", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_what_is_not_packed_is_read_as_it_is_and_that_is_said(tmp_path: Path, kind: str, ending: str) -> None:
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(b'{"n": 1}\n')
    opened = open_input(str(path))
    assert [it.value for it in opened.rows() if isinstance(it, Row)] == [{"n": 1}]
    assert opened.notes == [f"{path} is not packed, whatever its name says"]
    path.write_bytes(b"\x00\x01\xff no archive")
    with pytest.raises(Refused, match="is not text"):
        list(open_input(str(path)).rows())


@pytest.mark.parametrize(("kind", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_what_is_packed_is_unpacked_whatever_its_name_says(tmp_path: Path, kind: str, ending: str) -> None:
    packer = compressor(kind)
    packed = packer.compress(b"7\n8\n") + packer.flush()
    for name in ("rows.jsonl", "rows.txt", "rows"):
        path = tmp_path / name
        path.write_bytes(packed)
        opened = open_input(str(path))
        assert [str(it.value) for it in opened.rows() if isinstance(it, Row)] == ["7", "8"]
        (note,) = opened.notes
        assert "is packed with" in note


@pytest.mark.parametrize(("kind", "ending"), [("gzip", ".gz"), ("zstd", ".zst")])
def test_a_bomb_is_a_rejected_row_and_not_memory(tmp_path: Path, kind: str, ending: str) -> None:
    """A line of 128 MiB in an archive of an eighth of one or less."""
    packer = compressor(kind)
    zeros = b"0" * MIB
    packed = packer.compress(b'1\n"') + b"".join(packer.compress(zeros) for _ in range(128))
    packed += packer.compress(b'"\n2\n') + packer.flush()
    assert len(packed) < MIB
    path = tmp_path / f"rows.jsonl{ending}"
    path.write_bytes(packed)
    tracemalloc.start()
    try:
        rows, error = rows_of(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert error == ""
    assert [rows[0], rows[2]] == [1, 2]
    assert isinstance(rows[1], Rejected)
    assert rows[1].reason == "the row has 134,217,730 bytes, the limit is 16,777,216; it was not read"
    assert peak < 80 * MIB


@pytest.mark.parametrize("name", ["rows.jsonl.gz", "rows.csv.gz", "rows.jsonl.zst", "ROWS.JSONL.GZ"])
def test_an_output_is_packed_by_its_name(tmp_path: Path, name: str) -> None:
    sink = open_output(str(tmp_path / name))
    sink.begin(Shape())
    for number in range(10_000):
        sink.write(Row(number, number, b"%d" % number), sink.prepare(number * 2))
        if number % 1000 == 0:
            sink.flush()
    sink.finish()
    rows, error = rows_of(tmp_path / name)
    assert (len(rows), error) == (10_000, "")
    assert (tmp_path / name).stat().st_size < 100_000


def test_a_parquet_file_is_not_packed_again(tmp_path: Path) -> None:
    (tmp_path / "rows.parquet.gz").touch()
    for refused in (open_input, open_output):
        with pytest.raises(UnknownKind, match="no ending"):
            refused(str(tmp_path / "rows.parquet.gz"), **({"overwrite": True} if refused is open_output else {}))


def test_a_package_that_is_missing_is_named_before_anything_happens(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "zstandard", None)
    (tmp_path / "in.jsonl.zst").touch()
    with pytest.raises(Refused, match=r"pip install 'whilst\[zstd\]'"):
        open_input(str(tmp_path / "in.jsonl.zst"))
    with pytest.raises(Refused, match=r"pip install 'whilst\[zstd\]'"):
        open_output(str(tmp_path / "out.jsonl.zst"))
    assert [it.name for it in tmp_path.iterdir()] == ["in.jsonl.zst"]
