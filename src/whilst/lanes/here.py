"""Is this process one that makes calls for another? Then what is shared in the other one is not shared here."""

from __future__ import annotations

import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

worker_of: str = ""
"""The run, in another process, whose calls are made here; empty: none."""

is_making: Callable[[], Any] | None = None
"""Returns the call that is made here for the other process, as `current_call` gives it."""

listener: Any = None
"""Who tells the other process what an answer says in the middle of such a call; see `calling.Listener`."""


def is_imported() -> bool:
    """Whether the code that runs now is part of the import of a module, and not of a call or of the program itself."""
    frame: FrameType = sys._getframe(1)
    while (outer := frame.f_back) is not None:  # the outermost is the program's own
        if frame.f_code.co_name == "<module>":
            return True
        frame = outer
    return False
