"""A killed run loses nothing it was told was durable, and damage is found, never trusted."""

import asyncio
import contextlib
import os
import pickle
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from journalkit import Ran, admitted, crash_copy, crashed, drive, give, opened, padded

import whilst
from whilst.journal import read_outcomes, rescue
from whilst.journal.frame import MAGIC
from whilst.journal.opening import _put_aside

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
KILLS = 16 * SOAK
HERE = Path(__file__).parent

CHILD = """
import asyncio, sys, os
sys.path.insert(0, {here!r})
from journalkit import admitted, opened, record, padded
async def main():
    strict = sys.argv[1] == "strict"
    told = 0
    given = 0
    waiting = []
    def durable(count):
        nonlocal told
        told += count
        if strict:
            for index in waiting[:count]:
                os.write(1, b"%d\\n" % index)
            del waiting[:count]
    ledger = opened({path!r}, padded, commit=sys.argv[1], durable=durable)
    os.write(1, b"open\\n")
    n, lanes = 20_000, 16
    for start in range(0, n, lanes):
        calls, known = await admitted(ledger, [(i, (i, 40)) for i in range(start, start + lanes)])
        for index, item, value, error, *_ in known:
            assert error is None and value == padded(item), value
        for index, item in calls:
            os.write(2, b"%d\\n" % index)
            ledger.add(record(index, item, padded))
            waiting.append(index)
        if strict:
            while waiting:
                await asyncio.sleep(0)
        elif start % 160 == 0 and calls:
            await ledger.flush()
            for index in waiting:
                os.write(1, b"%d\\n" % index)
            waiting.clear()
        else:
            await asyncio.sleep(0)
    await ledger.close()
    os.write(1, b"end\\n")
asyncio.run(main())
"""


