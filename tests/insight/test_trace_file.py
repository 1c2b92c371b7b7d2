"""A trace is small, survives a kill at any byte, and gives back what was recorded."""

from __future__ import annotations

import os
import random
from array import array
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from recordings import calls

from whilst.insight import tracefile
from whilst.insight.chunks import Chunk, Columns, byte_planes, decoded, encoded, from_planes, tick_of, zigzag
from whilst.insight.filing import FileSink
from whilst.insight.looks import Look
from whilst.insight.recorded import Beginning, read_trace
from whilst.insight.spans import FAILED, Node
from whilst.insight.tracefile import Appender, NoTrace, check_path

ROWS = st.lists(st.tuples(st.integers(0, 1 << 60), st.floats(0, 1e5), st.floats(0, 1e4)), max_size=50)


@given(ROWS)
def test_a_chunk_gives_back_what_it_was_made_of_to_a_tick(rows: list[tuple[int, float, float]]) -> None:
    index, started, took = (list(column) for column in zip(*rows, strict=True)) if rows else ([], [], [])
    back = decoded(encoded(Columns.of(index, started, took), Chunk(0, 0.0, 1, len(index))))
    tick = back.head.tick
    assert list(back.index) == index
    assert all(abs(a - b) <= tick * 1.001 for a, b in zip(back.took, took, strict=True))
    assert all(abs(a - b) <= 2.001 * tick + 1e-9 for a, b in zip(back.started, started, strict=True))


@given(st.lists(st.integers(0, (1 << 62) - 1)))
def test_numbers_come_back_from_their_bytes(numbers: list[int]) -> None:
    column = array("q", numbers)
    assert from_planes(byte_planes(column), len(column)) == column
    assert all(number >= 0 for number in zigzag(numbers))


def test_a_tick_is_a_part_of_the_usual_call() -> None:
    for usual in (0.0, 1e-6, 0.003, 0.02, 1.0, 90.0):
        tick = tick_of([usual] * 3, 500)
        assert tick == 1e-7 or usual / 5000 <= tick <= usual / 500


def test_a_call_takes_at_most_four_bytes_on_the_disk(tmp_path: Path) -> None:
    path = str(tmp_path / "run.trace")
    write(path, rows=calls(40_960))
    assert os.path.getsize(path) <= 4 * 40_960


