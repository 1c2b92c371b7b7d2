"""What is done is not called again, in whatever order, however the run before ended."""

import asyncio
import contextlib
import sqlite3
from collections import Counter
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from journalkit import Ran, admitted, crash_copy, double, drive, give, opened, record

import whilst
from whilst.journal import Journal
from whilst.journal.index import BLOCK
from whilst.journal.store import Store


@pytest.mark.parametrize("commit", ["buffered", "strict"])
def test_a_second_run_calls_nothing_and_gives_the_same(tmp_path: Path, commit: str) -> None:
    first = drive(tmp_path / "run.db", range(5000), commit=commit)
    again = drive(tmp_path / "run.db", range(5000), commit=commit)
    assert first.values == again.values == [x * 2 for x in range(5000)]
    assert len(first.called) == 5000
    assert again.called == []
    assert again.found == (5000, 0)


def test_only_what_is_new_is_called_and_the_order_is_free(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(0, 3 * BLOCK, 2))
    ran = drive(tmp_path / "run.db", reversed(range(3 * BLOCK)), batch=977)
    assert ran.values == [x * 2 for x in reversed(range(3 * BLOCK))]
    assert sorted(ran.called) == list(range(1, 3 * BLOCK, 2))
    assert drive(tmp_path / "run.db", range(3 * BLOCK)).called == []


def test_equal_inputs_are_told_apart_by_their_occurrence(tmp_path: Path) -> None:
    count = iter(range(100))

    def number(x: str) -> int:
        return next(count)

    first = drive(tmp_path / "run.db", ["a", "b", "a", "a"], number)
    assert first.values == [0, 1, 2, 3]
    ran = drive(tmp_path / "run.db", ["a", "a", "b", "a", "a"], number)
    assert ran.called == ["a"]
    assert ran.values[:4] == [0, 2, 1, 3]


def test_many_equal_inputs_cost_no_more_than_others(tmp_path: Path) -> None:
    assert len(drive(tmp_path / "run.db", ["same"] * 20_000, batch=1000).called) == 20_000
    assert drive(tmp_path / "run.db", ["same"] * 20_001, batch=1000).called == ["same"]


def test_a_failure_is_tried_again_and_what_comes_of_it_counts(tmp_path: Path) -> None:
    def fail(x: int) -> int:
        raise ValueError(f"no {x}")

    drive(tmp_path / "run.db", [1, 2], fail, name="f", accept="old")
    ran = drive(tmp_path / "run.db", [1, 2, 3], double, name="f", accept="old")
    assert (ran.found, ran.called, ran.values) == ((0, 2), [1, 2, 3], [2, 4, 6])
    assert drive(tmp_path / "run.db", [1, 2, 3], double, name="f").found == (3, 0)


class Refused(Exception):
    status_code = 503


def test_a_failure_that_is_kept_is_given_back_in_words(tmp_path: Path) -> None:
    def fail(x: int) -> int:
        if x == 1:
            error = ValueError("no https://me:secret@host/p?key=secret good")
            error.add_note("a note")
            raise error
        if x == 2:
            raise Refused("busy")
        return x

    drive(tmp_path / "run.db", [1, 2, 3], fail)
    ran = drive(tmp_path / "run.db", [1, 2, 3], fail, retry_failed=False)
    assert ran.called == []
    one, two = ran.outcomes[1 - 1], ran.outcomes[2 - 1]
    assert isinstance(one, whilst.Recorded)
    assert str(one) == "ValueError: no https://…@host/p?… good"
    assert one.__notes__ == ["a note"]
    assert f"in {fail.__name__}" in one.traceback
    assert "raise error" in one.traceback
    assert "whilst/" not in one.traceback.replace("tests/", "")
    assert [whilst.core.failures.kind_of(error) for error in (one, two)] == ["ValueError", "503"]
    assert ran.outcomes[2] == 3
    assert drive(tmp_path / "run.db", [1], fail, retry_failed=True).called == [1]


def test_attempts_are_remembered(tmp_path: Path) -> None:
    async def main() -> Any:
        ledger = opened(tmp_path / "run.db")
        await admitted(ledger, [(0, "a"), (1, "b")])
        ledger.add(record(0, "a", double, attempts=3))
        ledger.add(record(1, "b", double))
        await ledger.close()
        ledger = opened(tmp_path / "run.db")
        _, known = await admitted(ledger, [(0, "b"), (1, "a")])
        await ledger.close()
        return known

    assert [(index, value, attempts) for index, _, value, _, _, _, attempts in asyncio.run(main())] == [
        (0, "bb", 1),
        (1, "aa", 3),
    ]