@pytest.mark.parametrize("commit", ["buffered", "strict"])
@pytest.mark.slow
@pytest.mark.timeout(60 * SOAK + 60)
def test_a_run_killed_at_random_instants_loses_nothing_and_records_nothing_twice(tmp_path: Path, commit: str) -> None:
    """One journal, killed again and again; what a child says is durable must never be called by a later one."""
    path, script = tmp_path / "run.db", tmp_path / "child.py"
    script.write_text(CHILD.format(here=str(HERE), path=str(path)))
    durable: set[int] = set()
    pick = random.Random(commit)
    kills = 0
    for _ in range(KILLS // 2):
        child = subprocess.Popen(
            [sys.executable, script, commit],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": ":".join(sys.path)},
        )
        assert child.stdout is not None
        assert child.stdout.readline() == b"open\n", child.stderr.read().decode() if child.stderr else ""
        time.sleep(pick.uniform(0, 0.12))
        child.send_signal(signal.SIGKILL)
        out, err = child.communicate()
        kills += child.returncode == -signal.SIGKILL
        called = {int(line) for line in _whole_lines(err)}
        assert not called & durable
        durable |= {int(line) for line in _whole_lines(out) if line != b"end"}
    (tmp_path / "run.db.lock").unlink(missing_ok=True)
    stored = [outcome.input for outcome in read_outcomes(path)]
    assert len(stored) == len(set(stored))
    assert len(stored) >= len(durable)
    ran = drive(path, [(i, 40) for i in range(20_000)], padded, batch=1000)
    assert ran.values == [padded((i, 40)) for i in range(20_000)]
    assert not {number for number, _ in ran.called} & durable
    assert ran.notices == ()
    assert kills


def _whole_lines(data: bytes) -> list[bytes]:
    lines = data.split(b"\n")
    assert not any(b"Error" in line for line in lines), data.decode()
    return [line for line in lines[:-1] if line]


def reopen(path: Path, count: int, blob: int = 0) -> Ran:
    """Look up every input without calling anything; whatever comes back must be right."""

    async def main() -> Ran:
        ran = Ran()
        ledger = opened(path, padded, accept="old")
        ran.notices, ran.found = ledger.notices, (ledger.done, ledger.failed)
        calls, known = await admitted(ledger, [(i, (i, blob)) for i in range(count)])
        ran.called = [item for _, item in calls]
        for index, item, value, error, *_ in known:
            assert error is None
            assert value == padded(item)
            ran.outcomes[index] = value
        await ledger.close()
        return ran

    return asyncio.run(main())


def variant(copy: Path, to: Path, change: Any) -> Path:
    """Copy a crashed journal, with the bytes of its files changed."""
    files = {more: copy.with_name(copy.name + more).read_bytes() for more in ("", "-wal", ".tail")}
    change(files)
    to.mkdir()
    for more, data in files.items():
        (to / f"run.db{more}").write_bytes(data)
    return to / "run.db"


def forget(path: Path) -> None:
    for file in path.parent.iterdir():
        file.unlink()
    path.parent.rmdir()


def test_a_crash_leaves_everything_that_was_flushed(tmp_path: Path) -> None:
    copy = crashed(tmp_path / "run.db", 20)
    assert copy.with_name("run.db-wal").stat().st_size > 50_000
    ran = reopen(copy, 1000)
    assert (ran.called, ran.notices) == ([], ())


@pytest.mark.slow
@pytest.mark.timeout(180 * SOAK)
def test_a_log_cut_at_any_offset_opens_to_a_committed_prefix_and_says_what_is_missing(quick_path: Path) -> None:
    copy = crashed(quick_path / "run.db", 20, size=10)
    size = copy.with_name("run.db-wal").stat().st_size
    offsets = sorted(random.Random(1).sample(range(size), min(300 * SOAK, size)))
    before = 0
    for offset in offsets:
        path = variant(copy, quick_path / "cut", lambda files, at=offset: files.update({"-wal": files["-wal"][:at]}))
        ran = reopen(path, 200)
        done = sorted(ran.outcomes)
        assert done == list(range(len(done)))
        assert len(done) % 10 == 0
        assert len(done) >= before
        before = len(done)
        if len(done) < 200:
            assert f"{200 - len(done):,} outcomes of it are lost" in " ".join(ran.notices)
        forget(path)
    assert before >= 180


@pytest.mark.slow
@pytest.mark.timeout(60 * SOAK + 60)
def test_flipped_bits_never_give_a_wrong_result_and_never_reach_a_pickle(quick_path: Path) -> None:
    """Half of the flips hit a file without a log, half the log of one that crashed; some are found by SQLite."""
    (quick_path / "whole").mkdir()
    whole = quick_path / "whole" / "run.db"
    for part in range(4):
        drive(whole, [(i, 16) for i in range(part * 50, part * 50 + 50)], padded)
    (quick_path / "whole" / "run.db-wal").write_bytes(b"")
    pick = random.Random(2)
    refusals: set[str] = set()
    found = {"lost": 0, "refused": 0, "silent": 0, "complete": 0}
    with unpickled() as seen:
        for number in range(500 * SOAK):
            _flip_one(number, whole, quick_path, pick, found, refusals)
    assert seen == []
    assert found["silent"] == 0, found
    assert refusals <= {"whilst.journal.rescu", "another path", "pip install --upgrad"}
    assert found["lost"] + found["refused"] > 25 * SOAK, found


def _flip_one(number: int, whole: Path, quick_path: Path, pick: random.Random, found: Any, refusals: set[str]) -> None:
    copy = whole if number % 2 else crashed_once(quick_path)
    more = "" if number % 2 else pick.choice(["-wal", "-wal", "-wal", ""])

    def flip(files: dict[str, bytes], more: str = more) -> None:
        data = bytearray(files[more])
        at = pick.randrange(len(data))
        data[at] ^= 1 << pick.randrange(8)
        files[more] = bytes(data)

    path = variant(copy, quick_path / "flip", flip)
    try:
        ran = reopen(path, 200, 16)
    except whilst.JournalError as error:
        found["refused"] += 1
        refusals.add(error.remedy[:20])
    else:
        complete = len(ran.outcomes) == 200
        kind = "complete" if complete else "lost" if ran.notices else "silent"
        found[kind] += 1
    forget(path)


_crashed: dict[Path, Path] = {}


def crashed_once(tmp_path: Path) -> Path:
    if tmp_path not in _crashed:
        _crashed[tmp_path] = crashed(tmp_path / "run.db", 20, size=10, blob=16)
    return _crashed[tmp_path]


def test_a_damaged_log_is_read_past_the_damage(tmp_path: Path) -> None:
    """SQLite ends at the flip; the frames behind it are whole, and are found by their magic number."""
    copy = crashed(tmp_path / "run.db", 20)

    def flip(files: dict[str, bytes]) -> None:
        data = bytearray(files["-wal"])
        data[len(data) // 2] ^= 4
        files["-wal"] = bytes(data)

    ran = reopen(variant(copy, tmp_path / "flipped", flip), 1000)
    assert len(ran.outcomes) >= 950
    again = reopen(tmp_path / "flipped" / "run.db", 1000)
    assert len(again.outcomes) == len(ran.outcomes)
    assert again.notices == ()  # what was said once is not said again


def test_a_loss_is_reported_once_and_the_next_loss_again(tmp_path: Path) -> None:
    copy = crashed(tmp_path / "run.db", 20)
    path = variant(
        copy, tmp_path / "cut", lambda files: files.update({"-wal": files["-wal"][: len(files["-wal"]) // 2]})
    )
    ran = reopen(path, 1000)
    missing = len(ran.called)
    assert f"{missing:,} outcomes of it are lost; their inputs will be called again" in ran.notices[0]
    assert drive(path, [(i, 0) for i in range(1000)], padded).notices == ()
    data = bytearray(path.read_bytes())
    at = data.rindex(MAGIC)
    data[at + 100] ^= 1
    path.write_bytes(bytes(data))
    ran = reopen(path, 1000)
    assert f"{len(ran.called):,} outcomes of it are lost" in ran.notices[0]
    assert 0 < len(ran.called) <= missing


def test_rescue_gets_out_every_whole_row_whatever_sqlite_says(tmp_path: Path) -> None:
    copy = crashed(tmp_path / "run.db", 20, blob=400)

    def tear(files: dict[str, bytes]) -> None:
        files[""] = b"\0" * 4096 + files[""][4096:]
        data = bytearray(files["-wal"])
        data[:32] = b"\0" * 32  # the head of the log, without which SQLite reads nothing of it
        files["-wal"] = bytes(data)

    path = variant(copy, tmp_path / "torn", tear)
    with pytest.raises(whilst.JournalError):
        reopen(path, 1000, 400)
    assert rescue(path, tmp_path / "rescued.db") == 1000
    ran = reopen(tmp_path / "rescued.db", 1000, 400)
    assert (len(ran.outcomes), ran.notices) == (1000, ())


def test_rescue_works_on_a_file_without_its_first_pages_and_leaves_it_as_it_is(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [(i, 400) for i in range(1000)], padded)
    before = (tmp_path / "run.db").read_bytes()
    (tmp_path / "run.db").write_bytes(b"\0" * 100 + before[100:])
    torn = (tmp_path / "run.db").read_bytes()
    with pytest.raises(whilst.JournalDamaged, match=r"rescue\("):
        reopen(tmp_path / "run.db", 1)
    assert rescue(tmp_path / "run.db", tmp_path / "out.db") == 1000
    assert (tmp_path / "run.db").read_bytes() == torn
    assert len(reopen(tmp_path / "out.db", 1000, 400).outcomes) == 1000


def test_rescue_refuses_what_it_cannot_do(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [1])
    with pytest.raises(whilst.JournalError, match="exists, and is not replaced"):
        rescue(tmp_path / "run.db", tmp_path / "run.db")
    (tmp_path / "text").write_text("no journal")
    with pytest.raises(whilst.JournalError, match="nothing can be rescued"):
        rescue(tmp_path / "text", tmp_path / "out.db")
    assert not (tmp_path / "out.db").exists()


def test_a_journal_without_its_tail_is_read_as_it_is(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(100))
    (tmp_path / "run.db.tail").unlink()
    assert drive(tmp_path / "run.db", range(100)).called == []


def test_an_older_copy_beside_a_newer_tail_is_noticed(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(100))
    old = (tmp_path / "run.db").read_bytes()
    drive(tmp_path / "run.db", range(150))
    (tmp_path / "run.db").write_bytes(old)
    ran = drive(tmp_path / "run.db", range(150))
    assert "50 outcomes of it are lost" in ran.notices[0]
    assert ran.called == list(range(100, 150))


@pytest.mark.slow
@pytest.mark.timeout(180 * SOAK)
def test_nothing_is_unpickled_from_mutated_journals(quick_path: Path) -> None:
    """Bytes that are changed, cut out, or replaced by a pickle that would call something."""
    copy = crashed(quick_path / "run.db", 4, size=10)
    pick = random.Random(3)

    def mutate(files: dict[str, bytes]) -> None:
        for _ in range(pick.randrange(1, 6)):
            more = pick.choice(["", "-wal", "-wal", ".tail"])
            data = bytearray(files[more])
            at = pick.randrange(len(data))
            what = pick.randrange(3)
            if what == 0:
                data[at] = pick.randrange(256)
            elif what == 1:
                del data[at : at + pick.randrange(1, 5000)]
            else:
                data[at : at + 40] = b'\x80\x04\x95cos\nsystem\n(S"true"\ntR.'
            files[more] = bytes(data) or b"x"

    with unpickled() as seen:
        for _ in range(120 * SOAK):
            path = variant(copy, quick_path / "mutated", mutate)
            with contextlib.suppress(whilst.JournalError):
                reopen(path, 40)
            forget(path)
    assert seen == []


def test_the_audit_would_see_it() -> None:
    with unpickled() as seen:
        pickle.loads(b"cbuiltins\nlen\n.")
    assert seen


_audit: list[list[str]] = []
_audited: list[list[str]] = []


def _hook(event: str, _: Any) -> None:
    if _audited and event.startswith("pickle"):
        _audited[-1].append(event)


@contextlib.contextmanager
def unpickled() -> Iterator[list[str]]:
    """Give the list of what is unpickled meanwhile; the hook cannot be taken out again, and looks away after."""
    if not _audit:
        sys.addaudithook(_hook)
        _audit.append([])
    _audited.append([])
    try:
        yield _audited[-1]
    finally:
        _audited.pop()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_that_exits_in_the_normal_way_takes_nothing_from_its_parent(tmp_path: Path) -> None:
    script = tmp_path / "fork.py"
    script.write_text(
        "import asyncio, gc, os, sys, threading, warnings\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "warnings.simplefilter('ignore')\n"
        "from journalkit import admitted, opened, record, double\n"
        "import whilst\n"
        "loop = asyncio.new_event_loop()\n"  # in a thread, as the engine's: a child that closed it would deafen ours
        "threading.Thread(target=loop.run_forever, daemon=True).start()\n"
        "def on_loop(fn, *args):\n"
        "    async def call():\n"
        "        found = fn(*args)\n"
        "        return await found if hasattr(found, '__await__') else found\n"
        "    return asyncio.run_coroutine_threadsafe(call(), loop).result(20)\n"
        f"path = {str(tmp_path / 'run.db')!r}\n"
        "ledger = on_loop(opened, path)\n"
        "on_loop(admitted, ledger, [(i, i) for i in range(20)])\n"
        "for i in range(10): on_loop(ledger.add, record(i, i, double))\n"
        "on_loop(ledger.flush)\n"
        "if not (pid := os.fork()):\n"
        "    ledger.close_now()\n"
        "    del ledger; gc.collect(); sys.exit(0)\n"
        "assert os.waitpid(pid, 0)[1] == 0\n"
        "assert os.path.exists(path + '-wal')\n"
        "try: on_loop(opened, path)\n"
        "except whilst.JournalLocked: pass\n"
        "else: raise SystemExit('not locked')\n"
        "for i in range(10, 20): on_loop(ledger.add, record(i, i, double))\n"
        "on_loop(ledger.close)\n"
    )
    subprocess.run([sys.executable, script], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    assert drive(tmp_path / "run.db", range(20)).called == []


def test_a_program_that_ends_with_a_run_open_has_written_everything(tmp_path: Path) -> None:
    script = tmp_path / "exit.py"
    script.write_text(
        "import asyncio, sys\n"
        f"sys.path.insert(0, {str(HERE)!r})\n"
        "from journalkit import admitted, opened, record, double\n"
        "async def main():\n"
        f"    ledger = opened({str(tmp_path / 'run.db')!r})\n"
        "    await admitted(ledger, [(i, i) for i in range(500)])\n"
        "    for i in range(500): ledger.add(record(i, i, double))\n"
        "    globals()['kept'] = ledger\n"
        "asyncio.run(main())\n"
    )
    subprocess.run([sys.executable, script], check=True, env={**os.environ, "PYTHONPATH": ":".join(sys.path)})
    assert drive(tmp_path / "run.db", range(500)).called == []


def test_what_is_put_aside_keeps_its_log(tmp_path: Path) -> None:
    copy = crashed(tmp_path / "run.db", 4)
    aside = Path(_put_aside(str(copy)))
    assert aside.name == "run.db.old-1"
    assert len(reopen(aside, 200).outcomes) == 200


def test_give_and_crash_copy_make_the_same_journal(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db", padded)
        await give(ledger, [(0, (0, 0))], padded, Ran())
        await ledger.flush()
        copy = crash_copy(tmp_path / "run.db", tmp_path / "copy")
        assert [bytes(each.input) for each in read_outcomes(copy)] == [b"[0,0]"]
        await ledger.close()

    asyncio.run(main())
