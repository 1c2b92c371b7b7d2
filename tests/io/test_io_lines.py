"""The line splitter against the model `bytes.split`, whatever the chunks."""

from __future__ import annotations

import itertools
import os

from hypothesis import given
from hypothesis import strategies as st

from whilst.io.lines import ByteSource, split_lines
from whilst.io.rows import EXCERPT, Overlong


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = [0, *sorted(place % (len(data) + 1) for place in places), len(data)]
    return [data[a:b] for a, b in itertools.pairwise(edges)]


def model(data: bytes, limit: int) -> list[tuple[int, bytes | Overlong]]:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    out: list[tuple[int, bytes | Overlong]] = []
    for number, line in enumerate(lines, 1):
        if len(line) > limit:
            out.append((number, Overlong(len(line), line[: min(limit, EXCERPT)])))
        else:
            out.append((number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line))
    return out


@given(
    data=st.lists(st.sampled_from([b"\n", b"a", b"bc", b"\r\n", b"\0", b"\xef\xbb\xbf", b"x" * 9]), max_size=40),
    places=st.lists(st.integers(0, 400), max_size=12),
    limit=st.integers(1, 30),
)
def test_lines_are_those_of_split_whatever_the_chunks(data: list[bytes], places: list[int], limit: int) -> None:
    whole = b"".join(data)
    found = [
        (number, Overlong(line.size, line.head[:limit]) if isinstance(line, Overlong) else line)
        for number, line in split_lines(cut(whole, places), limit)
    ]
    assert found == model(whole, limit)


def test_an_endless_line_is_not_kept() -> None:
    chunk = b"x" * 1000
    seen = 0

    def chunks():
        nonlocal seen
        for _ in range(10_000):
            seen += 1
            yield chunk
        yield b"\nlast"

    assert list(split_lines(chunks(), limit=5000)) == [
        (1, Overlong(10_000_000, b"x" * EXCERPT)),
        (2, b"last"),
    ]
    assert seen == 10_000


def test_a_line_is_given_as_soon_as_it_ends() -> None:
    read, write = os.pipe()
    lines = split_lines(ByteSource(read, "pipe").chunks())
    os.write(write, b"one\ntw")
    assert next(lines) == (1, b"one")  # would wait for ever if it read on
    os.write(write, b"o\n")
    assert next(lines) == (2, b"two")
    os.close(write)
    assert list(lines) == []


def test_the_descriptor_is_closed_at_the_end_but_not_a_borrowed_one() -> None:
    for owned in (True, False):
        read, write = os.pipe()
        os.close(write)
        assert list(ByteSource(read, "pipe", owned=owned).chunks()) == []
        try:
            os.fstat(read)
            closed = False
            os.close(read)
        except OSError:
            closed = True
        assert closed is owned