def write(
    path: str, *, rows: list[tuple[int, float, float]] | None = None, goes_on: bool = False, ends: bool = True
) -> None:
    sink = FileSink(path, Beginning("fetch", 1.8e9, 8, 4096, pid=7), goes_on=goes_on)
    rows = calls(4096) if rows is None else rows
    for at in range(0, len(rows), 4096):
        index, started, took = (list(column) for column in zip(*rows[at : at + 4096], strict=True))
        head = Chunk(0, 0.0, 1, len(index), [(3, FAILED, 2)], ["429"], [1 + at // 4096], [(0, index[3], "no", 2, 0.5)])
        sink.calls(Columns.of(index, started, took), head)
        sink.look(Look(float(at), in_flight=8, permitted=8))
    sink.events([{"t": 0.5, "event": "paused", "seconds": 1.0}])
    sink.nodes({"sequence[0]": Node(3, 1, 0.5, 0.4)})
    if ends:
        sink.end({"ok": len(rows) - 1, "failed": 1, "elapsed": 4.0})
    else:
        assert sink._file is not None
        sink._file.close()


def test_what_was_recorded_is_read(tmp_path: Path) -> None:
    path = str(tmp_path / "run.trace")
    rows = calls(10_000)
    write(path, rows=rows)
    found = read_trace(path)
    assert len(found.spans) == 10_000
    assert sorted(found.spans.index) == list(range(10_000))
    assert found.kinds.names == ["429"]
    assert found.kinds.counts == [3], "each chunk told how many there were so far"
    assert found.kinds.examples[0][0].message == "no"
    assert found.kinds.examples[0][0].attempts == 2
    (session,) = found.sessions
    assert session.beginning.pid == 7
    assert session.passed == 10_000
    assert not session.killed
    assert session.nodes["sequence[0]"].failed == 1
    assert session.events[0]["event"] == "paused"
    assert session.looks[0].permitted == 8
    assert list(found.spans.status).count(FAILED) == 3
    assert list(found.spans.attempts.values()) == [2, 2, 2]


def test_a_file_that_is_cut_anywhere_still_gives_what_is_whole(tmp_path: Path) -> None:
    path, cut = str(tmp_path / "run.trace"), str(tmp_path / "cut.trace")
    write(path, rows=calls(8192))
    data = Path(path).read_bytes()
    chance, seen = random.Random(1), set[int]()
    for size in [*sorted(chance.sample(range(len(tracefile.MAGIC), len(data)), 60)), len(data) - 3]:
        Path(cut).write_bytes(data[:size])
        try:
            found = read_trace(cut)
        except NoTrace:  # there is no run in it yet
            continue
        seen.add(len(found.spans))
        assert found.sessions[0].killed
    assert seen == {0, 4096, 8192}


def test_bytes_that_are_flipped_are_left_out_never_believed(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    write(str(path))
    data, chance = path.read_bytes(), random.Random(2)
    for _ in range(100):
        hurt = bytearray(data)
        hurt[chance.randrange(len(tracefile.MAGIC), len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(hurt)
        try:
            found = read_trace(str(path))
        except NoTrace:
            continue
        assert len(found.spans) in (0, 4096)


def test_what_is_behind_a_damaged_place_is_read_and_the_damage_is_said(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    write(str(path), rows=calls(4 * 4096))
    data = path.read_bytes()
    assert not read_trace(str(path)).notes
    second = data.index(tracefile.CALLS, data.index(tracefile.CALLS) + 4)
    for hurt in (
        data[: second + 500] + b"\xff" * 8 + data[second + 508 :],
        data[: second + 500] + data[second + 600 :],
    ):
        path.write_bytes(hurt)
        found = read_trace(str(path))
        assert len(found.spans) == 3 * 4096
        assert not found.sessions[0].killed, "its end is there"
        assert "The file is damaged: " in found.notes[0]
    write(str(path), goes_on=True)
    found = read_trace(str(path))
    assert [len(session.rows) for session in found.sessions] == [3 * 4096, 4096], "who goes on cuts off nothing whole"


def test_a_run_that_goes_on_is_added_behind_the_half_of_a_block(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    write(str(path), ends=False)
    path.write_bytes(path.read_bytes()[:-5])
    write(str(path), goes_on=True)
    found = read_trace(str(path))
    first, second = found.sessions
    assert first.killed
    assert not second.killed
    assert second.offset > first.seconds
    assert found.spans.started[4096] >= second.offset
    assert found.kinds.counts == [2]
    assert len(found.spans) == 8192


def test_a_run_that_does_not_go_on_replaces_the_trace(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    write(str(path))
    write(str(path))
    assert len(read_trace(str(path)).sessions) == 1


def test_a_file_that_is_no_trace_is_never_written_to(tmp_path: Path) -> None:
    path = tmp_path / "thesis.txt"
    path.write_text("years of work")
    with pytest.raises(NoTrace, match=r"is not a trace of whilst\n  try: another name"):
        check_path(str(path))
    with pytest.raises(NoTrace):
        Appender(str(path), goes_on=False)
    assert path.read_text() == "years of work"


def test_a_trace_of_a_later_version_is_said_to_be_one(tmp_path: Path) -> None:
    path = tmp_path / "run.trace"
    path.write_bytes(b"whilst trace 2\n")
    with pytest.raises(NoTrace, match="version 2, and this whilst reads version 1"):
        read_trace(str(path))


def test_two_runs_cannot_record_to_one_file_at_a_time(tmp_path: Path) -> None:
    path = str(tmp_path / "run.trace")
    first = Appender(path, goes_on=False)
    assert tracefile.is_recorded_to(path)
    with pytest.raises(NoTrace, match="another run"):
        Appender(path, goes_on=True)
    first.close()
    assert not tracefile.is_recorded_to(path)
    Appender(path, goes_on=True).close()


def test_a_link_that_was_planted_is_not_followed(tmp_path: Path) -> None:
    target, path = tmp_path / "precious", tmp_path / "run.trace"
    target.write_bytes(b"")
    path.symlink_to(target)
    with pytest.raises(ValueError, match="symbolic link"):
        check_path(str(path))
    with pytest.raises(OSError, match="symbolic link"):
        Appender(str(path), goes_on=False)
    assert target.read_bytes() == b""


@given(st.binary(max_size=300))
def test_nonsense_behind_the_magic_line_harms_nobody(rubbish: bytes) -> None:
    with pytest.MonkeyPatch.context():
        import tempfile

        with tempfile.NamedTemporaryFile(suffix=".trace") as file:
            file.write(tracefile.MAGIC + rubbish)
            file.flush()
            with pytest.raises(NoTrace):
                read_trace(file.name)
