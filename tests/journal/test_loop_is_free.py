"""A caller's loop never waits for the disk, nor for a journal because it is large."""

import asyncio
import gc
import linecache
import os
import sqlite3
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from journalkit import crashed, double, drive, opened, padded, record

import whilst
from whilst import testing
from whilst.journal import opening, recovery
from whilst.journal.frame import OUTCOMES, Batch, Last, checked, framed, packed
from whilst.journal.identity import INT_REST
from whilst.journal.ledger import Ledger
from whilst.journal.store import Store

MANY = 300_000
GAP = 0.020  # seconds: what a caller's loop may stand still
TRIES = 8  # a cold cache spoils one; what holds the loop holds it each time


async def adouble(x: int) -> int:
    await asyncio.sleep(0)
    return x * 2


async def _run(path: Path, inputs: Any, fn: Any = adouble) -> list[int]:
    return await whilst.map(fn, inputs, journal=path)


async def _taken(run: Any) -> list[int]:
    values: list[int] = await run
    return values


async def afail(x: int) -> int:
    raise ValueError(f"no {x}")


# -- no file is touched on the loop's thread: said by the interpreter itself -------------------------------------------

_watched: list[tuple[int, str, list[str]]] = []


def _hook(event: str, args: tuple[Any, ...]) -> None:
    if not _watched or not (event.startswith(("os.", "sqlite3.", "fcntl.", "shutil.")) or event == "open"):
        return
    thread, under, seen = _watched[-1]
    if threading.get_ident() == thread and any(str(arg).startswith(under) for arg in args):
        seen.append(f"{event} {args}")


sys.addaudithook(_hook)


class Guarded:
    """A connection that notes who uses it on a loop's thread: what it says is what `fsync` waits for."""

    def __init__(self, connection: sqlite3.Connection, seen: list[str], thread: int) -> None:
        self._connection, self._seen, self._thread = connection, seen, thread

    def __getattr__(self, name: str) -> Any:
        if threading.get_ident() == self._thread:
            self._seen.append(f"{name} of the connection")
        return getattr(self._connection, name)


@pytest.fixture
def touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """Give the list of what touched a file below `tmp_path` on this thread, or a connection, or synced."""
    seen: list[str] = []
    here = threading.get_ident()
    prepare = Store._prepare

    def prepared(self: Store) -> None:
        self._connection = Guarded(self._connection, seen, here)  # type: ignore[assignment]
        prepare(self)

    monkeypatch.setattr(Store, "_prepare", prepared)
    for name in ("fsync", "pwrite", "write", "stat", "unlink", "replace", "ftruncate", "close", "access"):
        monkeypatch.setattr(os, name, _noted(getattr(os, name), name, seen, here, str(tmp_path)))
    _watched.append((here, str(tmp_path), seen))
    yield seen
    _watched.pop()


def _noted(do: Callable[..., Any], name: str, seen: list[str], thread: int, under: str) -> Callable[..., Any]:
    def noted(*args: Any, **more: Any) -> Any:
        if threading.get_ident() == thread and args and _is_under(args[0], under):
            seen.append(f"os.{name} {args[0]}")
        return do(*args, **more)

    return noted


def _is_under(what: Any, under: str) -> bool:
    if isinstance(what, int):
        try:
            return os.readlink(f"/proc/self/fd/{what}").startswith(under)
        except OSError:
            return False
    return str(what).startswith(under)


def on_loop(main: Callable[[], Awaitable[Any]], seen: list[str]) -> Any:
    """Run on this thread's loop, with only what happens inside counting."""

    async def all_of_it() -> Any:
        seen.clear()
        found = await main()
        kept = list(seen)
        return found, kept

    found, kept = asyncio.run(all_of_it())  # type: ignore[misc]
    assert kept == []
    return found


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_no_file_is_touched_on_the_loop_from_the_opening_to_the_close(
    tmp_path: Path, touched: list[str], commit: Any
) -> None:
    path = tmp_path / "run.db"
    for fn, inputs in ((adouble, range(300)), (adouble, range(600)), (adouble, range(600))):

        async def main(fn: Any = fn, inputs: Any = inputs) -> list[int]:
            return await whilst.map(fn, inputs, journal=whilst.Journal(path, commit=commit))

        assert on_loop(main, touched) == [x * 2 for x in inputs]


