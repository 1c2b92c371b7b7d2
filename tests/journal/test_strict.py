"""A strict journal: a value is given if and only if it is durable, in the journal or in the rescue file."""

import asyncio
import json
import sqlite3
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

import whilst
from whilst import testing
from whilst.journal import overflow, read_outcomes
from whilst.journal.frame import OUTCOMES, Columns, checked
from whilst.journal.store import Store


class NoJson:
    """A value that no journal can store."""


class Disk:
    """A disk that takes so many commits, and so many writes to the rescue file; remembers what is on it."""

    def __init__(self, commits: int, rescues: int) -> None:
        self.commits, self.rescues = commits, rescues
        self.durable: set[int] = set()
        self._append, self._save = Store.append, overflow._append

    @contextmanager
    def installed(self) -> Iterator[None]:
        disk = self

        def append(store: Store, n: int, pieces: Sequence[bytes]) -> None:
            frame = b"".join(pieces)
            head = checked(frame)
            assert head is not None
            if head.kind == OUTCOMES:
                disk.commits -= 1
                if disk.commits < 0:
                    raise sqlite3.OperationalError("database or disk is full")
            disk._append(store, n, pieces)
            if head.kind == OUTCOMES:
                columns = Columns(frame, head)
                disk.durable |= {json.loads(columns.input(place)) for place in range(columns.count)}

        def save(path: str, data: bytes) -> bool:
            disk.rescues -= 1
            if disk.rescues < 0 or not disk._save(path, data):
                return False
            disk.durable |= {json.loads(line)["input"] for line in data.splitlines()}
            return True

        with mock.patch.object(Store, "append", append), mock.patch.object(overflow, "_append", save):
            yield


@example(  # a commit fails, and so does the rescue file: what is held is no value any more
    inputs=6, concurrency=2, commits=1, rescues=0, unstorable=set(), failing=set(), ordered=True, values=False
)
@example(  # the first value of all cannot be stored
    inputs=6, concurrency=3, commits=99, rescues=99, unstorable={0}, failing=set(), ordered=True, values=True
)
@settings(max_examples=80, deadline=None)
@given(
    inputs=st.integers(1, 40),
    concurrency=st.integers(1, 6),
    commits=st.sampled_from([0, 1, 2, 5, 99]),
    rescues=st.sampled_from([0, 1, 99]),
    unstorable=st.sets(st.integers(0, 39), max_size=2),
    failing=st.sets(st.integers(0, 39), max_size=5),
    ordered=st.booleans(),
    values=st.booleans(),
)
def test_a_strict_value_is_given_if_and_only_if_it_is_durable(
    quick_path: Path,
    inputs: int,
    concurrency: int,
    commits: int,
    rescues: int,
    unstorable: set[int],
    failing: set[int],
    ordered: bool,
    values: bool,
) -> None:
    called: set[int] = set()
    given: dict[int, Any] = {}
    disk = Disk(commits, rescues)

    async def work(x: int) -> Any:
        called.add(x)
        await asyncio.sleep(0)
        if x in failing:
            raise ValueError(x)
        return NoJson() if x in unstorable else x

    async def take(run: Any) -> BaseException | None:
        try:
            async for each in run if values else run.outcomes():
                if values:
                    assert each in disk.durable
                    given[each] = each
                else:
                    assert not each.ok or each.input in disk.durable
                    given[each.index] = each
        except AssertionError:
            raise
        except Exception as error:
            return error
        return None

    with tempfile.TemporaryDirectory(dir=quick_path) as directory, disk.installed():
        journal = whilst.Journal(f"{directory}/run.db", commit="strict")
        run = whilst.map(work, range(inputs), journal=journal, concurrency=concurrency, ordered=ordered)
        raised = asyncio.run(take(run))
        stored = {json.loads(each.input): each for each in read_outcomes(f"{directory}/run.db")}
        saved = Path(f"{directory}/run.db.rescue.jsonl").exists()

    broke = disk.commits < 0
    if not values:
        assert (raised is not None) == (broke or bool((unstorable - failing) & called))
        assert given.keys() == called  # what was called has its outcome, and nothing else has
        for index, outcome in given.items():
            if outcome.ok:
                assert outcome.value == index
            elif index in failing:
                assert isinstance(outcome.error, ValueError)
            elif index in unstorable:
                assert isinstance(outcome.error, whilst.Unstorable)
            else:
                assert "its value could not be stored, so you do not get it either" in str(outcome.error)
                assert index not in disk.durable
        assert run.summary().ok == sum(outcome.ok for outcome in given.values())
        assert run.summary().failed == sum(not outcome.ok for outcome in given.values())
    elif raised is None:
        assert given.keys() == set(range(inputs)) == called
    assert stored.keys() <= disk.durable
    assert saved == bool(disk.durable - stored.keys())
    assert all(stored[x].error is not None for x in stored if x in failing | unstorable)


