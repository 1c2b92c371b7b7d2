"""Journals of whilst 0.1 are resumed, read, exported and rescued for ever; see tests/fixtures/journal-0.1/make.py."""

import importlib.util
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import pytest

import whilst
from whilst.journal import read_header, read_outcomes, read_status, rescue

FIXTURES = Path(__file__).parent.parent / "fixtures" / "journal-0.1"
PYTHONS = ("3.11", "3.13")
MAGIC = b"\x89whilst\x1a"


def _subjects() -> ModuleType:
    """Load the functions under the name of their module when the journals were written: classes are told by it."""
    spec = importlib.util.spec_from_file_location("subjects", FIXTURES / "subjects.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules["subjects"] = module
    spec.loader.exec_module(module)
    return module


subjects = _subjects()
ORDERS = [{"id": i % 6, "prices": [i % 6, 2, 3]} for i in range(8)]
TURNED = [{"prices": each["prices"], "id": each["id"]} for each in reversed(ORDERS)]
EXPORTED = {
    "none": b"null",
    "true": b"true",
    "int": b"-4611686018427387904",
    "float": b"0.1",
    "infinite": b"null",
    "text": '"Ærø, 東京"'.encode(),
    "no text": b'"7bKALnR4dA=="',
    "list": b'[1,[2.5,"x"],{}]',
    "dict": b'{"b":1,"a":{"$":"no tag"}}',
    "dict of ints": b'{"1":"one","[2,3]":"dHdv"}',
    "tuple": b'[1,["a",null]]',
    "set": b"[1,2,3]",
    "frozenset": b'["x","y"]',
    "bytes": b'"AP9oaQ=="',
    "bytearray": b'"YWJj"',
    "datetime": b'"2026-11-01T01:30:00.000250+02:00"',
    "folded": b'"2026-10-25T02:30:00"',
    "date": b'"2026-11-29"',
    "time": b'"23:59:59.999999"',
    "timedelta": b'"-PT86399.999993S"',
    "decimal": b'"10.50"',
    "uuid": b'"12345678-1234-5678-1234-567812345678"',
    "complex": b'"(1.5-2j)"',
}


def copied(python: str, name: str, to: Path) -> Path:
    """Copy a journal and what is beside it."""
    for file in (FIXTURES / python).glob(f"{name}.db*"):
        shutil.copyfile(file, to / file.name)
    return to / f"{name}.db"


def changed(path: Path, more: str, change: Callable[[bytearray], bytes | bytearray]) -> Path:
    """Change the bytes of a journal, or of a file beside it."""
    file = path.with_name(path.name + more)
    file.write_bytes(change(bytearray(file.read_bytes())))
    return path


def resumed(fn: Any, inputs: Any, path: Path, **options: Any) -> tuple[list[Any], int, tuple[str, ...]]:
    """Run over a journal; return the values, how many came from it, and what it says it found."""
    run = whilst.map(fn, inputs, journal=whilst.Journal(path, **options))
    return run.list(), run.summary().recalled, run.summary().notes


def command(where: Path, *words: str) -> str:
    """Run the command line in a directory; return what it says and gives, in this order or the other."""
    line = [sys.executable, "-c", "from whilst.cli.main import main; main()", *words]
    done = subprocess.run(line, cwd=where, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def exact(value: Any) -> Any:
    """Return something that is equal only for what is of equal types all the way down."""
    if isinstance(value, (list, tuple)):
        return type(value), [exact(each) for each in value]
    if isinstance(value, dict):
        return [(exact(key), exact(each)) for key, each in value.items()]
    return type(value), repr(value) if isinstance(value, (float, complex)) else value


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize("backwards", [False, True])
def test_values_of_every_kind_come_back_as_what_they_were(tmp_path: Path, python: str, backwards: bool) -> None:
    names = list(reversed(subjects.VALUES)) if backwards else list(subjects.VALUES)
    values, recalled, notices = resumed(subjects.value_of, names, copied(python, "kinds", tmp_path))
    assert [exact(value) for value in values] == [exact(subjects.VALUES[name]) for name in names]
    assert (recalled, notices) == (23, ())


@pytest.mark.parametrize("python", PYTHONS)
def test_they_are_read_and_exported_as_json(tmp_path: Path, python: str) -> None:
    path = copied(python, "kinds", tmp_path)
    found = list(read_outcomes(path))
    assert {json.loads(bytes(each.input)): bytes(each.value or b"") for each in found} == EXPORTED
    assert {each.attempts for each in found} == {1}
    assert {each.error for each in found} == {None}
    assert {(each.began, each.started, each.started_at) for each in found} == {(None, None, None)}  # 0.1 does not say
    assert all(0 <= each.took < 1 for each in found)
    assert command(tmp_path, "export", path.name, "-o", "out.jsonl") == "exported: 23 outcomes\n"
    lines = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert {line["input"]: line["value"] for line in lines} == {
        name: json.loads(text) for name, text in EXPORTED.items()
    }


@pytest.mark.parametrize("python", PYTHONS)
def test_the_status_of_then_is_read_and_a_new_one_is_made_where_there_is_none(tmp_path: Path, python: str) -> None:
    status = read_status(copied(python, "kinds", tmp_path))
    assert (status.name, status.done, status.failed, status.running, status.ended) == ("value_of", 23, 0, False, True)
    status = read_status(copied(python, "rows", tmp_path))
    assert (status.name, status.done, status.failed, status.running) == ("row_of", 45, 5, False)
    assert (status.kinds["ValueError"].count, status.kinds["ValueError"].example is not None) == (5, True)


@pytest.mark.parametrize("python", PYTHONS)
def test_failures_are_tried_again_or_come_back_in_words(tmp_path: Path, python: str) -> None:
    path = copied(python, "rows", tmp_path)
    run = whilst.map(subjects.row_of, range(50), journal=whilst.Journal(path, retry_failed=False))
    outcomes = run.outcomes().list()
    assert run.summary().recalled == 50
    assert all(outcome.recalled and outcome.started is None and 0 <= outcome.took < 1 for outcome in outcomes)
    for outcome in outcomes:
        if outcome.index % 10 == 7:
            assert isinstance(outcome.error, whilst.Recorded)
            assert str(outcome.error) == f"ValueError: no row {outcome.index} at https://…@host/p?…"
            assert outcome.error.class_name == "builtins.ValueError"
            assert "in row_of" in outcome.error.traceback
        else:
            assert outcome.value == subjects.row_of(outcome.index)
    run = whilst.map(subjects.row_of, range(50), journal=path)
    assert [type(each.error) for each in run.outcomes().list() if not each.ok] == [ValueError] * 5
    assert run.summary().recalled == 45


@pytest.mark.parametrize("python", PYTHONS)
def test_inputs_are_known_by_their_content_and_their_occurrence(tmp_path: Path, python: str) -> None:
    """In another order, with their keys in another order, and one that is new."""
    path = copied(python, "orders", tmp_path)
    inputs = [*TURNED, ORDERS[0]]
    assert resumed(subjects.total_of, inputs, path) == ([subjects.total_of(each) for each in inputs], 8, ())
    keyed = copied(python, "keyed", tmp_path)
    others = [{"id": each["id"], "prices": [0]} for each in ORDERS[:6]]
    values, recalled, _ = resumed(subjects.total_of, others, keyed, key=subjects.id_of)
    assert (values, recalled) == ([subjects.total_of(each) for each in ORDERS[:6]], 6)


@pytest.mark.parametrize("python", PYTHONS)
def test_objects_of_ones_own_classes_come_back_by_the_annotation(tmp_path: Path, python: str) -> None:
    values, recalled, _ = resumed(subjects.place_of, ["Oslo", "Rome"], copied(python, "places", tmp_path))
    assert (values, recalled) == ([subjects.place_of("Oslo"), subjects.place_of("Rome")], 2)
    assert type(values[0].at) is subjects.Point


SHAPES = sorted((file.parent.name, file.stem.removeprefix("shape-")) for file in FIXTURES.glob("*/shape-*.db"))


@pytest.mark.parametrize(("python", "shape"), SHAPES)
def test_a_function_of_any_shape_is_known_again(tmp_path: Path, python: str, shape: str) -> None:
    fn = subjects.SHAPES[shape]
    values, recalled, notices = resumed(fn, range(5), copied(python, f"shape-{shape}", tmp_path))
    assert (recalled, notices) == (5, ())
    assert values == whilst.map(fn, range(5)).list()


@pytest.mark.parametrize("python", PYTHONS)
def test_a_lambda_that_differs_in_what_its_compiled_code_does_not_say_is_noticed_from_then_on(
    tmp_path: Path, python: str
) -> None:
    """Before 3.13, whilst 0.1 told lambdas by their compiled code, which names the constants and not what is done."""
    path = copied(python, "shape-lambda", tmp_path)
    assert resumed(subjects.SHAPES["lambda"], range(6), path)[1] == 5
    with pytest.raises(whilst.JournalChanged):
        resumed(lambda number: number + 11, range(5), path)
    assert resumed(subjects.SHAPES["lambda"], range(6), path)[1] == 6


def test_every_shape_has_a_journal() -> None:
    assert {shape for _, shape in SHAPES} == set(subjects.SHAPES)


def test_another_function_is_still_noticed(tmp_path: Path) -> None:
    path = copied("3.13", "shape-lambda", tmp_path)
    with pytest.raises(whilst.JournalChanged, match="5 results are"):
        resumed(lambda number: number * 12, range(5), path)
    assert resumed(lambda number: number * 12, range(6), path, accept="old")[0] == [0, 11, 22, 33, 44, 60]


@pytest.mark.parametrize("python", PYTHONS)
def test_what_a_killed_run_left_in_its_log_is_there(tmp_path: Path, python: str) -> None:
    path = copied(python, "killed", tmp_path)
    assert resumed(subjects.padded, range(30), path) == ([subjects.padded(i) for i in range(30)], 20, ())


@pytest.mark.parametrize("python", PYTHONS)
def test_a_rescue_file_is_taken_in(tmp_path: Path, python: str) -> None:
    path = copied(python, "full", tmp_path)
    values, recalled, notices = resumed(subjects.padded, range(60), path)
    assert values == [subjects.padded(i) for i in range(60)]
    assert (recalled, notices) == (12, (f"4 outcomes came from a rescue file into {path}",))
    assert not path.with_name("full.db.rescue.jsonl").exists()
    assert resumed(subjects.padded, range(60), path)[1:] == (60, ())


def loses(path: Path, inputs: int, written: int, lost: int) -> None:
    """See that a run over a damaged journal gives what is right, and says what it misses, once."""
    values, recalled, notices = resumed(subjects.padded, range(inputs), path)
    assert values == [subjects.padded(i) for i in range(inputs)]
    assert recalled == written - lost
    assert notices == (f"{path} was damaged: {lost} outcomes of it are lost; their inputs will be called again",)
    assert resumed(subjects.padded, range(inputs), path)[1:] == (inputs, ())


def flipped(data: bytearray, at: int) -> bytearray:
    data[at] ^= 4
    return data


@pytest.mark.parametrize("python", PYTHONS)
def test_a_damaged_log_is_read_past_the_damage(tmp_path: Path, python: str) -> None:
    path = copied(python, "killed", tmp_path)
    loses(changed(path, "-wal", lambda data: flipped(data, len(data) // 2)), 30, written=20, lost=2)


@pytest.mark.parametrize("python", PYTHONS)
def test_a_log_that_was_cut_is_noticed(tmp_path: Path, python: str) -> None:
    path = copied(python, "killed", tmp_path)
    loses(changed(path, "-wal", lambda data: data[: len(data) // 2]), 30, written=20, lost=12)


def test_a_damaged_row_is_left_out_and_told_of(tmp_path: Path) -> None:
    path = copied("3.13", "parts", tmp_path)
    loses(changed(path, "", lambda data: flipped(data, _in_first_row(data))), 24, written=24, lost=8)


def _in_first_row(data: bytearray) -> int:
    """Return a place in the first row of outcomes."""
    rows = [at for at in range(len(data)) if data.startswith(MAGIC, at) and data[at + 44] == 2]
    return min(rows, key=lambda at: int.from_bytes(data[at + 16 : at + 24], "little")) + 0x7F


def test_what_sqlite_cannot_open_is_rescued(tmp_path: Path) -> None:
    path = changed(copied("3.13", "parts", tmp_path), "", lambda data: bytes(100) + bytes(data[100:]))
    with pytest.raises(whilst.JournalDamaged, match="rescue"):
        resumed(subjects.padded, range(24), path)
    assert rescue(path, tmp_path / "rescued.db") == 24
    assert resumed(subjects.padded, range(24), tmp_path / "rescued.db")[1:] == (24, ())


def test_the_journal_of_a_command_goes_on(tmp_path: Path) -> None:
    path = copied("3.13", "command", tmp_path)
    shutil.copy(FIXTURES / "jobs.py", tmp_path)
    shutil.copy(FIXTURES / "3.13" / "cities.txt", tmp_path)
    header = read_header(path)
    assert header.command is not None
    assert header.command.argv == ("map", "jobs.py:price", "cities.txt", "--journal", "command.db", "-q")
    failed = command(tmp_path, "export", path.name, "--failed")
    assert failed.splitlines()[0] == '{"input":"Atlantis","error":"LookupError: not on the map","attempts":1}'
    again = command(tmp_path, *header.command.argv[:-1])
    assert "continuing: 2 done, 1 failed before\n" in again
    assert "2 of them from the journal" in again


def test_what_a_journal_says_of_itself_is_read(tmp_path: Path) -> None:
    header = read_header(copied("3.11", "orders", tmp_path))
    assert (header.name, header.command, header.key, header.lost) == ("total_of", None, "", 0)
    found = msgspec.structs.asdict(header.fingerprint)
    assert {name for name, value in found.items() if value} == {"code", "bound"}
