"""In which order do outcomes leave: as the inputs stood, or as they finish?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from .outcome import Record


class Order(NamedTuple):
    """`push` takes a record as it finishes; `flush` lets go of what still waits for one that will never come."""

    push: Callable[[Record], None]
    flush: Callable[[], None]


def in_order(ready: deque[Record]) -> Order:
    """Hold a record back until all before it have been pushed, then append it to `ready`."""
    held: dict[int, Record] = {}
    following = 0

    def push(record: Record) -> None:
        nonlocal following
        if record[0] != following:
            held[record[0]] = record
            return
        ready.append(record)
        following += 1
        while held and (later := held.pop(following, None)) is not None:
            ready.append(later)
            following += 1

    def flush() -> None:
        ready.extend(held[index] for index in sorted(held))
        held.clear()

    return Order(push, flush)


def as_finished(ready: deque[Record]) -> Order:
    """Append every record to `ready` at once."""
    return Order(ready.append, lambda: None)
