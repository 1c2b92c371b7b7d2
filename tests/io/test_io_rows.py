"""Rows, one by one or many at once: nothing is lost or told twice, however the two are mixed."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from whilst.cli.feed import LARGE, Feed
from whilst.io.csv_sink import CsvWriter
from whilst.io.jsonl import JsonlWriter
from whilst.io.rows import Rejected, Row, Rows
from whilst.io.sink import Shape

BAD = Rejected(2, "broken", "")


def rows_of(sizes: Sequence[int]) -> list[list[Row | Rejected]]:
    numbers = iter(range(1, 1 + sum(sizes)))
    return [[Row(next(numbers), None, b"null") for _ in range(size)] for size in sizes]


@given(st.lists(st.integers(0, 4)), st.integers(0, 6))
def test_what_was_not_read_one_by_one_comes_many_at_once(sizes: list[int], alone: int) -> None:
    rows = Rows(iter(rows_of(sizes)))
    first = [row for row, _ in zip(rows, range(alone), strict=False)]
    if len(first) == alone and sum(sizes) > alone:  # `zip` has taken one more than it gave
        rest = [row for some in rows.batches() for row in some]
        assert [row.line for row in first + rest] == [it for it in range(1, sum(sizes) + 1) if it != alone + 1]
    else:
        assert [row.line for row in first] == [*range(1, sum(sizes) + 1)]


@given(st.lists(st.integers(0, 4), min_size=1))
def test_a_row_that_was_put_back_comes_first(sizes: list[int]) -> None:
    rows = Rows(iter(rows_of(sizes)))
    if (first := next(rows, None)) is not None:
        rows.unread(first)
    batches = list(rows.batches())
    assert [row.line for some in batches for row in some] == [*range(1, sum(sizes) + 1)]
    assert all(batches)


def test_a_feed_gives_a_row_alone_where_something_has_to_be_said_of_it() -> None:
    small, large = Row(1, None, b"1"), Row(3, None, b"x" * (LARGE + 1))
    for some in ([small, BAD, small], [small, large], [large, BAD]):
        feed = Feed(Rows(iter([some, [small, small]])), None, "rows")
        assert [*feed.batches()] == [*([row] for row in some), [small, small]]


def test_a_feed_takes_large_rows_one_after_another_also_when_rows_come_many_at_once() -> None:
    large = Row(1, None, b"x" * (LARGE + 1))
    feed = Feed(Rows(iter([[large, large], [large]])), None, "rows", room=LARGE + 1)
    batches = feed.batches()
    for _ in range(3):
        assert next(batches) == [large]
        feed.all_delivered([large])
    assert next(batches, None) is None


def test_a_closed_feed_reads_no_further() -> None:
    large = Row(1, None, b"x" * (LARGE + 1))
    feed = Feed(Rows(iter([[large, large], [large], [large]])), None, "rows", room=LARGE + 1)
    batches = feed.batches()
    next(batches)
    feed.close()
    assert [*batches] == []


@given(st.lists(st.tuples(st.text(max_size=3), st.binary(max_size=5)), min_size=1), st.booleans())
def test_lines_made_together_are_those_made_one_by_one(texts: list[tuple[str, bytes]], values_only: bool) -> None:
    rows, prepared = [Row(1, None, json.dumps(raw).encode()) for raw, _ in texts], [made for _, made in texts]
    for writer in (JsonlWriter(values_only=values_only), CsvWriter(Shape())):
        assert writer.values(rows, prepared) == b"".join(map(writer.value, rows, prepared))
