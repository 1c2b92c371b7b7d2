"""What is called in a worker: a function as it was sent, with what is opened for it here."""

from __future__ import annotations

from collections.abc import Callable
from contextvars import ContextVar
from time import time
from typing import Any

from ..remote.codec import Target
from .preparing import set_variables

Call = Callable[[Any], Any]

stepped: ContextVar[Any] = ContextVar("whilst_stepped", default=None)
"""What the parent told of the call of a step that is made in this context."""


def made(
    target: Target, at_end: list[Callable[[], None]], steps: Callable[[Any], object] = stepped.set
) -> tuple[str, Call]:
    """Return the name of a function and what calls it.

    What is opened for it is closed by what is put into `at_end`; `steps` is told of each call of a step.
    """
    fn, takes_value, use, with_variables = target
    name = str(getattr(fn, "__qualname__", None) or type(fn).__qualname__).rpartition("<locals>.")[2]
    call: Call = fn if takes_value else lambda _: fn()
    if use:
        call = _with_resources(fn, takes_value, use, at_end)
    return name, _with_variables(call, steps) if with_variables else call


def asks_to_wait(error: BaseException) -> bool:
    """Whether a failure says for how long, or how fast: what has not begun shall wait."""
    from ..core.pushback import pushback_of

    pushback = pushback_of(error, time()) if isinstance(error, Exception) else None
    return pushback is not None and pushback.pauses


def _with_variables(call: Call, steps: Callable[[Any], object]) -> Call:
    def with_variables(sent: tuple[Any, Any, Any]) -> Any:
        variables, told, value = sent
        if variables:
            set_variables(variables)
        steps(told)
        return call(value)

    return with_variables


def _with_resources(fn: Any, takes_value: bool, use: Any, at_end: list[Callable[[], None]]) -> Call:
    from ..engine.resources import Own  # which loads asyncio

    opened: dict[str, Own] = {}

    def own(key: str, wanted: Any) -> Own:
        found = opened.get(key)
        if found is None:
            found = opened[key] = Own(wanted)
            at_end.append(found.close)
        return found

    def call(value: Any) -> Any:
        own_ones = {key: own(key, wanted) for key, wanted in use}
        values = {key: each.get() for key, each in own_ones.items()}
        try:
            return fn(value, **values) if takes_value else fn(**values)
        except BaseException as error:  # all of them: it goes on at once
            for each in own_ones.values():
                each.failed(error)
            raise

    return call