def test_failures_are_put_into_words_beside_the_loop(tmp_path: Path, touched: list[str]) -> None:
    """The lines of a traceback come from files."""
    (tmp_path / "code.py").write_text("async def fail(x):\n    raise ValueError(f'no {x}')\n")
    made: dict[str, Any] = {}
    exec(compile((tmp_path / "code.py").read_text(), str(tmp_path / "code.py"), "exec"), made)
    for retry_failed in (True, False, True):
        linecache.clearcache()

        async def main(retry_failed: bool = retry_failed) -> list[Any]:
            journal = whilst.Journal(tmp_path / "run.db", retry_failed=retry_failed)
            return await whilst.map(made["fail"], range(40), journal=journal).outcomes()

        found = on_loop(main, touched)
        if not retry_failed:
            assert "raise ValueError(f'no {x}')" in found[0].error.traceback


def test_what_went_wrong_is_looked_into_beside_the_loop(tmp_path: Path, touched: list[str]) -> None:
    """A damaged log, a rescue file, a function that has changed and a file that is put aside."""
    copy = crashed(tmp_path / "run.db", 4)
    data = bytearray(copy.with_name("run.db-wal").read_bytes())
    data[len(data) // 2] ^= 4
    copy.with_name("run.db-wal").write_bytes(bytes(data))

    async def again() -> Any:
        run = whilst.map(padded, [(i, 0) for i in range(250)], journal=copy)
        return await run, run.summary().notes

    values, notes = on_loop(again, touched)
    assert values == [padded((i, 0)) for i in range(250)]
    assert any("damaged" in note for note in notes)

    async def changed() -> Any:
        with pytest.raises(whilst.JournalChanged):
            await whilst.map(adouble, range(9), journal=copy)
        return await whilst.map(adouble, range(9), journal=whilst.Journal(copy, accept="fresh"))

    assert on_loop(changed, touched) == [x * 2 for x in range(9)]


def test_a_full_disk_is_met_beside_the_loop(
    tmp_path: Path, touched: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(self: Store, n: int, frame: Sequence[bytes]) -> None:
        if checked(b"".join(frame)).kind == OUTCOMES:  # type: ignore[union-attr]
            raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as patched:
        patched.setattr(Store, "append", full)

        async def main() -> None:
            with pytest.raises(whilst.JournalError, match="the disk is full"):
                await whilst.map(adouble, range(10_000), journal=tmp_path / "run.db").outcomes()

        on_loop(main, touched)
    assert (tmp_path / "run.db.rescue.jsonl").exists()

    async def again() -> Any:
        run = whilst.map(adouble, range(100), journal=tmp_path / "run.db")
        return await run, run.summary().recalled

    assert on_loop(again, touched) == ([x * 2 for x in range(100)], 100)


# -- and no time is lost ----------------------------------------------------------------------------------------------


@pytest.fixture
def uncollected() -> Iterator[None]:
    """Have no collector, which looks at all that the tests hold: nothing here may need one."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


class Gaps:
    """Goes with a loop: how often it turned, and for how long it was computing itself in one turn, at most.

    That is the processor's time of its thread, which other processes disturb little: where a machine is busy, a cold
    cache may make three of one millisecond, so what is too long must be too long each time.
    """

    def __init__(self) -> None:
        self.turns, self.computing = 0, 0.0

    async def __aenter__(self) -> "Gaps":
        self._task = asyncio.ensure_future(self._tick())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()

    async def _tick(self) -> None:
        spent = time.thread_time()
        while True:
            await asyncio.sleep(0)
            used = time.thread_time()
            self.turns, self.computing = self.turns + 1, max(self.computing, used - spent)
            spent = used


SLOW = 0.4  # seconds that everything takes on this disk


@pytest.mark.slow
@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_a_slow_disk_does_not_hold_the_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, commit: Any) -> None:
    """While it opens, commits, reads, syncs and closes, the loop turns a thousand times; a few are asked for."""
    asyncio.run(_run(tmp_path / "run.db", range(0, 400, 2)))
    gaps, turns = Gaps(), list[int]()

    def slow(do: Callable[..., Any]) -> Callable[..., Any]:
        def slowly(*args: Any, **more: Any) -> Any:
            before = gaps.turns
            time.sleep(SLOW)
            turns.append(gaps.turns - before)
            return do(*args, **more)

        return slowly

    for name in ("append", "between", "close", "_prepare"):
        monkeypatch.setattr(Store, name, slow(getattr(Store, name)))
    monkeypatch.setattr(recovery, "_report", slow(recovery._report))

    async def main() -> list[int]:
        async with gaps:
            run = whilst.map(adouble, range(400), journal=whilst.Journal(tmp_path / "run.db", commit=commit))
            return [value async for value in run]

    assert asyncio.run(main()) == [x * 2 for x in range(400)]
    assert len(turns) >= 5
    assert min(turns) >= 5


def large(path: Path, count: int) -> None:
    """Make a journal of many outcomes in no time: the header is a run's, the rows are written by hand."""
    drive(path, [0], double)
    before = Store(str(path), exists=True)
    heads = [head for _, frame in before.frames() if (head := checked(frame)) is not None]
    journal, last = heads[0].journal, heads[-1].last
    for first in range(1, count, 2048):
        keys = range(first, min(count, first + 2048))
        texts = [b"%d" % key for key in keys]
        ones, times = [1] * len(keys), [0.5] * len(keys)
        batch = Batch(keys, [INT_REST] * len(keys), texts, [key * 2 for key in keys], ones, times, times, 1.0)
        frame, last = framed(journal, Last(*last), OUTCOMES, len(keys), packed(batch))
        before.append(last.n, frame)
    before.close()
    path.with_name(f"{path.name}.tail").unlink()


@pytest.mark.slow
@pytest.mark.parametrize("order", ["as written", "backwards"])
def test_a_large_journal_does_not_hold_the_loop(quick_path: Path, uncollected: None, order: str) -> None:
    """What the loop computes itself in one round is measured: other processes cannot disturb that."""
    path = quick_path / "run.db"
    large(path, MANY)
    inputs = range(MANY + 500) if order == "as written" else range(MANY + 499, -1, -1)

    async def main() -> tuple[Gaps, int, int]:
        async with Gaps() as gaps:
            run = whilst.map(double, inputs, journal=path)
            count = 0
            async for value in run:
                assert value == inputs[count] * 2
                count += 1
            recalled = run.summary().recalled
            del run
        return gaps, count, recalled

    for _ in range(TRIES):
        gaps, count, recalled = asyncio.run(main())
        assert count == MANY + 500
        assert recalled >= MANY
        if gaps.computing < GAP:
            break
    assert gaps.computing < GAP


def test_large_values_are_made_a_few_at_a_time(tmp_path: Path) -> None:
    rows = [[i, ["x" * 20] * 5_000] for i in range(60)]
    assert drive(tmp_path / "run.db", range(60), lambda i: rows[i], name="f").values == rows

    async def main() -> tuple[Gaps, list[Any]]:
        async with Gaps() as gaps:
            found: list[Any] = []
            journal = whilst.Journal(tmp_path / "run.db", accept="old")
            async for value in whilst.map(double, range(60), journal=journal):
                found.append(value)  # noqa: PERF401 - the loop takes turns
            return gaps, found

    for _ in range(TRIES):
        gaps, found = asyncio.run(main())
        assert found == rows
        if gaps.computing < GAP:
            break
    assert gaps.computing < GAP


def test_a_slow_key_takes_turns_with_the_loop(tmp_path: Path) -> None:
    def key(x: int) -> int:
        until = time.thread_time() + 0.003
        while time.thread_time() < until:
            pass
        return x

    async def main() -> tuple[Gaps, list[int]]:
        async with Gaps() as gaps:
            journal = whilst.Journal(tmp_path / "run.db", key=key)
            return gaps, await whilst.map(adouble, range(200), journal=journal)

    for _ in range(TRIES):
        with pytest.warns(RuntimeWarning, match=r"Journal\(key=.*key\) takes \d+ ms an input, and runs on") as said:
            gaps, values = asyncio.run(main())
        assert len(said) == 1
        assert values == [x * 2 for x in range(200)]
        if gaps.computing < GAP:
            break
    assert gaps.computing < GAP


# -- an opening that nobody waits for any more -------------------------------------------------------------------------


@pytest.mark.parametrize("outcome", ["opened", "refused"])
def test_a_run_that_is_cancelled_while_its_journal_is_opened_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, outcome: str
) -> None:
    asyncio.run(_run(tmp_path / "run.db", range(10)))
    begun, go = threading.Event(), threading.Event()
    real = opening.snapshot

    def waits(path: str) -> Any:
        begun.set()
        assert go.wait(20)
        if outcome == "refused":
            raise whilst.JournalError("no")
        return real(path)

    monkeypatch.setattr(opening, "snapshot", waits)

    async def main() -> None:
        task = asyncio.ensure_future(_run(tmp_path / "run.db", range(10)))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        task.cancel()
        await asyncio.sleep(0.01)
        go.set()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    monkeypatch.undo()
    assert asyncio.run(_run(tmp_path / "run.db", range(10))) == [x * 2 for x in range(10)]


@pytest.mark.parametrize("rounds", [1, 2, 3, 4])
@pytest.mark.parametrize("timeout", [None, 3600])
def test_in_virtual_time_a_run_that_is_cancelled_while_its_journal_is_opened_ends(
    tmp_path: Path, rounds: int, timeout: float | None
) -> None:
    async def main() -> bool:
        task = asyncio.ensure_future(_run(tmp_path / "run.db", range(3)))
        for _ in range(rounds):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task], timeout=timeout)
        return task.cancelled()

    assert testing.run(main())


