"""What is public is what was reviewed: a name, a parameter or a flag that came, went or changed is shown as a diff."""

from __future__ import annotations

import difflib

import pytest
from snapshots import HERE, api, command_line

UPDATE = "python tests/public/snapshots.py"


def check(name: str, now: str) -> None:
    reviewed = (HERE / name).read_text(encoding="utf-8")
    if now != reviewed:
        lines = difflib.unified_diff(
            reviewed.splitlines(),
            now.splitlines(),
            f"tests/public/{name}, reviewed",
            "what is there now",
            lineterm="",
            n=1,
        )
        pytest.fail("\n".join([*lines, "", f"if that is meant (and in CHANGELOG.md): {UPDATE}"]), pytrace=False)


def test_the_public_api_is_the_reviewed_one() -> None:
    check("api.txt", api())


def test_the_command_line_is_the_reviewed_one() -> None:
    check("command-line.txt", command_line())


def test_a_change_is_shown_with_the_command_that_takes_it_over() -> None:
    changed = api().replace("concurrency", "parallelism", 1)
    with pytest.raises(pytest.fail.Exception) as caught:
        check("api.txt", changed)
    said = str(caught.value)
    assert "+++ what is there now" in said
    assert "parallelism" in said
    assert UPDATE in said


def test_nothing_in_them_depends_on_the_process() -> None:
    assert " at 0x" not in api() + command_line()
