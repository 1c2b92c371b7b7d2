"""Are waits made at all? A test may switch them off for its process: see `whilst.testing.no_waits`."""

from __future__ import annotations


class Switch:
    """Counts who has switched the waits off.

    Attributes:
        off: how many have; 0: waits are made.
    """

    __slots__ = ("off",)

    def __init__(self) -> None:
        self.off: int = 0


waits: Switch = Switch()
"""Of retries, of what the other side asks for, and of breakers, in this process."""
