"""How is what is no file (a device, a FIFO) opened for writing, without waiting for ever?"""

from __future__ import annotations

import errno
import os
import stat
import time

from ..lanes.clock import monotonic

READER, GLANCE = 30.0, 0.05  # seconds that a FIFO is given to find a reader; from look to look


def open_device(name: str) -> int:
    """Open what is no file for writing; OSError where it is a FIFO that nobody reads within `READER` seconds.

    To open one waits in the kernel until somebody does, where no cancellation reaches; so it is asked for now and then.
    """
    flags = os.O_WRONLY | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
    if not stat.S_ISFIFO(os.stat(name).st_mode):
        return os.open(name, flags)
    ends = monotonic() + READER
    while True:
        try:
            descriptor = os.open(name, flags | os.O_NONBLOCK)
            break
        except OSError as error:
            if error.errno != errno.ENXIO:
                raise
            if monotonic() >= ends:
                raise OSError(errno.ENXIO, f"nobody has opened this FIFO for reading in {READER:g} s", name) from None
        time.sleep(GLANCE)
    os.set_blocking(descriptor, True)
    return descriptor
