"""Status, outcomes and the command of a journal, for who looks at it from outside."""

import asyncio
import json
import os
from pathlib import Path
from typing import Any

import pytest
from journalkit import Ran, admitted, crash_copy, crashed, double, drive, give, opened, record

import whilst
from whilst.journal import Journal, read_header, read_outcomes, read_status
from whilst.journal.status import status_path


def picky(x: int) -> int:
    if x % 10 == 3:
        raise KeyError(x)
    if x % 10 == 7:
        raise ValueError("seven" * 1000)
    return x


def test_the_status_of_a_run_is_seen_while_it_runs_without_opening_the_journal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whilst.journal.status.EVERY", 0.0)

    async def main() -> Any:
        ledger = opened(tmp_path / "run.db", picky)
        ledger.total = 200
        await give(ledger, list(enumerate(range(100))), picky, Ran())
        await ledger.flush()
        while not (Path(status_path(str(tmp_path / "run.db")))).exists() or read_status(tmp_path / "run.db").done < 80:
            await asyncio.sleep(0.001)
        monkeypatch.setattr("whilst.journal.reading.Store", None)  # it would be a second connection
        status = read_status(tmp_path / "run.db")
        monkeypatch.undo()
        await ledger.close()
        return status

    status = asyncio.run(main())
    assert (status.running, status.done, status.failed, status.total, status.found) == (True, 80, 20, 200, 0)
    assert status.name == "picky"
    assert status.place.startswith("test_looking.py line ")
    assert {kind: each.count for kind, each in status.kinds.items()} == {"KeyError": 10, "ValueError": 10}
    assert status.kinds["KeyError"].example.input == "3"
    assert len(status.kinds["ValueError"].example.message) <= 500
    after = read_status(tmp_path / "run.db")
    assert (after.running, after.done, after.failed) == (False, 80, 20)
    assert after.rate > 0


def test_a_success_takes_its_failure_out_of_the_counts(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(10), picky, name="f")
    assert read_status(tmp_path / "run.db").failed == 2
    drive(tmp_path / "run.db", range(10), double, name="f", accept="old")
    status = read_status(tmp_path / "run.db")
    assert (status.done, status.failed, status.kinds, status.found) == (10, 0, {}, 8)


def test_a_run_that_tries_no_failure_again_keeps_their_examples(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(10), picky)
    drive(tmp_path / "run.db", range(2), picky)
    status = read_status(tmp_path / "run.db")
    assert status.failed == 2
    assert {kind: each.example.input for kind, each in status.kinds.items()} == {"KeyError": "3", "ValueError": "7"}


def test_the_example_of_a_kind_is_a_failure_of_this_journal_and_of_now(tmp_path: Path) -> None:
    def bad(*inputs: str) -> Any:
        def job(x: str) -> str:
            if x in inputs:
                raise ValueError(f"bad {x}")
            return x

        return job

    def example_of(inputs: list[str], job: Any, **more: Any) -> tuple[int, Any]:
        drive(tmp_path / "run.db", inputs, job, name="f", **more)
        kind = read_status(tmp_path / "run.db").kinds["ValueError"]
        return kind.count, kind.example and (kind.example.input, kind.example.message)

    assert example_of(["a", "b", "c"], bad("a")) == (1, ('"a"', "bad a"))
    assert example_of(["d", "a"], bad("d"), accept="old") == (1, ('"d"', "bad d"))
    assert example_of(["e", "g", "d"], bad("e", "g"), accept="old") == (2, ('"e"', "bad e"))
    assert example_of(["x", "y"], bad("y"), accept="fresh") == (1, ('"y"', "bad y"))
    for left in tmp_path.glob("run.db*"):
        if not left.name.endswith(".status.json"):
            left.unlink()
    assert example_of(["z"], bad("z")) == (1, ('"z"', "bad z"))


def test_an_example_with_a_secret_is_forgotten_too(tmp_path: Path) -> None:
    inputs = [f"https://h/?k={number}" for number in range(3)]
    drive(tmp_path / "run.db", [*inputs, 7], picky, name="f")
    drive(tmp_path / "run.db", [7], double, name="f", accept="old")
    assert read_status(tmp_path / "run.db").kinds["TypeError"].example.input == '"https://h/?…"'
    drive(tmp_path / "run.db", inputs, double, name="f", accept="old")
    assert read_status(tmp_path / "run.db").kinds == {}


def test_after_a_kill_an_example_is_a_failure_that_is_one_still(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(24), picky, name="f")
    drive(tmp_path / "run.db", range(20), double, name="f", accept="old")
    Path(status_path(str(tmp_path / "run.db"))).unlink()
    assert {kind: it.example.input for kind, it in read_status(tmp_path / "run.db").kinds.items()} == {"KeyError": "23"}


@pytest.mark.parametrize("size", [0, 50, 3000])
def test_a_journal_that_was_cut_is_not_said_to_be_well(tmp_path: Path, size: int) -> None:
    drive(tmp_path / "run.db", range(300), picky)
    os.truncate(tmp_path / "run.db", size)
    with pytest.raises(whilst.JournalError):
        read_status(tmp_path / "run.db")


