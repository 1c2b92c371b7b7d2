"""Who wants to know what an answer says besides its value: how many calls are left?

An exception carries that along, a value does not. So whatever limits a call listens while it is made; innermost first,
as that is what the call was made under. A client that finds something in an answer tells it here.
"""

from __future__ import annotations

from contextvars import ContextVar
from typing import Protocol

from ..core.headers import Left


class Listener(Protocol):
    """What limits a call."""

    def told(self, left: Left) -> None:
        """Take note, in the middle of the call, of how many calls are left; on any thread."""


listening: ContextVar[Listener | None] = ContextVar("whilst_listening", default=None)
"""What limits the call that is made now. What it is told after the call has ended, by what the call left running, it
may ignore."""
