"""How is each stage of a pipeline opened: what does it call on its items, and what does it give for them?"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from ..core.colour import name_of
from ..core.failures import StopAfter
from ..core.judge import checked_key
from ..core.outcome import Outcome, Record, noted_item
from ..core.tree import Batched, Each, Flatten, Node, kind_name
from . import stages
from .batching import KeyOf, batched
from .consume import value_of
from .ending import Ending
from .merging import merged
from .scope import Scope
from .slots import Slots
from .stage import Stage

Runner = Callable[[Any], Awaitable[Any]]
Opener = Callable[[Any, Ending | None], stages.Stream]
"""Gives the items that a stage makes of those of a stream, whose end may be asked for if the stage reads it itself."""

LEAST_AHEAD = 32  # items that an adaptive stage reads ahead at first; what it finds best decides on more
ALL_OF_THEM = StopAfter(share=1.0)


def opener(node: Node, path: str, scope: Scope) -> Opener:
    """Return what opens a stage that makes no calls. What it shares holds over the whole run."""
    match node:
        case Batched(n, within, by):
            key_of = None if by is None else _key_of(by, scope, path)
            return lambda source, _: batched(source, n, within, key_of)
        case Flatten(concurrency) if concurrency > 1:
            return lambda source, _: merged(source, concurrency, path)
        case _:
            return lambda source, _: stages.flatten(source, path)


def naming_item(run: Runner, where: str) -> Runner:
    """Have what fails in a stage name the item, and the stage by its path."""

    async def call(item: Any) -> Any:
        try:
            return await run(item)
        except Exception as error:
            noted_item(error, item, where)
            raise

    return call


def path_of_stage(node: Node, path: str) -> str:
    """Return what messages call a stage at `path`; one that is the whole flow has its kind for a path already."""
    kind = kind_name(node)
    return path if path == kind else f"{path}.{kind}"


def each(node: Each, stage: Stage, scope: Scope, step: Runner) -> Opener:
    """Return what opens a stage that calls `step` on its items."""
    given = _yields(node, stage.path, scope)
    call = _shared(step, stage.places, stage.path)

    def open_it(source: Any, ending: Ending | None) -> stages.Stream:
        return stages.each(
            call,
            source,
            concurrency=stage.concurrency,
            ordered=node.ordered,
            name=stage.path,
            run_ahead=LEAST_AHEAD if node.at_once.adaptive else None,
            ending=ending,
            yields=given,
            stage=stage,
            look=scope.look,
        )

    return open_it


def _shared(run: Runner, places: Slots, where: str) -> Runner:
    """Hold the stage's concurrency over all inputs that are in it at the same time."""

    async def call(item: Any) -> Any:
        if places.free > 0:
            places.free -= 1
        else:
            await places.acquire()
        try:
            return await run(item)
        except Exception as error:
            noted_item(error, item, where)
            raise
        finally:
            if places.waiting:
                places.release()
            else:
                places.free += 1

    return call


def _yields(node: Each, path: str, scope: Scope) -> stages.Yields:
    """Return what a stage gives: values, items that are kept, values without failures, or outcomes."""

    def kept(record: Record) -> Any:
        return record[1] if value_of(record) else stages.NOTHING

    def skipping(record: Record) -> Any:
        if record[3] is None:
            return record[2]
        scope.went_on(f"{path} skipped", record[3])
        return stages.NOTHING

    def outcome(record: Record) -> Outcome[Any, Any]:
        index, item, value, error, started, took, attempts = record
        if error is not None:
            scope.went_on(f"{path} passed on", error)
        return Outcome(index, item, value, error, started - scope.began, took, attempts)

    if node.keeps:
        return stages.Yields(kept, leaves_out=True)
    if node.failures == "skip":
        way_on = 'failures="pass" would have the next stage decide'
        return stages.Yields(skipping, fail_fast=False, leaves_out=True, way_on=way_on)
    if node.failures == "pass":
        return stages.Yields(outcome, fail_fast=False, stop_after=ALL_OF_THEM)
    return stages.RAISING


def _key_of(by: Callable[[Any], Any], scope: Scope, path: str) -> KeyOf:
    """Return what asks for the key of an item, not for long at a time."""
    name, asking = f"batched(by={name_of(by)})", scope.asking

    async def key_of(item: Any) -> Any:
        await asking.turn()
        try:
            return checked_key(asking.ask(name, by, item), name)
        except Exception as error:
            noted_item(error, item, path)
            raise

    return key_of