def test_in_virtual_time_a_journal_that_no_run_has_had_is_closed(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = await whilst.Journal(tmp_path / "run.db")._aledger(abs, name="abs")
        await ledger.close()

    testing.run(main())


def test_a_large_opening_ends_soon_after_its_run_was_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for part in range(4):
        drive(tmp_path / "run.db", range(part * 10, part * 10 + 10))
    rows: list[int] = []
    load = opening.Index.load

    def loads(self: Any, n: int, *more: Any) -> None:
        rows.append(n)
        time.sleep(0.2)
        load(self, n, *more)

    monkeypatch.setattr(opening.Index, "load", loads)

    async def main() -> None:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await whilst.map(double, range(40), journal=tmp_path / "run.db")

    asyncio.run(main())
    assert len(rows) < 4
    monkeypatch.undo()
    assert drive(tmp_path / "run.db", range(40)).called == []


@pytest.mark.parametrize("colour", ["async", "plain"])
def test_a_run_whose_writer_gets_no_thread_fails_and_leaves_nothing_open(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, colour: str
) -> None:
    start = threading.Thread.start

    def refused(self: threading.Thread) -> None:
        if getattr(self, "_target", None).__name__ == "run":
            raise RuntimeError("can't start new thread")
        start(self)

    monkeypatch.setattr(threading.Thread, "start", refused)
    run = whilst.map(adouble, range(10), journal=tmp_path / "run.db")
    with pytest.raises(RuntimeError, match="can't start new thread"):
        asyncio.run(_taken(run)) if colour == "async" else run.list()
    monkeypatch.undo()
    assert asyncio.run(_run(tmp_path / "run.db", range(10))) == [x * 2 for x in range(10)]


# -- what has ended is gone -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", ["buffered", "strict"])
@pytest.mark.parametrize("breaks", [False, True])
def test_a_ledger_that_was_closed_is_freed_with_all_its_parts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uncollected: None, commit: str, breaks: bool
) -> None:
    async def main() -> list[weakref.ref[Any]]:
        ledger = opened(tmp_path / "run.db", commit=commit)
        parts = _parts(ledger)
        if breaks:
            monkeypatch.setattr(Store, "append", _refuses)
        calls, _ = ledger.admit(_inbox(50), 50)
        for index, item in calls:
            ledger.add(record(index, item, double))
        try:
            await ledger.flush()
        except whilst.JournalError as error:
            assert breaks
            del error
        await ledger.close()
        del ledger
        return parts

    parts = asyncio.run(main())
    assert [part() for part in parts] == [None] * len(parts)


