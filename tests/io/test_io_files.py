"""Lists of files: which, in which order, and which are rejected."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from whilst.io.files import matching
from whilst.io.open import open_input, open_output
from whilst.io.refusal import Refused
from whilst.io.rows import Rejected, Row

TREE = ["a.txt", "b.md", "z.txt", ".hidden.txt", "sub/c.txt", "sub/deep/d.txt", "sub/deep/e.md"]
TREE += ["other/f.txt", ".git/g.txt"]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("*.txt", ["a.txt", "z.txt"]),
        ("**/*.txt", ["a.txt", "z.txt", "other/f.txt", "sub/c.txt", "sub/deep/d.txt"]),
        ("sub/**/*.txt", ["sub/c.txt", "sub/deep/d.txt"]),
        ("sub/**", ["sub/c.txt", "sub/deep/d.txt", "sub/deep/e.md"]),
        ("**/deep/*", ["sub/deep/d.txt", "sub/deep/e.md"]),
        ("*/?.txt", ["other/f.txt", "sub/c.txt"]),
        ("[ab].*", ["a.txt", "b.md"]),
        (".*.txt", [".hidden.txt"]),
        ("a.txt", ["a.txt"]),
        ("nothing*", []),
    ],
)
def test_a_pattern_names_files_folder_by_folder_in_order(here: Path, pattern: str, found: list[str]) -> None:
    assert list(matching(pattern)) == found
    assert list(matching(f"{here}/{pattern}")) == [f"{here}/{name}" for name in found]


def test_it_agrees_with_pathlib(here: Path) -> None:
    for pattern in ("**/*.txt", "*/*", "sub/**/*.md", "s*/**/[de].*"):
        ours = {str(it) for it in matching(pattern)}
        theirs = {str(it.relative_to(here)) for it in here.glob(pattern) if it.is_file()}
        assert ours == {it for it in theirs if not any(part.startswith(".") for part in Path(it).parts)}


def test_a_link_that_leads_in_a_circle_is_not_followed(here: Path) -> None:
    (here / "sub" / "loop").symlink_to(here)
    assert sum(1 for _ in matching("**/*.txt")) == 5


def test_what_cannot_be_opened_is_rejected_alone(here: Path) -> None:
    (here / "gone.txt").symlink_to("nowhere")
    (here / os.fsdecode(b"m\xff.txt")).write_text("")
    rows = list(open_input("files:*.txt").rows())
    assert [row.value for row in rows if isinstance(row, Row)] == ["a.txt", "z.txt"]
    gone, strange = (row for row in rows if isinstance(row, Rejected))
    assert (gone.line, gone.reason) == (2, "gone.txt cannot be read: Permission denied")
    assert (strange.line, strange.reason) == (3, "the name of the file is not UTF-8")


@pytest.mark.parametrize("name", ["files:", "files:nowhere/*.txt"])
def test_a_pattern_of_nowhere_is_refused(here: Path, name: str) -> None:
    with pytest.raises(Refused, match="names no files"):
        open_input(name)
    with pytest.raises(Refused, match="not written to"):
        open_output("files:*.txt")


def test_a_large_folder_is_listed_as_it_is_read(here: Path) -> None:
    rows = open_input("files:**/*").rows()
    first = next(rows)
    assert isinstance(first, Row)
    (here / "sub" / "new.txt").touch()  # in a folder that has not been listed yet
    assert "sub/new.txt" in [row.value for row in rows if isinstance(row, Row)]
