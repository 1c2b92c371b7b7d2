"""An outcome carries everything, and survives hostile inputs and errors."""

from typing import Any

import pytest

from whilst import Outcome
from whilst.core.outcome import noted, short


def outcome(value: Any = None, error: BaseException | None = None, item: Any = "the input") -> Outcome[Any, Any]:
    return Outcome(3, item, value, error, 0.5, 0.25, 2)


class Evil:
    def __repr__(self) -> str:
        raise ZeroDivisionError

    def __str__(self) -> str:
        raise ZeroDivisionError


class Closed(Exception):
    """Forbids attributes, so no note can be added."""

    __slots__ = ()

    def __setattr__(self, name: str, value: object) -> None:
        raise TypeError("read-only")

    def add_note(self, note: str) -> None:
        raise TypeError("read-only")


def test_a_value_is_unwrapped_even_if_it_is_none() -> None:
    assert outcome("v").unwrap() == "v"
    assert outcome(None).ok
    assert outcome(None).unwrap() is None


def test_a_failure_is_unwrapped_as_the_very_exception_with_a_note_that_names_the_input() -> None:
    error = ValueError("x")
    bad = outcome(error=error)
    assert not bad.ok
    with pytest.raises(ValueError, match="x") as caught:
        bad.unwrap()
    assert caught.value is error
    assert error.__notes__ == ["whilst: input 3 was 'the input', attempt 2"]


def test_notes_do_not_pile_up_and_leave_other_notes_alone() -> None:
    error = ValueError("x")
    error.add_note("mine")
    for index in range(3):
        noted(error, index, "in", 1)
    assert error.__notes__ == ["mine", "whilst: input 0 was 'in', attempt 1"]


@pytest.mark.parametrize("notes", [None, 5, [5], "text"])
def test_strange_notes_do_not_hide_the_error(notes: object) -> None:
    error = ValueError("x")
    error.__notes__ = notes  # type: ignore[assignment]
    assert noted(error, 0, "in", 1) is error


def test_an_exception_that_forbids_attributes_is_raised_without_a_note() -> None:
    error = Closed("x")
    with pytest.raises(Closed) as caught:
        outcome(error=error).unwrap()
    assert caught.value is error


def test_an_input_whose_repr_raises_is_named_by_its_class() -> None:
    error = ValueError("x")
    noted(error, 0, Evil(), 1)
    assert error.__notes__ == ["whilst: input 0 was <Evil whose repr raises ZeroDivisionError>, attempt 1"]
    assert "Evil whose repr raises" in repr(outcome(Evil(), item=Evil()))


@pytest.mark.parametrize(
    ("thing", "text"),
    [
        ("a\nb", r"'a\nb'"),
        ("x" * 200, "'" + "x" * 118 + "…"),
        ([1, [2]], "[1, [2]]"),
    ],
)
def test_what_is_shown_is_one_short_line(thing: object, text: str) -> None:
    assert short(thing) == text


def test_a_repr_of_many_lines_is_shown_on_one() -> None:
    class Lines:
        def __repr__(self) -> str:
            return "<a\n   b\t\r\n c>"

    assert short(Lines()) == "<a b c>"


def test_a_recursive_thing_is_shown() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert "RecursionError" in short(deep) or short(deep).startswith("[[[")


def test_the_repr_tells_what_became_of_the_input() -> None:
    assert repr(outcome(7)) == "<Outcome 3 of 'the input': value=7, 0.250 s>"
    assert repr(outcome(error=KeyError("k"))) == "<Outcome 3 of 'the input': error=KeyError('k'), 0.250 s>"