@pytest.mark.parametrize("snapshot", ["stale", "none", "broken"])
def test_after_a_kill_the_counts_are_those_of_the_file(tmp_path: Path, snapshot: str) -> None:
    copy = crashed(tmp_path / "run.db", 4)
    if snapshot == "stale":
        before = json.loads(Path(status_path(str(tmp_path / "run.db"))).read_bytes())
        before |= {"done": 3, "running": True, "updated": 1.0}
        Path(status_path(str(copy))).write_text(json.dumps(before))
    elif snapshot == "broken":
        Path(status_path(str(copy))).write_text("{")
    status = read_status(copy)
    assert (status.running, status.done, status.name) == (False, 200, "padded")


def test_outcomes_are_plain_json_and_the_last_of_each_input(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(8), picky, name="f")
    drive(tmp_path / "run.db", [*range(8), (1, b"x")], lambda x: {"got": (x,)}, name="f", accept="old")
    outcomes = list(read_outcomes(tmp_path / "run.db"))
    assert [json.loads(each.input) for each in outcomes] == [0, 1, 2, 4, 5, 6, 3, 7, [1, "eA=="]]
    assert [json.loads(each.value or b"") for each in outcomes[6:]] == [
        {"got": [3]},
        {"got": [7]},
        {"got": [[1, "eA=="]]},
    ]
    assert all(each.error is None and each.took == 0.5 and each.started == 0.25 for each in outcomes)


def test_failures_are_given_with_their_words_and_inputs_as_they_came(tmp_path: Path) -> None:
    def fail(row: dict[str, int]) -> int:
        raise KeyError("nope")

    drive(tmp_path / "run.db", [{"z": 1, "a": 2}], fail)
    (stored,) = read_outcomes(tmp_path / "run.db")
    assert (stored.input, stored.value) == (b'{"z":1,"a":2}', None)
    assert stored.error is not None
    assert (stored.error.kind, stored.error.class_name, stored.error.message) == (
        "KeyError",
        "builtins.KeyError",
        "'nope'",
    )


def test_a_journal_knows_the_command_that_made_it(tmp_path: Path) -> None:
    async def main(argv: list[str]) -> None:
        journal = Journal(tmp_path / "run.db")
        journal._command = (argv, "/somewhere")
        ledger = journal._ledger(double, name="jobs:double", loop=asyncio.get_running_loop())
        await ledger.close()

    asyncio.run(main(["map", "jobs:double", "in\udcff.txt"]))
    asyncio.run(main(["map", "jobs:double", "in\udcff.txt", "-j", "9"]))
    header = read_header(tmp_path / "run.db")
    assert header.command is not None
    assert header.command.argv == ("map", "jobs:double", "in\udcff.txt", "-j", "9")
    assert (header.command.cwd, header.name) == ("/somewhere", "jobs:double")
    shown = read_status(tmp_path / "run.db").command
    assert shown is not None
    assert shown.argv == ("map", "jobs:double", r"in\xff.txt", "-j", "9")


def test_the_same_run_again_adds_no_header(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", [1])
    before = (tmp_path / "run.db").read_bytes()
    drive(tmp_path / "run.db", [1])
    assert (tmp_path / "run.db").read_bytes() == before


@pytest.mark.parametrize("look", [read_status, read_header, lambda path: list(read_outcomes(path))])
def test_where_there_is_no_journal_it_says_so(tmp_path: Path, look: Any) -> None:
    with pytest.raises(whilst.JournalError, match="there is no journal at"):
        look(tmp_path / "run.db")
    assert list(tmp_path.iterdir()) == []


def test_looking_takes_the_lock_only_while_it_looks(tmp_path: Path) -> None:
    drive(tmp_path / "run.db", range(10))
    looking = read_outcomes(tmp_path / "run.db")
    next(looking)
    with pytest.raises(whilst.JournalLocked):
        drive(tmp_path / "run.db", [1])
    looking.close()  # type: ignore[attr-defined]
    drive(tmp_path / "run.db", [1])


def test_a_copy_of_a_journal_in_use_can_be_looked_at(tmp_path: Path) -> None:
    async def main() -> int:
        ledger = opened(tmp_path / "run.db")
        await admitted(ledger, [(0, 1)])
        ledger.add(record(0, 1, double))
        await ledger.flush()
        found = len(list(read_outcomes(crash_copy(tmp_path / "run.db", tmp_path / "copy"))))
        await ledger.close()
        return found

    assert asyncio.run(main()) == 1


def test_no_credential_of_an_error_is_stored(tmp_path: Path) -> None:
    """Inputs and values are in the journal because that is its job; what an exception says of URLs is not."""

    def fail(x: int) -> int:
        error = ConnectionError("postgresql://me:canary1@db/x and https://api/?key=canary2&x=1#canary3 refused")
        error.add_note("while asking https://user:canary4@host/")
        raise error from OSError("https://canary5@host")

    drive(tmp_path / "run.db", range(3), fail)
    for file in tmp_path.iterdir():
        assert b"canary" not in file.read_bytes(), file.name
