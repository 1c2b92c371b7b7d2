"""What plain code gets of a record: the value, or the failure with its notes."""

from __future__ import annotations

import pytest

from whilst.engine.consume import beside_value_of


def test_a_value_is_given() -> None:
    assert beside_value_of((0, "input", "value", None, 0.0, 1.0, 1)) == "value"


def test_a_failure_of_another_loop_says_on_which_loop_the_call_was() -> None:
    error = RuntimeError("<Future> attached to a different loop")
    with pytest.raises(RuntimeError) as caught:
        beside_value_of((0, "input", None, error, 0.0, 1.0, 1))
    assert caught.value is error
    assert any("loop" in note for note in error.__notes__)
