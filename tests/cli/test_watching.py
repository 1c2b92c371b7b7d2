"""How far a command is, is said in rows, and never more than is known."""

from __future__ import annotations

import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest

from whilst.cli.feed import Feed
from whilst.cli.watching import FEWEST, Watched
from whilst.io.rows import Rejected, Row
from whilst.sinks.extent import Extent


class Reading:
    """An input of which so much was read."""

    def __init__(self, size: int | None = None, consumed: int = 0) -> None:
        self.size = size
        self.consumed = consumed


def rows(count: int) -> Iterator[Row | Rejected]:
    return (Row(n, n, b"0") for n in range(count))


def watched(path: Path, format: str, feed: Feed, reading: Reading | None = None, take: int | None = None) -> Watched:
    return Watched(feed, reading or Reading(), take=take, path=str(path), format=format)


@pytest.mark.parametrize(
    ("name", "content", "found"),
    [
        ("in.txt", "a\nb\nc\n", Extent(total=3)),
        ("in.txt", "a\nb\nc", Extent(total=3)),
        ("in.txt", "", Extent(total=0)),
        ("in.jsonl", "1\n\n2\n", Extent(about=2)),  # blank lines are no rows, mostly
        ("in.csv", 'a,b\n1,2\n3,"x\ny"\n', Extent(about=3)),  # a record may span lines
    ],
)
def test_the_lines_of_a_small_file_are_counted_before_they_are_done(
    name: str, content: str, found: Extent, tmp_path: Path
) -> None:
    """All of it is read at once: to say how much was read would say that all is done."""
    (tmp_path / name).write_text(content)
    format = {"txt": "text"}.get(name[3:], name[3:])
    assert watched(tmp_path / name, format, Feed(rows(9), None, name), Reading(len(content), len(content)))() == found


def test_the_end_of_the_source_settles_how_many_there_are(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text('a\n"1\n2"\n')
    feed = Feed(rows(5), None, "in.csv")
    extent = watched(tmp_path / "in.csv", "csv", feed)
    assert extent() == Extent(about=2)
    assert len([*feed]) == 5
    assert extent() == Extent(total=5)


def test_a_parquet_file_says_it_itself(tmp_path: Path) -> None:
    pyarrow = pytest.importorskip("pyarrow")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pyarrow.table({"id": list(range(3000))}), tmp_path / "in.parquet")
    found = watched(tmp_path / "in.parquet", "parquet", Feed(rows(1), None, ""), Reading(100, 99))()
    assert found == Extent(total=3000)


def test_an_archive_is_estimated_by_what_was_read_before_the_last_piece(tmp_path: Path) -> None:
    """Also under a name that does not say that it is one."""
    (tmp_path / "in.jsonl").write_bytes(gzip.compress(b"1\n" * 1000))
    reading = Reading(10 * FEWEST)
    feed = Feed(rows(10**6), None, "in")
    extent = watched(tmp_path / "in.jsonl", "jsonl", feed, reading)
    assert extent() == Extent()
    reading.consumed = FEWEST
    assert extent() == Extent()  # nobody knows yet how many rows are in that piece
    feed.given, reading.consumed = 1000, 2 * FEWEST
    assert extent() == Extent(about=10_000)


@pytest.mark.parametrize(("take", "found"), [(2, Extent(total=2)), (7, Extent(total=3))])
def test_no_more_than_was_asked_for_is_announced(take: int, found: Extent, tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("a\nb\nc\n")
    assert watched(tmp_path / "in.txt", "text", Feed(rows(9), None, ""), take=take)() == found


def test_what_is_no_file_is_not_counted(tmp_path: Path) -> None:
    assert watched(tmp_path / "nothing", "text", Feed(rows(9), None, ""))() == Extent()
