"""What shows while a run goes on, and who sees to it that results do not lie around: one thread, five times a second.

On a terminal there is one live line; off it a plain line each 30 s.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from ..core.summary import Summary, kinds_of, pending
from ..io.sink import Sink
from .messages import clean, columns, emit, is_terminal, short

EVERY = 0.2  # seconds between two flushes; below that nobody sees a difference
PLAIN_EVERY = 30.0
CLEAR = "\r\x1b[K"


class Progressing(Protocol):
    """How much of an input has been read; `ByteSource` tells."""

    @property
    def size(self) -> int | None:
        """How much there is, where that is known."""
        ...

    @property
    def consumed(self) -> int:
        """How much of it was read."""
        ...


class Attendant:
    """Flushes the outputs and shows progress until it is stopped."""

    def __init__(
        self,
        summary: Callable[[], Summary],
        outputs: Sequence[Sink],
        source: Progressing,
        *,
        show: bool | None,
        on_broken: Callable[[], None],
    ) -> None:
        self._summary = summary
        self._outputs = outputs
        self._source = source
        self._live = is_terminal()
        self._show = self._live if show is None else show
        self._plain = show is not False and not self._live
        self._on_broken = on_broken
        self._drawn = False
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="whilst-attendant", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End, and leave the line empty for the final message; a stuck terminal is not waited for."""
        self._done.set()
        self._thread.join(1.0)
        self._clear()

    def _attend(self) -> None:
        next_plain = time.monotonic() + PLAIN_EVERY
        while not self._done.wait(EVERY):
            try:
                for output in self._outputs:
                    if output.waiting:
                        self._clear()
                        output.flush()
            except OSError:  # the main thread meets it too, and says what it means
                self._on_broken()
                return
            if self._live and self._show:
                emit(CLEAR + line(self._summary(), self._source, columns() - 1))
                self._drawn = True
            elif self._plain and time.monotonic() >= next_plain:
                emit(line(self._summary(), self._source, 200) + "\n")
                next_plain += PLAIN_EVERY

    def _clear(self) -> None:
        if self._drawn:
            emit(CLEAR)
            self._drawn = False


def line(now: Summary, source: Progressing, width: int) -> str:
    """Return one line of at most `width` characters: how many, how fast, what failed, how much of the input.

    >>> from whilst.io.lines import ByteSource
    >>> source = ByteSource(0, "urls.txt", size=100, owned=False)
    >>> source.consumed = 41
    >>> line(Summary("fetch", None, 90, 10, 32, 0, 2.0, 32, {"429": 10}), source, 79)
    'fetch: 100 done (50/s), 10 failed (10 429), 32 in flight, 41% read, 2 s'
    """
    parts = [f"{now.finished:,} done ({now.rate:,.0f}/s)"]
    if now.failed:
        parts.append(f"{now.failed:,} failed ({kinds_of(now.failures)})")
    parts += pending(now)
    if source.size:
        parts.append(f"{min(100, source.consumed * 100 // source.size)}% read")
    parts.append(f"{now.elapsed:,.0f} s")
    return short(clean(f"{now.name}: {', '.join(parts)}"), width)
