"""A disk that is full stops the run cleanly: nothing new, and what is done is saved somewhere and read again."""

import asyncio
import json
import os
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from journalkit import Ran, admitted, drive, give, opened, padded, record

import whilst
from whilst.journal.ledger import Ledger


class Broken:
    """A connection on which writing fails, as on a disk that is full."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.full = False

    def execute(self, sql: str, *args: Any) -> Any:
        if self.full and sql.startswith("INSERT"):
            raise sqlite3.OperationalError("database or disk is full")
        return self._connection.execute(sql, *args)

    def close(self) -> None:
        self._connection.close()


def breakable(ledger: Ledger) -> Broken:
    store = ledger._writer._store
    broken = Broken(store._connection)
    store._connection = broken  # type: ignore[assignment]
    return broken


async def half(path: Path, commit: str, seen: list[Exception]) -> whilst.JournalError:
    """Write 100 outcomes, have the disk full, and add 50 more before it is noticed and 10 after."""
    ledger = opened(path, padded, commit=commit, broken=seen.append)
    disk, ran = breakable(ledger), Ran()
    await give(ledger, [(i, (i, 0)) for i in range(100)], padded, ran)
    await ledger.flush()
    disk.full = True
    await admitted(ledger, [(i, (i, 0)) for i in range(100, 160)])
    for i in range(100, 150):
        ledger.add(record(i, (i, 0), padded))
    with pytest.raises(whilst.JournalError) as caught:
        await ledger.flush()
    for i in range(150, 160):
        ledger.add(record(i, (i, 0), padded))
    await ledger.close()
    await ledger.close()
    assert seen == [caught.value]
    return caught.value


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_what_cannot_be_written_is_saved_beside_and_read_by_the_next_run(tmp_path: Path, commit: str) -> None:
    error = asyncio.run(half(tmp_path / "run.db", commit, []))
    assert "cannot be written any more: the disk is full" in error.fact
    assert "SQLite says: database or disk is full" in str(error)
    assert f"are in {tmp_path / 'run.db.rescue.jsonl'}, which the next run reads" in str(error)
    assert error.remedy.startswith("free some space")
    lines = [json.loads(line) for line in (tmp_path / "run.db.rescue.jsonl").read_text().splitlines()]
    assert [line["input"] for line in lines] == [[i, 0] for i in range(100, 160)]
    assert lines[0]["value"] == [100, ""]
    ran = drive(tmp_path / "run.db", [(i, 0) for i in range(170)], padded)
    assert [number for number, _ in ran.called] == list(range(160, 170))
    assert ran.values == [padded((i, 0)) for i in range(170)]
    assert "60 outcomes came from a rescue file" in ran.notices[0]
    assert not (tmp_path / "run.db.rescue.jsonl").exists()
    assert drive(tmp_path / "run.db", [(i, 0) for i in range(170)], padded).called == []


def test_where_the_directory_takes_nothing_either_the_temporary_one_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spare = tmp_path / "spare"
    spare.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(spare))
    (tmp_path / "run.db.rescue.jsonl").mkdir()  # nothing can be appended to that
    error = asyncio.run(half(tmp_path / "run.db", "buffered", []))
    (saved,) = spare.iterdir()
    assert f"are in {saved}" in str(error)
    assert drive(tmp_path / "run.db", [(i, 0) for i in range(160)], padded).called == []
    assert list(spare.iterdir()) == []


def test_where_nothing_can_be_saved_it_says_so_and_they_are_called_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.journal.overflow._append", lambda path, data: False)
    error = asyncio.run(half(tmp_path / "run.db", "buffered", []))
    assert "50 outcomes could not be saved anywhere; their inputs will be called again" in str(error)
    monkeypatch.undo()
    ran = drive(tmp_path / "run.db", [(i, 0) for i in range(160)], padded)
    assert [number for number, _ in ran.called] == list(range(100, 160))


def test_a_line_that_was_cut_off_or_changed_is_not_taken_in(tmp_path: Path) -> None:
    asyncio.run(half(tmp_path / "run.db", "buffered", []))
    rescue = tmp_path / "run.db.rescue.jsonl"
    lines = rescue.read_bytes().splitlines(keepends=True)
    lines[3] = lines[3].replace(b'"took":0.5', b'"took":0.7')
    lines[-1] = lines[-1][:50]
    rescue.write_bytes(b"".join(lines))
    ran = drive(tmp_path / "run.db", [(i, 0) for i in range(160)], padded)
    assert [number for number, _ in ran.called] == [103, 159]


def test_failures_go_through_the_rescue_file_as_well(tmp_path: Path) -> None:
    def fail(x: int) -> int:
        raise ValueError("no")

    async def main() -> None:
        ledger = opened(tmp_path / "run.db", fail, name="f")
        breakable(ledger).full = True
        await admitted(ledger, [(0, "é"), (1, b"x")])
        ledger.add(record(0, "é", fail, attempts=4))
        ledger.add((1, b"x", (1, b"y"), None, 0.0, 0.0, 1))
        await ledger.close()

    asyncio.run(main())
    ran = drive(tmp_path / "run.db", ["é", b"x"], fail, name="f", retry_failed=False)
    assert ran.called == []
    assert str(ran.outcomes[0]) == "ValueError: no"
    assert ran.outcomes[1] == (1, b"y")


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_FSIZE")
def test_a_real_limit_on_the_size_of_a_file_ends_the_same_way(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        "import asyncio, resource, signal, sys\n"
        f"sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from journalkit import admitted, opened, record, padded\nimport whilst\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "async def main():\n"
        "    seen = []\n"
        f"    ledger = opened({str(tmp_path / 'run.db')!r}, padded, broken=seen.append)\n"
        "    resource.setrlimit(resource.RLIMIT_FSIZE, (300_000, 300_000))\n"
        "    done = 0\n"
        "    while not seen and done < 10_000:\n"
        "        calls, _ = await admitted(ledger, [(i, (i, 80)) for i in range(done, done + 100)])\n"
        "        for index, item in calls: ledger.add(record(index, item, padded))\n"
        "        done += 100\n"
        "        try: await ledger.flush()\n"
        "        except whilst.JournalError: pass\n"
        "        await asyncio.sleep(0)\n"
        "    await ledger.close()\n"
        "    print(done, str(seen[0]).splitlines()[0])\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, script],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
    )
    count, _, said = done.stdout.partition(" ")
    assert "cannot be written any more" in said
    assert int(count) < 10_000
    ran = drive(tmp_path / "run.db", [(i, 80) for i in range(int(count))], padded)
    assert ran.called == []