def taken(run: Any) -> tuple[list[Any], BaseException | None]:
    """Take the outcomes of a run; return them, and what ended it."""
    seen: list[Any] = []
    try:
        for outcome in run.outcomes():
            seen.append(outcome)  # noqa: PERF402 - what was seen before an error counts
    except Exception as error:
        return seen, error
    return seen, None


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_what_cannot_be_stored_is_in_the_journal_as_a_failure_and_called_again(tmp_path: Path, commit: Any) -> None:
    def work(x: int) -> Any:
        return NoJson() if x == 2 else x

    def run(**more: Any) -> tuple[list[Any], BaseException | None]:
        return taken(whilst.map(work, range(4), journal=whilst.Journal(path, commit=commit, **more), concurrency=1))

    path = tmp_path / "run.db"
    seen, raised = run()
    assert [outcome.ok for outcome in seen[:3]] == [True, True, False]  # the thread may have begun the next one
    assert isinstance(raised, whilst.Unstorable)
    assert seen[2].error is raised
    failed = [each for each in read_outcomes(tmp_path / "run.db") if each.error is not None]
    assert [(bytes(each.input), each.error and each.error.kind) for each in failed] == [(b"2", "Unstorable")]
    seen, raised = run(retry_failed=False)
    assert [type(outcome.error) for outcome in seen if not outcome.ok] == [whilst.Recorded]
    assert (len(seen), raised) == (4, None)
    assert isinstance(run()[1], whilst.Unstorable)  # called again


def test_a_codec_that_raises_ends_the_run_with_its_own_error(tmp_path: Path) -> None:
    class Codec:
        def encode(self, value: Any) -> Any:
            if value == 4:
                raise RuntimeError("no 4")
            return value

        def decode(self, stored: Any) -> Any:
            return stored

    journal = whilst.Journal(tmp_path / "run.db", codec=Codec(), commit="strict")
    seen, raised = taken(whilst.map(lambda x: x * 2, range(9), journal=journal, concurrency=1))
    assert [outcome.ok for outcome in seen[:3]] == [True, True, False]
    assert isinstance(raised, RuntimeError)
    assert traceback.extract_tb(raised.__traceback__)[-1].name == "encode"


def test_the_name_of_a_rescue_file_is_durable_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[str] = []
    real = overflow.sync_directory
    monkeypatch.setattr(overflow, "sync_directory", lambda directory: (synced.append(directory), real(directory)))
    disk = Disk(0, 99)
    with disk.installed(), pytest.raises(whilst.JournalError):
        whilst.map(abs, range(5), journal=whilst.Journal(tmp_path / "run.db", commit="strict")).list()
    assert synced == [str(tmp_path)]


@pytest.mark.parametrize("ordered", [True, False])
@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_the_outcome_of_a_call_that_ignores_a_deadline_is_given_once_it_is_durable(
    tmp_path: Path, commit: Any, ordered: bool
) -> None:
    """The run ended before it was written: it was not given at all, or behind its place."""

    async def stubborn(item: int) -> int:
        ends = asyncio.get_running_loop().time() + (3.0 if not item else 0.0)
        while asyncio.get_running_loop().time() < ends:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(0.1)
        return item

    async def main() -> None:
        run = whilst.map(
            stubborn,
            range(6),
            concurrency=2,
            deadline=0.3,
            ordered=ordered,
            journal=whilst.Journal(tmp_path / "run.db", commit=commit),
        )
        given = list[tuple[int, bool]]()

        async def take() -> None:
            async for outcome in run.outcomes():
                given.append((outcome.index, outcome.ok))

        with pytest.raises(whilst.DeadlineExceeded):
            await take()
        expected = [(0, False), *((index, True) for index in range(1, 6))]
        assert (given if ordered else sorted(given)) == expected
        await asyncio.sleep(3.0)

    testing.run(main())
