"""Options of parallel, xargs, curl and tqdm are answered with those that the commands have."""

from __future__ import annotations

import pytest

from whilst.cli.main import run
from whilst.core.foreign import FLAGS

ANSWERS = [
    ("map", "--jobs", "whilst map -j N"),
    ("map", "-P", "whilst map -j N"),
    ("map", "--retries", "whilst map --retry N"),
    ("map", "--delay", "whilst map --rate 10/s"),
    ("map", "--halt", "whilst map --stop-after N"),
    ("map", "--joblog", "whilst map --journal FILE, and --times"),
    ("map", "--keep-order", "whilst map --ordered"),
    ("map", "--completed-order", "whilst map --unordered"),
    ("map", "--colsep", "whilst map --delimiter C"),
    ("map", "--arg-file", "the file as the word behind the target"),
    ("map", "--n-jobs", "whilst map -j N"),
    ("map", "--load", "whilst map -j adaptive"),
    ("map", "--backoff", "whilst map --retry N"),
    ("map", "--qps", "whilst map --rate 10/s"),
    ("map", "--fail-fast", "whilst map --stop-after N"),
    ("map", "--on-error", "whilst map --failed FILE"),
    ("map", "--errors", "whilst map --failed FILE"),
    ("map", "--json", "whilst map -o out.jsonl"),
    ("map", "--loglevel", "whilst map --log text"),
    ("map", "--cache", "whilst map --journal FILE"),
    ("map", "--retry-failed", "whilst map --journal FILE"),
    ("map", "--line-buffer", "whilst map --unordered"),
    ("map", "--tag", "leave --values out"),
    ("map", "-I", "whilst map --call one"),
    ("map", "--pipe", "leave it out"),
    ("map", "-N", "whilst map --batch N"),
    ("map", "--interactive", "whilst map --dry-run 3"),
    ("map", "--sshlogin", "whilst map --executor ray"),
    ("map", "--version", "whilst map --help, or: whilst version"),
    ("get", "-X", "whilst get --method NAME"),
    ("get", "--max-time", "whilst get --timeout S"),
    ("get", "--user", "whilst get --header-env"),
]


@pytest.mark.parametrize(("command", "flag", "line"), ANSWERS)
def test_an_option_of_another_program_is_answered(
    command: str, flag: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "jobs.py:f", flag, "5"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"error: whilst {command} has no option {flag}\n  try: {line}")


@pytest.mark.parametrize("flag", ["--profile", "--hostname", "--shuf", "--nice", "--tmpdir", "--sample", "--queue"])
def test_an_option_that_is_like_none_is_not_answered_with_one_that_has_a_few_letters_of_it(
    flag: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["map", "jobs.py:f", flag, "5"]) == 2
    assert capsys.readouterr().err == f"error: whilst map has no option {flag}\n  try: whilst map --help\n"


@pytest.mark.parametrize(
    ("flag", "line"),
    [("--dry-run", "--dry-run N"), ("-j", "-j N|adaptive"), ("--rate", "--rate 100/s"), ("--values=3", "--values")],
)
def test_an_option_without_its_value_or_with_one_too_many_is_shown_as_it_is_written(
    flag: str, line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["map", "jobs.py:f", "hosts.txt", flag]) == 2
    assert capsys.readouterr().err.splitlines()[1] == f"  try: {line}"


def test_no_answer_stands_twice_for_one_command() -> None:
    words = [(word, option) for these, option, _ in FLAGS for word in these.split()]
    assert len(words) == len(set(words))


@pytest.mark.parametrize(
    ("command", "flag", "other"),
    [
        ("map", "--header", "whilst get"),
        ("get", "--call", "whilst map"),
        ("status", "--done", "whilst export"),
        ("run", "--executor", "whilst map"),
    ],
)
def test_an_option_of_another_command_is_not_taken_for_one_that_is_alike(
    command: str, flag: str, other: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run([command, "jobs.py:f", flag, "5"]) == 2
    said = capsys.readouterr().err
    assert said == f"error: whilst {command} has no option {flag}, but {other} has\n  try: {other} --help\n"
