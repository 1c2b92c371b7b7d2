"""How does a row become a call? Whole, to a function that needs one argument; by name, to one that needs several.

Not at all, if that is asked for.
"""

from __future__ import annotations

import functools
import inspect
import itertools
from collections.abc import Awaitable, Callable
from inspect import Parameter
from typing import Any, Literal, cast

import msgspec

from ..composing import sequence
from ..core.colour import is_async
from ..core.signature import Handing
from ..flow import Flow
from ..io.rows import Rejected, Row
from .exits import guarded, heed
from .feed import RowRejected
from .items import Items
from .messages import Problem, short
from .target import Target

Mode = Literal["one", "names", "none"]
_BY_PLACE = (Parameter.POSITIONAL_ONLY, Parameter.POSITIONAL_OR_KEYWORD)


class Needs(msgspec.Struct, frozen=True):
    """What a function can be called with; `known` is False where Python does not say (many builtins)."""

    required: tuple[str, ...]
    optional: frozenset[str]
    takes_any_name: bool
    takes_one: bool
    places: tuple[str, ...]
    known: bool = True

    @classmethod
    def of(cls, fn: Callable[..., Any]) -> Needs:
        """Read the signature."""
        if isinstance(fn, Handing):
            return cls(("row",), frozenset(), False, True, ("row",))
        try:
            parameters = inspect.signature(fn).parameters.values()
        except (TypeError, ValueError):
            return cls((), frozenset(), True, True, (), known=False)
        kinds = {it.kind for it in parameters}
        named = [it for it in parameters if it.kind not in (Parameter.VAR_POSITIONAL, Parameter.VAR_KEYWORD)]
        required = tuple(it.name for it in named if it.default is Parameter.empty)
        by_place = [it for it in named if it.kind in _BY_PLACE]
        only_named = [it for it in named if it.kind is Parameter.KEYWORD_ONLY and it.name in required]
        return cls(
            required,
            frozenset(it.name for it in named) - set(required),
            Parameter.VAR_KEYWORD in kinds,
            not only_named and len(required) <= 1 and bool(by_place or Parameter.VAR_POSITIONAL in kinds),
            tuple(it.name for it in named if it.kind is Parameter.POSITIONAL_ONLY),
        )


class Call(msgspec.Struct, frozen=True):
    """A function and the way rows are handed to it."""

    target: Target
    mode: Mode
    needs: Needs

    def misfit(self, value: object) -> str | None:
        """Say why a row cannot be handed over; None if it can."""
        if self.mode != "names":
            return None
        if not isinstance(value, dict):
            return f"{self.target.name}() needs names, the row is {short(repr(value), 60)}"
        names = cast("dict[str, object]", value).keys()
        if missing := [name for name in self.needs.required if name not in names]:
            return f"{self.target.name}() needs {_listed(missing)}, which the row does not have"
        if self.needs.takes_any_name:
            return None
        if extra := [it for it in names if it not in self.needs.optional and it not in self.needs.required]:
            return f"{self.target.name}() does not take {_listed(extra)}, which the row has"
        return None

    def shown(self, row: Row) -> str:
        """Write the call as Python would."""
        if self.mode == "none":
            return f"{self.target.name}()"
        if self.mode == "one":
            return f"{self.target.name}({short(repr(row.value), 200)})"
        pairs = (f"{name}={short(repr(value), 80)}" for name, value in row.value.items())
        return f"{self.target.name}({', '.join(pairs)})"


def choose_call(target: Target, wanted: Mode | None, first: Row | Rejected | None, source: str) -> Call:
    """Decide how rows are handed over; Problem if the function, or the first row, does not fit."""
    needs = Needs.of(target.fn)
    if wanted == "none":
        return _without_row(target, needs)
    if not (needs.required or needs.optional or needs.takes_any_name or needs.takes_one):
        raise Problem(
            f"{target.name}() takes no argument, but each row is one",
            f"{target.name}(), {target.place}",
            remedy=f"def {target.name}(row): …, or --call none to call it once for each row",
        )
    mode: Mode = wanted or ("one" if needs.takes_one else "names")
    call = Call(target, mode, needs)
    if mode == "one" and not needs.takes_one:
        raise _mismatch(call, first, source, f"{target.name}() cannot take one value")
    if isinstance(first, Row) and (misfit := call.misfit(first.value)):
        raise _mismatch(call, first, source, misfit)
    return call


def _without_row(target: Target, needs: Needs) -> Call:
    """Return the call that leaves the row out."""
    if isinstance(target.fn, Flow):
        raise Problem(f"--call none passes no row, but {target.name} is a flow", remedy="leave out --call")
    if needs.required:
        raise Problem(
            f"--call none passes no row, but {target.name}() needs {_listed(needs.required)}",
            f"{target.name}(), {target.place}",
            remedy="leave out --call",
        )
    return Call(target, "none", needs)


