"""When did a call start, and how long did it take? In this run, from the journal, in an export, after a rescue."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from journalkit import admitted, drive, opened, record
from test_strict import Disk

import whilst
from whilst import testing
from whilst.journal import read_outcomes, rescue
from whilst.journal.frame import Batch, Columns, Item, Last, checked, framed, packed
from whilst.journal.overflow import Overflow
from whilst.journal.store import Store


async def nap(x: int) -> int:
    await asyncio.sleep(3600.0)
    if x == 1:
        raise ValueError(x)
    return x


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_an_outcome_that_is_recalled_has_no_start_and_the_time_that_it_took(tmp_path: Path, commit: Any) -> None:
    def run(**more: Any) -> list[Any]:
        async def main() -> list[Any]:
            journal = whilst.Journal(tmp_path / "run.db", commit=commit, **more)
            return await whilst.map(nap, range(3), journal=journal, concurrency=1).outcomes()

        found: list[Any] = testing.run(main())
        return found

    first = run()
    assert [(o.recalled, round(o.started), round(o.took)) for o in first] == [
        (False, 0, 3600),
        (False, 3600, 3600),
        (False, 7200, 3600),
    ]
    again = run(retry_failed=False)
    assert [(o.recalled, o.started, round(o.took)) for o in again] == [(True, None, 3600)] * 3
    assert "3600" in repr(again[0])
    third = run()
    assert [(o.recalled, o.started is None) for o in third] == [(True, True), (False, False), (True, True)]


def test_an_input_that_cannot_be_identified_was_not_recalled(tmp_path: Path) -> None:
    failed, fine = whilst.map(str, [object(), 1], journal=tmp_path / "run.db").outcomes().list()
    assert isinstance(failed.error, whilst.Unstorable)
    assert (failed.recalled, failed.attempts, fine.recalled) == (False, 0, False)
    assert failed.started is not None
    assert 0 <= failed.started < 60


def test_the_journal_says_when_each_call_started_in_utc(tmp_path: Path) -> None:
    before = time.time()
    whilst.map(abs, range(3), journal=tmp_path / "run.db").list()
    between = time.time()
    whilst.map(abs, range(6), journal=tmp_path / "run.db").list()
    after = time.time()
    found = {int(each.input): each for each in read_outcomes(tmp_path / "run.db")}
    for x, each in found.items():
        assert each.started_at is not None
        assert each.started_at.tzinfo is UTC
        assert each.began is not None
        assert each.started is not None
        assert 0 <= each.started < 60
        assert each.started_at == datetime.fromtimestamp(each.began + each.started, UTC)
        earliest, latest = (before, between) if x < 3 else (between, after)
        assert earliest - 0.01 <= each.started_at.timestamp() <= latest + 0.01
    assert len({each.began for each in found.values()}) == 2


def test_a_clock_that_is_set_while_a_run_goes_on_changes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The wall clock is read once, when the run begins; the rest is a duration."""

    async def main() -> None:
        real = time.time
        run = whilst.map(nap, [0, 2], journal=tmp_path / "run.db", concurrency=1)
        async for _ in run:
            monkeypatch.setattr("time.time", lambda: real() + 86_400)

    testing.run(main())
    first, second = read_outcomes(tmp_path / "run.db")
    assert first.started_at is not None
    assert second.started_at is not None
    assert timedelta(seconds=3590) < second.started_at - first.started_at < timedelta(seconds=3610)


def test_the_times_go_through_a_rescue_file_and_a_rescued_journal(tmp_path: Path) -> None:
    before = time.time()
    disk = Disk(0, 99)
    with disk.installed(), pytest.raises(whilst.JournalError):
        whilst.map(abs, range(5), journal=tmp_path / "run.db").list()
    between = time.time()
    assert (tmp_path / "run.db.rescue.jsonl").exists()
    whilst.map(abs, range(9), journal=tmp_path / "run.db").list()
    rescue(tmp_path / "run.db", tmp_path / "rescued.db")
    for path in (tmp_path / "run.db", tmp_path / "rescued.db"):
        found = {int(each.input): each for each in read_outcomes(path)}
        assert len(found) == 9
        assert all(each.started_at is not None for each in found.values())
        begun = {each.began for each in found.values()}
        assert len(begun) == 2
        assert before - 0.01 <= min(each for each in begun if each is not None) <= between


def test_a_rescue_file_of_two_runs_keeps_them_apart(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [0], abs, name="f", accept="old")
    _, header = _first(tmp_path / "run.db")
    overflow = Overflow(str(tmp_path / "run.db"), header)
    overflow.write([Item(100 + i, 7, b"%d" % (100 + i), i, 1, 0.5, 0.25, 1000.0 + i // 3) for i in range(6)])
    overflow.write([Item(200, 7, b"200", 1, 1, 0.5, 0.25)])  # of 0.1: it does not say when its run began
    drive(tmp_path / "run.db", [0], abs, name="f", accept="old")
    found = {int(each.input): each for each in read_outcomes(tmp_path / "run.db")}
    assert [found[100 + i].began for i in range(6)] == [1000.0] * 3 + [1001.0] * 3
    assert [found[100 + i].started for i in range(6)] == [0.5] * 6
    assert (found[200].began, found[200].started, found[200].took) == (None, None, 0.25)


def _first(path: Path) -> tuple[int, bytes]:
    store = Store(str(path), exists=True)
    n, frame = next(iter(store.frames()))
    store.close()
    head = checked(frame)
    assert head is not None
    return n, head.journal


def test_the_words_of_0_1_read_frames_of_today() -> None:
    """What is new stands behind what was there, so an older whilst reads on."""
    batch = Batch([1], [2], [b"1"], [1], [3], [0.5], [0.25], 1000.0)
    pieces, _ = framed(b"12345678", Last(), 2, 1, packed(batch))
    frame = b"".join(pieces)
    assert frame.endswith(b"[[],[[0,3]],1000.0]")
    head = checked(frame)
    assert head is not None
    columns = Columns(frame, head)
    assert (columns.began, columns.started(0), columns.took(), columns.attempts) == (1000.0, 0.5, [0.25], {0: 3})


def test_the_ledger_writes_durations_not_clocks(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db", abs, name="f")
        await admitted(ledger, [(0, 5)])
        ledger.add(record(0, 5, abs))
        await ledger.close()

    asyncio.run(main())
    (found,) = read_outcomes(tmp_path / "run.db")
    assert (found.started, found.took) == (0.25, 0.5)