def test_large_values_make_the_backlog_count_for_more(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db", name="f")
        await admitted(ledger, [(i, i) for i in range(64)])
        for i in range(64):
            ledger.add((i, i, "é" * 200_000, None, 0.0, 0.0, 1))
        assert ledger.unwritten > 300
        await ledger.flush()
        assert ledger.unwritten == 0
        await ledger.close()

    asyncio.run(main())
    assert drive(tmp_path / "run.db", range(64), name="f").called == []


def test_known_records_that_come_back_to_the_ledger_are_not_written_twice(tmp_path: Path) -> None:
    async def main() -> None:
        durable: list[int] = []
        ledger = opened(tmp_path / "run.db", durable=durable.append, commit="strict")
        _, known = await admitted(ledger, [(0, 1), (1, 2)])
        for each in known:
            ledger.add(each)
        await ledger.flush()
        assert sum(durable) == 2
        await ledger.close()

    drive(tmp_path / "run.db", [1, 2])
    size = (tmp_path / "run.db").stat().st_size
    asyncio.run(main())
    assert (tmp_path / "run.db").stat().st_size == size


def test_strict_tells_of_each_commit_on_the_loop_in_order(tmp_path: Path) -> None:
    async def main() -> None:
        durable: list[int] = []
        ledger = opened(tmp_path / "run.db", durable=durable.append, commit="strict")
        for start in range(0, 320, 32):
            await admitted(ledger, [(i, i) for i in range(start, start + 32)])
            for i in range(start, start + 32):
                ledger.add(record(i, i, double))
            before = sum(durable)
            assert before <= start
            while sum(durable) < start + 32:
                await asyncio.sleep(0)
        await ledger.close()
        assert sum(durable) == 320

    asyncio.run(main())


def test_close_is_idempotent_and_may_be_called_by_several(tmp_path: Path) -> None:
    async def main() -> None:
        ledger = opened(tmp_path / "run.db")
        await admitted(ledger, [(0, 1)])
        ledger.add(record(0, 1, double))
        await asyncio.gather(ledger.close(), ledger.close())
        await ledger.close()
        ledger.close_now()

    asyncio.run(main())
    assert drive(tmp_path / "run.db", [1]).called == []


def test_a_ledger_whose_loop_has_gone_is_closed_from_outside(tmp_path: Path) -> None:
    async def main() -> Any:
        ledger = opened(tmp_path / "run.db")
        await admitted(ledger, [(0, 1)])
        ledger.add(record(0, 1, double))
        return ledger

    asyncio.run(main()).close_now()
    assert drive(tmp_path / "run.db", [1]).called == []


def test_opening_that_fails_leaves_nothing_locked(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [1], double)
    for _ in range(2):
        with pytest.raises(whilst.JournalChanged):
            drive(tmp_path / "run.db", [1], str, name="double")
    assert drive(tmp_path / "run.db", [1], double).called == []


def test_rows_that_are_damaged_after_the_opening_are_called_again(tmp_path: Path, monkeypatch: Any) -> None:
    """The index says that they are there, and the block that they were in does not any more."""
    with mock.patch("whilst.journal.writer.COMMIT", 10), mock.patch("whilst.journal.writer.MOST", 10):
        drive(tmp_path / "run.db", range(60))
    between = Store.between

    def damaged(self: Store, first: int, last: int) -> list[bytes]:
        frames = between(self, first, last)
        return [frame[:-1] + b"?" if n == 1 else frame for n, frame in enumerate(frames)]

    monkeypatch.setattr(Store, "between", damaged)
    ran = drive(tmp_path / "run.db", range(60), batch=60)
    assert ran.values == [x * 2 for x in range(60)]
    assert len(ran.called) == 10

    def refuses(self: Store, first: int, last: int) -> list[bytes]:
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(Store, "between", refuses)
    assert drive(tmp_path / "run.db", range(60)).called == list(range(60))


def test_the_view_says_what_is_identified_and_stored(tmp_path: Path) -> None:
    async def main(rows: list[tuple[int, str]]) -> list[Any]:
        journal = Journal(tmp_path / "run.db")
        journal._view = lambda row: row[1]
        ledger = journal._ledger(double, name="double", loop=asyncio.get_running_loop())
        ledger.attach(settled=lambda *_: None, broken=lambda _: None, found=lambda: None, started=0.0)
        ran = Ran()
        await give(ledger, list(enumerate(rows)), double, ran)
        await ledger.close()
        return ran.called

    assert asyncio.run(main([(1, "a"), (2, "b")])) == [(1, "a"), (2, "b")]
    assert asyncio.run(main([(7, "b"), (9, "a")])) == []


# -- a model: a dict, with crashes ------------------------------------------------------------------------------------

episode = st.fixed_dictionaries(
    {
        "inputs": st.lists(st.integers(0, 12), max_size=30),
        "fails": st.sets(st.integers(0, 12), max_size=4),
        "flush": st.integers(0, 30),
        "end": st.sampled_from(["close", "crash", "crash"]),
        "batch": st.integers(1, 7),
        "strict": st.booleans(),
        "retry_failed": st.booleans(),
    }
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(episode, min_size=1, max_size=6), st.sampled_from(["usual", "tiny", "crowded"]))
def test_a_journal_is_a_dict_that_survives(
    tmp_path_factory: pytest.TempPathFactory, episodes: list[Any], sizes: str
) -> None:
    """Whatever was flushed is there after any end; whatever is given back is the last outcome that was recorded.

    Where blocks and portions are tiny, what is looked up is in several, is read again, and comes back piece by piece.
    Where it is crowded, inputs are in flat tables, and those that come as they were done are found in their blocks.
    """
    where = tmp_path_factory.mktemp("model") / "0" / "run.db"
    where.parent.mkdir()
    with contextlib.ExitStack() as stack:
        for name, size in SIZES[sizes].items():
            stack.enter_context(mock.patch(f"whilst.journal.{name}", size))
        asyncio.run(_live(where, episodes))


TINY = {
    "index.BLOCK": 3,
    "index.WORTH": 1,
    "lookup.KEPT_BYTES": 0,
    "lookup.UNFOLDED": 1,
    "admission.FIRST_SLICE": 2,
    "admission.SLICE": 4,
    "admission.PORTION": 3,
    "writer.COMMIT": 2,
    "writer.MOST": 5,
}
CROWDED = {"index.BLOCK": 3, "index.WORTH": 1, "table.DICT": 1, "table.BITS": 4, "writer.COMMIT": 2}
SIZES: dict[str, dict[str, Any]] = {"usual": {}, "tiny": TINY, "crowded": CROWDED}


async def _live(path: Path, episodes: list[Any]) -> None:
    possible: dict[tuple[int, int], list[Any]] = {}  # outcomes that may be in the file, the last one likeliest
    certain: dict[tuple[int, int], int] = {}  # from which of them on it must be
    serial = iter(range(1_000_000))
    for number, each in enumerate(episodes):
        ledger = opened(
            path, name="f", commit="strict" if each["strict"] else "buffered", retry_failed=each["retry_failed"]
        )
        seen: Counter[int] = Counter()
        for start in range(0, len(each["inputs"]), each["batch"]):
            part = list(enumerate(each["inputs"]))[start : start + each["batch"]]
            names = {}
            for index, item in part:
                names[index] = (item, seen[item])
                seen[item] += 1
            calls, known = await admitted(ledger, part)
            for index, _, value, error, *_ in known:
                found = value if error is None else int(error.message)  # type: ignore[attr-defined]
                options = possible[names[index]]
                assert found in options[certain.get(names[index], 0) :]
                assert error is None or not each["retry_failed"]
                del options[: options.index(found)]
                certain[names[index]] = 0
                del options[1:]
            for index, item in calls:
                fresh = next(serial)
                failed = item in each["fails"]
                if not each["retry_failed"]:
                    assert names[index] not in certain
                error = ValueError(str(fresh)) if failed else None
                ledger.add((index, item, None if failed else fresh, error, 0.0, 0.0, 1))
                possible.setdefault(names[index], []).append(fresh)
            if start <= each["flush"] < start + each["batch"]:
                await ledger.flush()
                for name in seen_names(seen):
                    if name in possible:
                        certain[name] = len(possible[name]) - 1
        if each["end"] == "crash":
            path_now = crash_copy(path, path.parent.parent / str(number + 1))
            await ledger.close()
            path = path_now
        else:
            await ledger.close()
            certain.update({name: len(values) - 1 for name, values in possible.items() if name in seen_names(seen)})


def seen_names(seen: Counter[int]) -> list[tuple[int, int]]:
    return [(item, number) for item, count in seen.items() for number in range(count)]