def _parts(ledger: Ledger) -> list[weakref.ref[Any]]:
    writer = ledger._writer
    return [*map(weakref.ref, (ledger, writer, writer._store, ledger._admission, ledger._admission._index))]


def _inbox(count: int) -> Any:
    from collections import deque

    return deque((i, i) for i in range(count))


def _refuses(self: Store, n: int, frame: Sequence[bytes]) -> None:
    raise sqlite3.OperationalError("database or disk is full")


@pytest.mark.parametrize("how", ["await", "async for", "outcomes", "left", "for", "list", "failed"])
def test_the_journal_of_a_run_that_has_ended_is_freed_although_the_run_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, uncollected: None, how: str
) -> None:
    parts: list[weakref.ref[Any]] = []
    journal = whilst.Journal(tmp_path / "run.db")
    journal._opened = lambda ledger: parts.extend(_parts(ledger))
    run: Any = whilst.map(afail if how == "failed" else adouble, range(200), journal=journal)

    async def main() -> None:
        if how == "await":
            await run
        elif how == "async for":
            async for _ in run:
                pass
        elif how == "outcomes":
            await run.outcomes()
        elif how == "left":
            async with run:
                async for _ in run:
                    break
        else:
            with pytest.raises(ValueError, match="no 0"):
                await run

    if how in ("for", "list"):
        assert (list(run) if how == "for" else run.list()) == [x * 2 for x in range(200)]
    else:
        asyncio.run(main())
    assert parts
    until = time.monotonic() + 5
    while any(part() is not None for part in parts) and time.monotonic() < until:
        time.sleep(0.001)  # the engine's own thread lets go a moment later
    assert [part() for part in parts] == [None] * len(parts)
    assert run.summary().done


def test_making_a_journal_loads_nothing_of_what_opens_one() -> None:
    """It is made on a loop, often; what opens the file is loaded by the thread that does."""
    program = (
        "import sys, whilst; whilst.Journal('run.db', key=len, accept='old');"
        "print([name for name in ('sqlite3', 'msgspec', 'whilst.journal.opening') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
