"""What guards all limits, of which there may be no copies, and what is left of them in a forked child?

One lock guards them all: what it guards are steps of a microsecond, so parties hardly ever meet at it, and taking
several limits at once, all or none, is one step like any other: nothing that could deadlock.

A fork waits for the lock, so the child finds nothing half done, and then begins anew: whoever waits or holds a permit
does so in the parent, so in the child each limit is empty.
"""

from __future__ import annotations

import os
import threading
from typing import NoReturn, Protocol, SupportsIndex
from weakref import WeakSet

# Re-entrant: a signal handler or a finaliser that prints a limit, on the thread that is inside, must not hang.
lock: threading.RLock = threading.RLock()


class Emptied(Protocol):
    """What is of the process that uses it."""

    def _empty(self) -> None:
        """Begin anew, in a forked child; nobody else runs there yet."""


_emptied: WeakSet[Emptied] = WeakSet()


def empty_in_child(thing: Emptied) -> None:
    """Have something begin anew in every child that is forked while it is alive."""
    _emptied.add(thing)


def _in_child() -> None:
    for thing in tuple(_emptied):
        thing._empty()
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=_in_child)


class Alone:
    """Something that is shared by being the same object, and so refuses to be copied, pickled or sent elsewhere."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Limit cannot be copied, pickled or sent to another process: a copy would be another limit, which counts "
            "for itself\n  try: use the same object everywhere; for calls in other processes give it to their map: "
            "whilst.map(…, limit=limit)"
        )
