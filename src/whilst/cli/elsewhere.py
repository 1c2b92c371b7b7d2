"""How is the call of a row made in another process? The function is sent, with the way that rows are handed to it.

What the function returns comes back as it is; it is prepared for the output here.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.colour import is_async
from ..core.tree import Node, Step, with_children
from .batch import batch_worker
from .call import worker
from .job import Place, as_it_is
from .messages import Problem

if TYPE_CHECKING:
    from ..flow import Flow
    from .call import Call


class Elsewhere:
    """A function of rows, or of batches, that can be pickled where the user's own can be: it is made again there."""

    __slots__ = ("__dict__", "_call", "_of", "_to")

    def __init__(self, to: Callable[[Any, Callable[[object], Any]], Callable[[Any], Any]], of: Any, name: str) -> None:
        self._to = to
        self._of = of
        self._call = to(of, as_it_is)
        self.__qualname__ = name

    def __call__(self, row: Any) -> Any:
        """Call it."""
        return self._call(row)

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self._to, self._of, self.__qualname__)


class ElsewhereAsync(Elsewhere):
    """The same of an async function."""

    async def __call__(self, row: Any) -> Any:
        """Await it."""
        return await self._call(row)


def place_of(
    executor: str | None, address: str | None, nodes: int | None, per_node: int | None, *, trusted: bool
) -> Place:
    """Return where calls are made; Problem if that is no place, or a cluster that cannot be had."""
    if executor != "ray":
        given = {"--address": address, "--nodes": nodes, "--per-node": per_node, "--trusted": trusted or None}
        if more := [flag for flag, value in given.items() if value is not None]:
            raise Problem(f"{more[0]} is for a cluster", remedy=f"--executor ray {more[0]} …")
        return executor
    from ..ray import Ray
    from ..ray.executor import PER_NODE

    try:
        return Ray(address, nodes=nodes, per_node=per_node or PER_NODE, trusted=trusted)
    except (ImportError, ValueError, ConnectionError) as error:
        fact, *lines = str(error).replace("trusted=True,", "--trusted,").splitlines()
        remedies = [line.strip().removeprefix("try: ") for line in lines if line.strip().startswith("try: ")]
        raise Problem(fact, remedy=remedies[0] if remedies else "") from None


def elsewhere(call: Call, place: Place, *, in_batches: bool) -> Callable[[Any], Any]:
    """Return what is sent to worker processes, or to nodes: calls of rows, or of batches; Problem if it cannot be."""
    fn, name = call.target.fn, call.target.name
    if is_async(fn) and place == "process":
        raise Problem(f"{name}() is async, and --executor process makes blocking calls", remedy="leave out --executor")
    made = ElsewhereAsync if is_async(fn) else Elsewhere
    return made(batch_worker, call.target, name) if in_batches else made(worker, call, name)


def moved(flow: Any, name: str, place: Place) -> Flow[Any, Any]:
    """Return a flow whose steps are made elsewhere, where they do not say where; Problem if that goes for none.

    Async steps stay on the loop if worker processes are asked for, which make blocking calls.
    """
    from ..arguments import place_given
    from ..flow import Flow

    count = 0

    def there(node: Node) -> Node:
        nonlocal count
        if isinstance(node, Step):
            if node.executor != "auto" or (is_async(node.fn) and place == "process"):
                return node
            count += 1
            return node._replace(executor=place_given(node.fn, place, dict(node.use)))
        return with_children(node, there)

    try:
        node = there(flow.node)
    except TypeError as error:  # a function that cannot be sent
        raise Problem(str(error).partition("\n")[0], remedy="leave out --executor") from None
    if not count:
        raise Problem(f"no step of {name} is left to --executor: each is async, or says where it is made")
    return Flow(node)
