"""The last lines of a command say where the time went and what would help, in options; or nothing, if so wished."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest
from commandkit import run

import whilst
from whilst.core.flags import change_in_flags, in_flags

pytestmark = pytest.mark.once
PROGRAM = """
import time
def nap(x):
    time.sleep(0.01)
    return x
"""


@pytest.fixture(autouse=True)
def program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "prog.py").write_text(PROGRAM)
    (tmp_path / "in.txt").write_text("".join(f"{n}\n" for n in range(150)))
    monkeypatch.chdir(tmp_path)


def said(*options: str) -> str:
    code, _, err = run("map", "prog:nap", "in.txt", "-o", "out.jsonl", "--overwrite", *options)
    assert code == 0, err
    return err.decode()


def test_the_advice_is_in_options_and_can_be_copied() -> None:
    told = said("-j", "4", "--advice", "on")
    assert "\n  lanes " in told
    assert "busy" in told
    assert "-j 8" in told
    assert "-j adaptive" in told
    assert "concurrency=" not in told
    assert max(map(len, told.splitlines())) <= 80


def test_advice_off_leaves_it_out() -> None:
    told = said("-j", "4", "--rate", "100/s", "--advice", "off")
    assert "held by rate=100/s" in told
    assert "advice" not in told


def test_a_command_of_less_than_a_second_says_it_only_when_asked() -> None:
    assert "lanes" not in said("-j", "75")
    assert "lanes" not in said("-j", "75", "--advice", "off")


@pytest.mark.parametrize("options", [("-q",), ("-q", "--advice", "on")])
def test_quiet_says_nothing(options: tuple[str, ...]) -> None:
    assert said("-j", "50", *options) == ""


def test_the_summary_file_has_it_too() -> None:
    said("-j", "4", "--summary", "end.json")
    end = json.loads(Path("end.json").read_text())
    assert next(iter(end["account"])) == "busy"
    assert end["advice"][0]["change"] == {"concurrency": "adaptive"}
    assert end["times"]["calls"] == 150
    assert end["exit_code"] == 0


def test_the_page_of_a_command_has_the_words_of_the_terminal_and_that_of_a_program_its_own() -> None:
    said("-j", "4", "--trace", "run.trace")
    assert run("report", "run.trace")[0] == 0
    page = Path("run.html").read_text()
    advice = page[page.index("What to change") : page.index("One by one")]
    assert "-j 8 makes this" in advice
    assert "<code>-j adaptive</code>" in advice
    assert "concurrency=" not in advice
    mapped = whilst.map(lambda _: time.sleep(0.01), range(150), concurrency=4, trace="own.trace")
    mapped.list()
    assert run("report", "own.trace")[0] == 0
    page = Path("own.html").read_text()
    assert "<code>concurrency=&quot;adaptive&quot;</code>" in page[page.index("What to change") :]


@pytest.mark.parametrize(
    ("change", "options"),
    [
        ({"executor": "thread", "concurrency": 32}, "--executor thread -j 32"),
        ({"retry": "Retry(attempts=5, budget=None)"}, "--retry-budget none"),
        ({"ordered": False}, "--unordered"),
        ({"commit": "buffered"}, "--commit buffered"),
        ({"step": "a/b", "concurrency": 4}, ""),
        ({"limit": "Limit(concurrency=4)"}, ""),
        ({}, ""),
    ],
)
def test_a_change_is_options_or_nothing(change: dict[str, Any], options: str) -> None:
    assert change_in_flags(change) == options


@pytest.mark.parametrize(
    ("text", "flags"),
    [
        ('rate="78/s" gets as much done', "--rate 78/s gets as much done"),
        ("ordered=False makes this 2.0x as fast", "--unordered makes this 2.0x as fast"),
        ('a journal with commit="buffered"', "a journal with --commit buffered"),
        ("held by rate=100/s", "held by rate=100/s"),
        ("held by concurrency=4 per key", "held by concurrency=4 per key"),
    ],
)
def test_parameters_are_written_as_options(text: str, flags: str) -> None:
    assert in_flags(text) == flags
