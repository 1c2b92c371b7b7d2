"""How many items are in what a flow gives, where one value holds many?"""

from __future__ import annotations

from typing import Any, cast

from ..core.tree import Batched, Node, Sequence, ends_in_stage, flat_steps


class Items:
    """Counts the items of the values of a flow that ends in a stage; those of its batches, if that is `batched`."""

    def __init__(self, node: Node) -> None:
        last = [*flat_steps(node)][-1][0] if isinstance(node, Sequence) else node
        self._in_batches = isinstance(last, Batched)
        self._is_stream = ends_in_stage(node)
        self._count = 0

    @property
    def count(self) -> int | None:
        """How many there were; None where a value is one item."""
        return self._count if self._is_stream else None

    @property
    def of_batches(self) -> int | None:
        """The same where values are taken one by one from the last stage."""
        return self._count if self._in_batches else None

    def take(self, values: Any) -> None:
        """Count those of one value of a mapped flow: a list of what its last stage gave."""
        if self._is_stream and isinstance(values, list):
            given = cast("list[list[object]]", values)
            self._count += sum(map(len, given)) if self._in_batches else len(given)

    def take_one(self, value: Any) -> None:
        """Count those of one thing that the last stage gave."""
        if self._in_batches:
            self._count += len(value)
