"""What somebody planted beside a journal is not used; nonsense in any of its files gives words, never a traceback."""

from __future__ import annotations

import contextlib
import json
import os
import random
import shutil
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st
from journalkit import crashed, double, drive

import whilst
from whilst.cli.main import run as run_command
from whilst.journal import read_header, read_outcomes, read_status, rescue
from whilst.journal.lock import holder_of
from whilst.journal.status import snapshot, status_path
from whilst.journal.tail import Tail

SOAK = int(os.environ.get("WHILST_SOAK", "1"))
BESIDE = (".lock", ".status.json", ".tail", ".rescue.jsonl")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


# -- what was planted ------------------------------------------------------------------------------------------


def plant_link(path: Path) -> None:
    path.symlink_to(path.parent / "precious")


def plant_hard_link(path: Path) -> None:
    os.link(path.parent / "precious", path)


def plant_fifo(path: Path) -> None:
    os.mkfifo(path)


def plant_folder(path: Path) -> None:
    path.mkdir()


def said_by(way: Callable[[], Any]) -> str:
    """Return what is refused, if it is."""
    try:
        way()
    except whilst.JournalError as error:
        return str(error)
    return ""


PLANTS = [plant_link, plant_hard_link, plant_fifo, plant_folder]


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("ending", BESIDE)
def test_what_was_planted_beside_a_journal_is_not_followed_or_waited_for(
    tmp_path: Path, ending: str, plant: Callable[[Path], None]
) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    path, planted = tmp_path / "run.db", tmp_path / f"run.db{ending}"
    plant(planted)
    ways: list[Callable[[], Any]] = [
        lambda: drive(path, range(3)),
        lambda: read_status(path),
        lambda: read_header(path),
        lambda: list(read_outcomes(path)),
        lambda: snapshot(str(path)),
    ]
    for way in ways:
        with contextlib.suppress(whilst.JournalError):
            way()
    assert (tmp_path / "precious").read_bytes() == b"precious"
    if planted.is_dir():
        planted.rmdir()
    else:
        planted.unlink(missing_ok=True)


def test_a_lock_that_cannot_be_used_names_the_file_and_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "run.db.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(whilst.JournalError, match=r"run\.db\.lock is needed beside it.*\n  it is a symbolic link"):
        drive(tmp_path / "run.db", [1])
    assert not (tmp_path / "precious").exists()
    (tmp_path / "run.db.lock").unlink()


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_a_link_in_place_of_the_log_is_not_followed(tmp_path: Path, ending: str) -> None:
    (tmp_path / "precious").write_bytes(b"precious")
    (tmp_path / f"run.db{ending}").symlink_to(tmp_path / "precious")
    try:
        drive(tmp_path / "run.db", range(3))
    except whilst.JournalError:
        pass
    assert (tmp_path / "precious").read_bytes() == b"precious"


@pytest.mark.parametrize("plant", PLANTS)
@pytest.mark.parametrize("ending", ["-wal", "-shm", "-journal", *BESIDE])
def test_what_was_planted_beside_a_journal_that_is_there_is_neither_followed_nor_written_to(
    tmp_path: Path, ending: str, plant: Callable[[Path], None]
) -> None:
    path, planted = tmp_path / "run.db", tmp_path / f"run.db{ending}"
    (tmp_path / "precious").write_bytes(b"precious" * 9000)
    drive(path, range(3))
    planted.unlink(missing_ok=True)
    plant(planted)
    ways: list[Callable[[], Any]] = [
        lambda: read_status(path),
        lambda: read_header(path),
        lambda: list(read_outcomes(path)),
        lambda: drive(path, range(6)),
    ]
    for way in ways:
        said = said_by(way)
        assert not said or str(planted) in said  # which file is in the way
    assert (tmp_path / "precious").read_bytes() == b"precious" * 9000
    if planted.is_dir():
        planted.rmdir()
    else:
        planted.unlink(missing_ok=True)
    assert sum(1 for _ in read_outcomes(path)) >= 3


@pytest.mark.parametrize("name", ["run.db", "other.db"])
def test_a_journal_with_a_second_name_is_refused_under_both(tmp_path: Path, name: str) -> None:
    drive(tmp_path / "run.db", range(3))
    os.link(tmp_path / "run.db", tmp_path / "other.db")
    ways: list[Callable[[], Any]] = [
        lambda: drive(tmp_path / name, range(6)),
        lambda: list(read_outcomes(tmp_path / name)),
    ]
    for way in ways:
        with pytest.raises(whilst.JournalError, match=r"second name \(a hard link\)[\s\S]*try: find .* -samefile"):
            way()
    (tmp_path / "other.db").unlink()
    assert len([*read_outcomes(tmp_path / "run.db")]) == 3


