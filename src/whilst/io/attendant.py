"""Who sees to it that results do not lie around while a run goes on? A thread, five times a second."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from ..lanes.interrupted import start
from .sink import Sink

EVERY = 0.2  # seconds between two flushes; below that nobody sees a difference


class Attendant:
    """Flushes the outputs until it is stopped."""

    def __init__(self, outputs: Sequence[Sink], *, on_broken: Callable[[], None]) -> None:
        self._outputs = outputs
        self._on_broken = on_broken
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._attend, name="whilst-attendant", daemon=True)
        start(self._thread)

    def stop(self) -> None:
        """End; an output that is stuck is not waited for."""
        self._done.set()
        self._thread.join(1.0)

    def _attend(self) -> None:
        while not self._done.wait(EVERY):
            try:
                for output in self._outputs:
                    if output.waiting:
                        output.flush()
            except OSError:  # the main thread meets it too, and says what it means
                self._on_broken()
                return
