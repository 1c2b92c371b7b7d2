"""Files that the project opens for itself: nothing that was planted in their place is followed or waited for."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from whilst.files import create_beside, open_regular, planted, replace_file

WRITING = os.O_RDWR | os.O_CREAT | os.O_TRUNC


def plant(kind: str, at: Path, victim: Path) -> None:
    victim.write_text("precious")
    if kind == "link":
        at.symlink_to(victim)
    elif kind == "dangling link":
        at.symlink_to(victim.with_name("nothing"))
    elif kind == "hard link":
        at.hardlink_to(victim)
    elif kind == "fifo":
        os.mkfifo(at)
    elif kind == "folder":
        at.mkdir()
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(at))
    elif kind == "device":
        at.symlink_to("/dev/null")


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo", "folder", "socket", "device"])
def test_what_was_planted_is_neither_written_nor_waited_for(kind: str, tmp_path: Path) -> None:
    at, victim = tmp_path / "x", tmp_path / "victim"
    plant(kind, at, victim)
    with pytest.raises(OSError, match=r"it is a|Is a directory"):
        os.close(open_regular(str(at), WRITING))
    assert victim.read_text() == "precious"
    assert not (tmp_path / "nothing").exists()


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "socket"])
def test_what_was_planted_is_not_read(kind: str, tmp_path: Path) -> None:
    at = tmp_path / "x"
    plant(kind, at, tmp_path / "victim")
    with pytest.raises(OSError, match="it is a"):
        os.close(open_regular(str(at)))


def test_a_file_of_ones_own_is_truncated_once_it_was_looked_at(tmp_path: Path) -> None:
    at = tmp_path / "x"
    at.write_text("old")
    os.close(open_regular(str(at), os.O_RDWR))
    assert at.read_text() == "old"
    os.close(open_regular(str(at), WRITING))
    assert at.read_text() == ""


@pytest.mark.parametrize("kind", ["link", "dangling link", "hard link", "fifo"])
def test_a_file_is_replaced_whatever_stands_there(kind: str, tmp_path: Path) -> None:
    at, victim = tmp_path / "x", tmp_path / "victim"
    plant(kind, at, victim)
    replace_file(str(at), b"new")
    assert at.read_text() == "new"
    assert not at.is_symlink()
    assert victim.read_text() == "precious"
    assert at.stat().st_mode & 0o777 == 0o600
    assert {it.name for it in tmp_path.iterdir()} == {"x", "victim"}


def test_a_file_that_cannot_be_replaced_leaves_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x").mkdir()
    with pytest.raises(IsADirectoryError):
        replace_file(str(tmp_path / "x"), b"new")
    assert [it.name for it in tmp_path.iterdir()] == ["x"]


def test_two_files_beside_one_have_names_of_their_own(tmp_path: Path) -> None:
    made = [create_beside(str(tmp_path / "x"), ".part") for _ in range(2)]
    for descriptor, _ in made:
        os.close(descriptor)
    assert len({name for _, name in made}) == 2
    assert all(name.endswith(".part") for _, name in made)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_link_or_fifo_that_somebody_else_planted_is_told_from_ours(tmp_path: Path) -> None:
    for owner in ("ours", "theirs"):
        (tmp_path / f"{owner}.link").symlink_to(tmp_path / "target")
        os.mkfifo(tmp_path / f"{owner}.fifo")
        (tmp_path / f"{owner}.file").touch()
    for it in tmp_path.glob("theirs.*"):
        os.lchown(it, 12345, 12345)
    found = {it.name: planted(str(it)) for it in tmp_path.iterdir()}
    assert not any(found.values()), "in a folder that is not for all"
    tmp_path.chmod(0o1777)
    found = {it.name: planted(str(it)) for it in tmp_path.iterdir()}
    assert {name: it for name, it in found.items() if it} == {"theirs.link": "a symbolic link", "theirs.fifo": "a FIFO"}
    os.chown(tmp_path, 12345, 12345)
    assert not any(planted(str(it)) for it in tmp_path.glob("theirs.*")), "in a folder of its owner"
    assert planted(str(tmp_path / "nothing")) == ""