def test_a_journal_that_is_a_fifo_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "run.db")
    for use in (lambda: drive(tmp_path / "run.db", [1]), lambda: rescue(tmp_path / "run.db", tmp_path / "new.db")):
        with pytest.raises(whilst.JournalError, match=r"a FIFO|nothing can be rescued|cannot be read"):
            use()


def test_a_link_of_ones_own_to_a_journal_is_followed(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "run.db")
    drive(tmp_path / "link.db", range(3))
    assert drive(tmp_path / "run.db", range(3)).called == []


@pytest.mark.parametrize("before", [0o644, 0o666, 0o640, 0o600])
@pytest.mark.parametrize("content", ["empty", "written"])
def test_a_journal_is_readable_by_its_owner_only_whoever_made_the_file(
    tmp_path: Path, before: int, content: str
) -> None:
    path = tmp_path / "run.db"
    path.touch() if content == "empty" else drive(path, range(3))
    path.chmod(before)
    mask = os.umask(0)
    try:
        copy = crashed(tmp_path / "other.db", 2)
        drive(path, range(6))
    finally:
        os.umask(mask)
    assert mode(path) == 0o600
    for each in [*tmp_path.glob("run.db*"), *tmp_path.glob("other.db*")]:
        assert mode(each) == 0o600, each
    assert copy.exists()


# -- damage ----------------------------------------------------------------------------------------------------


def used(path: Path) -> dict[str, str]:
    """Use a journal in every way; return how each ended: well, or with an error of ours."""
    ways: dict[str, Callable[[], Any]] = {
        "status": lambda: read_status(path),
        "header": lambda: read_header(path),
        "outcomes": lambda: sum(1 for _ in read_outcomes(path)),
        "run": lambda: drive(path, range(40)).values,
        "again": lambda: drive(path, range(40)).values,
    }
    ended: dict[str, str] = {}
    for name, way in ways.items():
        try:
            way()
            ended[name] = ""
        except whilst.JournalError as error:
            ended[name] = type(error).__name__
    return ended


