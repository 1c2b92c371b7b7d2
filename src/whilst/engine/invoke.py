"""How is the function of a step called? Inline on the loop or on a thread, with the resources that it asks for."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from math import inf
from typing import Any

from ..core.attempt import Patience
from ..core.colour import has_method, name_of
from ..core.tree import Step, Uses
from ..remote.codec import Target
from .own import with_own
from .scope import Scope

Invoker = Callable[..., Awaitable[Any]]
After = Callable[[], None] | None


def invoker(step: Step, scope: Scope) -> Invoker:
    """Return what calls the function, in the way its colour wants.

    For a step on a thread it takes a second argument: what to call when the call is really over.
    """
    fn = step.fn
    if step.is_generator:
        return _inline(step, scope, awaits=False)
    if step.on_thread:
        return _on_thread(step, scope)
    if step.elsewhere:
        return _elsewhere(step, scope)
    if step.use:
        return _inline(step, scope, awaits=True)
    return fn if step.takes_value else _without_value(fn)


def _without_value(fn: Callable[[], Awaitable[Any]]) -> Invoker:
    def call(_: Any) -> Awaitable[Any]:
        return fn()

    return call


def _inline(step: Step, scope: Scope, *, awaits: bool) -> Invoker:
    fn, args, use = step.fn, _args(step), step.use

    async def call(value: Any) -> Any:
        async with scope.resources.using(use) as opened:
            made = fn(*args(value), **opened)
            return await made if awaits else made

    async def call_without(value: Any) -> Any:
        return fn(*args(value))

    return call if use else call_without


def _on_thread(step: Step, scope: Scope) -> Invoker:
    fn, args = step.fn, _args(step)
    for_run = tuple((key, wanted) for key, wanted in step.use if wanted.per != "thread")
    per_thread = tuple((key, wanted) for key, wanted in step.use if wanted.per == "thread")

    async def call(value: Any, after: After = None) -> Any:
        return await made(fn, args(value), after)

    async def call_with(value: Any, after: After = None) -> Any:
        async with scope.resources.using(for_run) as opened:
            return await made(_with_resources(fn, opened, per_thread), args(value), after)

    async def made(target: Callable[..., Any], given: tuple[Any, ...], after: After) -> Any:
        calls = scope.own_calls if per_thread else scope.calls
        result = await calls.call(target, *given, after=after)
        return await result if has_method(result, "__await__") else result

    return call_with if step.use else call


def _elsewhere(step: Step, scope: Scope) -> Invoker:
    target = Target(step.fn, step.takes_value, step.use, with_variables=True)

    patience = Patience(f"{name_of(step.fn)}()", inf if step.timeout is None else step.timeout, inf)

    async def call(value: Any) -> Any:
        return await scope.calls_at(step.executor).call(target, value, patience=patience)

    return call


def _with_resources(fn: Callable[..., Any], opened: dict[str, Any], per_thread: Uses) -> Callable[..., Any]:
    @functools.wraps(fn, updated=())
    def target(*args: Any) -> Any:
        return with_own(fn, opened, per_thread, args)

    return target


def _args(step: Step) -> Callable[[Any], tuple[Any, ...]]:
    return (lambda value: (value,)) if step.takes_value else (lambda _: ())
