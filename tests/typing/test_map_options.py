"""The keywords of `map`, `step`, `each` and `filter`: what signatures say to people, and options to type checkers."""

from __future__ import annotations

import inspect
from typing import Any

import pytest

import whilst
from whilst.options import MapOptions, StageOptions, StepOptions


@pytest.mark.parametrize(
    ("function", "options", "besides"),
    [
        (whilst.map, MapOptions, {"use"}),
        (whilst.step, StepOptions, {"use"}),
        (whilst.each, StageOptions, {"use", "failures"}),
        (whilst.filter, StageOptions, {"use"}),
    ],
)
def test_type_checkers_are_told_what_functions_take(function: Any, options: Any, besides: set[str]) -> None:
    parameters = inspect.signature(function).parameters.values()
    taken = {it.name: it.annotation.replace("Several[", "Sequence[") for it in parameters if it.kind is it.KEYWORD_ONLY}
    told = {name: getattr(hint, "__forward_arg__", hint) for name, hint in options.__annotations__.items()}
    assert told == {name: hint for name, hint in taken.items() if name not in besides}


def test_each_keyword_of_map_is_optional() -> None:
    assert frozenset() == MapOptions.__required_keys__
    parameters = inspect.signature(whilst.map).parameters.values()
    assert not [it.name for it in parameters if it.kind is it.KEYWORD_ONLY and it.default is it.empty]