def worker(call: Call, prepare: Callable[[object], Any], items: Items | None = None) -> Callable[[Row | Rejected], Any]:
    """Return a function of a row, of the same colour as the user's (a flow stays one); it gives what to write.

    Preparing the value where it was made has a value that cannot be written fail its own input, as a call that
    raised would.
    """
    fn = handed(call)
    whole: Any = call.target.fn
    if isinstance(call.target.fn, Flow):
        return _flow_worker(whole, prepare, items or Items(whole.node))

    async def call_async(row: Any) -> Any:
        if type(row) is Rejected:
            raise RowRejected(row.reason)
        try:
            value = await fn(row.value)
        except BaseException as error:
            heed(error, row.line)
            raise
        return prepare(value)

    def call_plain(row: Any) -> Any:
        if type(row) is Rejected:
            raise RowRejected(row.reason)
        try:
            value = fn(row.value)
        except BaseException as error:
            heed(error, row.line)
            raise
        return finish(value, row.line) if hasattr(value, "__await__") else prepare(value)

    async def finish(value: Awaitable[object], line: int) -> Any:
        try:
            found = await value
        except BaseException as error:
            heed(error, line)
            raise
        return prepare(found)

    chosen: Callable[[Row | Rejected], Any] = call_async if is_async(call.target.fn) else call_plain
    functools.update_wrapper(chosen, call.target.fn)
    chosen.__qualname__ = call.target.name
    return chosen


def _flow_worker(flow: Flow[Any, Any], prepare: Callable[[object], Any], items: Items) -> Flow[Any, Any]:
    """Put the flow between two steps of ours, so that its limits and stages go on as in any map."""

    async def open_row(row: Row | Rejected) -> Any:
        if isinstance(row, Rejected):
            raise RowRejected(row.reason)
        return row.value

    async def prepared(value: object) -> Any:
        items.take(value)
        return prepare(value)

    return sequence(open_row, flow._replace(node=guarded(flow.node)), prepared)


def _by_name(call: Call) -> Callable[[dict[str, Any]], Any]:
    fn, places = call.target.fn, call.needs.places
    if not places:
        return lambda row: fn(**row)

    def by_place(row: dict[str, Any]) -> Any:
        rest = dict(row)
        given = [rest.pop(name) for name in itertools.takewhile(row.__contains__, places)]
        return fn(*given, **rest)

    return by_place


def _whole(call: Call) -> Callable[[Any], Any]:
    return call.target.fn


def _left_out(call: Call) -> Callable[[Any], Any]:
    fn = call.target.fn
    return lambda _: fn()


_HANDED: dict[Mode, Callable[[Call], Callable[[Any], Any]]] = {"one": _whole, "names": _by_name, "none": _left_out}


def handed(call: Call) -> Callable[[Any], Any]:
    """Return what is called with the value of a row."""
    return _HANDED[call.mode](call)


def _mismatch(call: Call, first: Row | Rejected | None, source: str, fact: str) -> Problem:
    """Show both sides: the function and the first row."""
    name, needs = call.target.name, call.needs
    several = len(needs.required) > 1
    value: Any = first.value if isinstance(first, Row) else None
    if isinstance(first, Row) and type(value) is not dict and several:
        fact = f"{name}() needs {len(needs.required)} values, each row gives 1"
    row = (
        f"; row {first.line} of {source} is {short(repr(cast('object', value)), 60)}" if isinstance(first, Row) else ""
    )
    return Problem(fact, f"{name}{_signature(call)}, {call.target.place}{row}", remedy=_remedy(call, value))


def _remedy(call: Call, value: Any) -> str:
    name, needs = call.target.name, call.needs
    required = needs.required
    if call.mode == "one" and not needs.takes_one:
        return "--call names"
    if not isinstance(value, dict):
        if len(required) > 1:
            given = ", ".join(f"{it}=…" for it in required[1:])
            return f"functools.partial({name}, {given}), or rows with columns {_listed(required)}"
        return "--call one" if needs.takes_one else f"rows with the column {_listed(required)}"
    names = cast("dict[str, object]", value)
    if missing := [it for it in required if it not in names]:
        given = ", ".join(f"{it}=…" for it in missing)
        return f"functools.partial({name}, {given}), or rows with {_listed(missing)}"
    return f"def {name}({', '.join([*required, '**rest'])}): … to take the other columns too"


def _signature(call: Call) -> str:
    try:
        signature = inspect.signature(call.target.fn)
    except (TypeError, ValueError):
        return "(…)"
    bare = [it.replace(annotation=Parameter.empty) for it in signature.parameters.values()]
    return short(str(signature.replace(parameters=bare, return_annotation=Parameter.empty)), 100)


def _listed(names: list[str] | tuple[str, ...]) -> str:
    shown = [repr(name) for name in names[:5]] + ([f"{len(names) - 5} more"] if len(names) > 5 else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"