def flip(data: bytes, at: int, bit: int) -> bytes:
    return data[:at] + bytes([data[at] ^ 1 << bit]) + data[at + 1 :]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Give a journal that was closed well, with all its files."""
    path = tmp_path_factory.mktemp("whole") / "run.db"
    drive(path, range(40), batch=10)
    return path


def copied(whole: Path, to: Path) -> Path:
    to.mkdir(exist_ok=True)
    for file in whole.parent.glob(f"{whole.name}*"):
        shutil.copyfile(file, to / file.name)
    return to / whole.name


@pytest.mark.slow
def test_a_flipped_bit_anywhere_in_the_first_page_gives_words_and_the_same_ones_twice(
    whole: Path, quick_path: Path
) -> None:
    data, chance = whole.read_bytes(), random.Random(7)
    places = [
        *range(100),
        *range(4096 - 200, 4096, 1 if SOAK > 1 else 5),
        *(chance.randrange(100, 4096) for _ in range(30)),
    ]
    for number, at in enumerate(places):
        path = copied(whole, quick_path / f"{number}")
        path.write_bytes(flip(data, at, chance.randrange(8)))
        ended = used(path)
        assert ended["run"] == ended["again"], (at, ended)  # no second opinion on the second try
        shutil.rmtree(path.parent)


def test_a_flipped_bit_anywhere_else_gives_words_too(whole: Path, quick_path: Path) -> None:
    data, chance = whole.read_bytes(), random.Random(11)
    for number in range(40 * SOAK):
        path = copied(whole, quick_path / f"{number}")
        path.write_bytes(flip(data, chance.randrange(4096, len(data)), chance.randrange(8)))
        ended = used(path)
        assert ended["run"] == ended["again"], ended
        shutil.rmtree(path.parent)


def test_a_flipped_bit_in_the_log_of_a_killed_run_gives_words_and_a_header_that_was_got_back_is_known(
    quick_path: Path,
) -> None:
    source, chance = crashed(quick_path / "run.db", 4), random.Random(13)
    log = source.with_name(source.name + "-wal").read_bytes()
    for number in range(120):
        path = copied(source, quick_path / f"{number}")
        at = number % 32 if number < 40 else chance.randrange(len(log))
        path.with_name(path.name + "-wal").write_bytes(flip(log, at, chance.randrange(8)))
        ended: list[str] = []
        for way in (read_header, read_header):
            try:
                ended.append(way(path).name)
            except whilst.JournalError as error:
                ended.append(str(error))
        assert ended[0] == ended[1]
        shutil.rmtree(path.parent)


_NUMBER = st.one_of(
    st.sampled_from([0, -1, 1, 1e30, -1e30, 1e308, 2**31, 2**63, 2**64, -(2**63), 0.5]), st.integers(), st.floats()
)
_JSON = st.recursive(
    st.none() | st.booleans() | _NUMBER | st.text(max_size=20),
    lambda v: st.lists(v, max_size=4) | st.dictionaries(st.text(max_size=8), v, max_size=4),
)


@pytest.fixture(scope="module")
def beside(whole: Path) -> dict[str, Any]:
    found = json.loads(Path(status_path(str(whole))).read_text())
    assert isinstance(found, dict)
    return found


@given(st.data())
@settings(max_examples=50 * SOAK, deadline=None)
def test_nonsense_in_a_status_or_a_lock_gives_words(
    whole: Path, beside: dict[str, Any], tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = copied(whole, tmp_path_factory.mktemp("nonsense"))
    names = st.sampled_from([*beside, "kinds", "command", "notices"])
    told = {**beside, **data.draw(st.dictionaries(names, _JSON, min_size=1, max_size=3))}
    if data.draw(st.booleans()):
        told["running"] = True
    text = json.dumps(told).encode()
    cut = data.draw(st.none() | st.integers(0, len(text)))
    Path(status_path(str(path))).write_bytes(text if cut is None else text[:cut])
    holder = {"pid": data.draw(_NUMBER), "host": data.draw(st.text(max_size=5)), "since": data.draw(_NUMBER)}
    path.with_name("run.db.lock").write_text(json.dumps(holder))
    holder_of(str(path))
    said = CliRunner(catch_exceptions=False).invoke(_status_command(), [str(path)])
    assert said.exit_code in (0, 4), said.output
    assert "Traceback" not in said.output
    path.with_name("run.db.lock").unlink(missing_ok=True)
    shutil.rmtree(path.parent)


def _status_command() -> Any:
    from whilst.cli.status import command

    return command


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("updated", "253500000000"),  # the year 10003
        ("started", "253500000000"),
        *(
            (name, number)
            for name in ("updated", "started", "pid", "done", "rate", "total")
            for number in ("1e30", "-1", "1e308", "NaN", "[]", '"now"')
        ),
    ],
)
def test_a_status_with_a_number_that_is_none_is_counted_anew(
    whole: Path, tmp_path: Path, name: str, number: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = copied(whole, tmp_path / "copy")
    told = Path(status_path(str(path))).read_text()
    before = json.loads(told)[name]
    Path(status_path(str(path))).write_text(told.replace(f'"{name}":{json.dumps(before)}', f'"{name}":{number}'))
    assert run_command(["status", str(path)]) == 0
    assert "40 done" in capsys.readouterr().out


@pytest.mark.parametrize("nesting", ["[", '{"a":'])
def test_a_status_that_is_nested_without_end_is_none(whole: Path, tmp_path: Path, nesting: str) -> None:
    path = copied(whole, tmp_path / "copy")
    Path(status_path(str(path))).write_text(nesting * 100_000)
    assert read_status(path).done == 40


@given(st.binary(max_size=200))
@settings(max_examples=60)
def test_any_bytes_in_a_tail_are_read_as_an_end_or_as_none(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    path = tmp_path_factory.mktemp("tail") / "run.db"
    path.with_name("run.db.tail").write_bytes(data)
    assert Tail(str(path)).read(b"12345678") is None
    path.with_name("run.db.tail").unlink()
    path.parent.rmdir()


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"\xff\xfe\n",
        b'{"input":1,"raw":"////","crc":0}\n',
        b"[" * 100_000 + b"\n",
        b"{" * 999,
    ],
)
def test_nonsense_in_a_rescue_file_is_left_out(whole: Path, tmp_path: Path, text: bytes) -> None:
    path = copied(whole, tmp_path / "copy")
    path.with_name("run.db.rescue.jsonl").write_bytes(text)
    ran = drive(path, range(40))
    assert (ran.called, ran.values) == ([], [double(number) for number in range(40)])
