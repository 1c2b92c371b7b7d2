"""In which order do outcomes leave: as the inputs stood, or as they finish?"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from .outcome import Record


def in_order(ready: deque[Record]) -> Callable[[Record], None]:
    """Return a `push` that holds a record back until all before it have been pushed, then appends it to `ready`."""
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

    return push


def as_finished(ready: deque[Record]) -> Callable[[Record], None]:
    """Return a `push` that appends every record to `ready` at once."""
    return ready.append
