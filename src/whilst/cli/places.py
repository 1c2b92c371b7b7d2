"""Where do the bytes of an output go whose name is no file: a standard stream, or a FIFO that somebody will read?"""

from __future__ import annotations

import errno
import os
import stat
import sys
import time
from collections.abc import Callable

from ..io.open import is_local, local_path
from ..io.output import Descriptor
from .streams import plain_name, streams

GLANCE = 0.05  # seconds between two looks for a reader


class Aside(Descriptor):
    """A descriptor that may lead to the terminal on which progress is shown."""

    def write(self, data: bytes) -> None:
        """Write all of it, with the line on the terminal out of its way."""
        shown = sys.modules.get("whilst.sinks.progress")  # which is loaded when something is shown
        if shown is None:
            super().write(data)
            return
        with shown.display.aside(data):
            super().write(data)


def place_of(name: str, check: Callable[[], None]) -> Descriptor | None:
    """Return where the bytes of an output go; None if that is a file, whose own place it is.

    A FIFO is waited for until it has a reader, and `check` is called meanwhile: it may raise.
    """
    if plain_name(name) == "-":
        return Aside(streams.output())
    if not is_local(name) or not _is_fifo(local_path(name)):
        return None
    while True:
        try:
            descriptor = os.open(local_path(name), os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:  # there is a FIFO, and nobody reads it
                raise
        check()
        time.sleep(GLANCE)
    os.set_blocking(descriptor, True)
    return Descriptor(descriptor, owned=True)


def place_of_failures() -> Descriptor:
    """Return standard error, for failures that are lines of JSON."""
    return Aside(streams.errors())


def _is_fifo(path: str) -> bool:
    try:
        return stat.S_ISFIFO(os.stat(path).st_mode)
    except (OSError, ValueError):
        return False
