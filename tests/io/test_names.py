"""Names that stand for the same file are found before anything is opened."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whilst.io.names import OF_JOURNAL, clash, files_of, is_same_table
from whilst.io.open import open_output


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "there.jsonl").touch()
    (tmp_path / "link.jsonl").symlink_to("there.jsonl")
    (tmp_path / "hard.jsonl").hardlink_to("there.jsonl")
    (tmp_path / "nowhere.jsonl").symlink_to("new.jsonl")
    (tmp_path / "folder").mkdir()
    (tmp_path / "same").symlink_to("folder")
    return tmp_path


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("there.jsonl", "./there.jsonl"),
        ("there.jsonl", "link.jsonl"),
        ("there.jsonl", "hard.jsonl"),
        ("new.jsonl", "nowhere.jsonl"),
        ("new.jsonl", "folder/../new.jsonl"),
        ("folder/new.jsonl", "same/new.jsonl"),
        ("run.db", "sqlite:///run.db?table=t"),
        ("run.db", "sqlite:///./run%2Edb?table=t"),
        ("run.db-wal", "sqlite:///run.db?table=t"),
        ("s3://b/x.jsonl", "s3://b/x.jsonl"),
    ],
)
def test_two_names_of_one_file_clash(one: str, other: str) -> None:
    assert clash({"-o": files_of(one), "--journal": files_of(other)}) == ("-o", "--journal")


def test_a_file_url_is_its_file(here: Path) -> None:
    assert clash({"-o": [f"file://{here}/there.jsonl"], "--failed": ["there.jsonl"]}) == ("-o", "--failed")


@pytest.mark.parametrize("ending", OF_JOURNAL)
def test_what_belongs_to_a_journal_clashes_too(ending: str) -> None:
    assert clash({"-o": [f"run.db{ending}"], "--journal": [f"run.db{it}" for it in OF_JOURNAL]})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("there.jsonl", "new.jsonl"),
        ("new.jsonl", "folder/new.jsonl"),
        ("-", "-"),
        ("/dev/null", "/dev/null"),
        ("/dev/stdout", "/dev/fd/1"),
        ("sqlite:///a.db?table=t", "sqlite:///b.db?table=t"),
        ("postgresql://h/db?table=a", "postgresql://h/db?table=b"),
    ],
)
def test_names_of_two_files_do_not(one: str, other: str) -> None:
    assert clash({"-o": files_of(one), "--failed": files_of(other)}) is None


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("sqlite:///a.db?table=t", "sqlite:///./a.db?key=id&table=MAIN.T", True),
        ("sqlite:///a.db?table=t", "sqlite+pysqlite:///a%2Edb?table=t", True),
        ("sqlite:///a.db?table=t", "sqlite:///a.db?table=u", False),
        ("sqlite:///a.db?table=t", "sqlite:///b.db?table=t", False),
        ("sqlite:///a.db?table=t", "sqlite:///a.db?query=SELECT * FROM t", False),
        ("postgres://me:x@h/db?table=t", "postgresql+psycopg://you@H:5432/db?table=public.t&key=id", True),
        ("postgres://h/db?table=t", "postgres://h/db?table=T", False),
        ("postgres://h/db?table=t", "postgres://h/other?table=t", False),
        ("sqlite:///a.db?table=t", "a.db", False),
    ],
)
def test_two_names_of_one_table_are_known(here: Path, one: str, other: str, same: bool) -> None:
    assert is_same_table(one, other) is same
    assert is_same_table(other, one) is same


def test_the_working_name_of_an_output_cannot_be_guessed(here: Path) -> None:
    (here / f"out.jsonl.{os.getpid()}.part").symlink_to("there.jsonl")
    names: set[str] = set()
    for run in (None, None, "run.db", "run.db"):
        sink = open_output("out.jsonl", run=run)
        names |= {it.name for it in here.glob("out.jsonl.*.part") if not it.is_symlink()}
        sink.discard()
    assert len(names) == 4
    assert (here / "there.jsonl").read_bytes() == b""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a link away")
@pytest.mark.parametrize("kind", ["link", "fifo"])
def test_an_output_that_somebody_else_planted_is_neither_followed_nor_waited_for(here: Path, kind: str) -> None:
    name = str(here / "out.jsonl")
    if kind == "fifo":
        os.mkfifo(name)
    else:
        os.symlink("there.jsonl", name)
    os.lchown(name, 12345, 12345)
    here.chmod(0o1777)
    with pytest.raises(PermissionError, match="that somebody else made"):
        open_output(name, overwrite=True)
    assert (here / "there.jsonl").read_bytes() == b""


def test_standard_output_by_its_other_name_is_written_to_as_it_is(
    here: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sink = open_output("/dev/stdout")
    assert sink.finish() is None
    assert not list(here.glob("*.part"))
