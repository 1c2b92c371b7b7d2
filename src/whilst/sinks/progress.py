"""A live line on stderr while a run goes on: how many, how fast, what failed, how long still.

It only looks at the run's summary ten times a second, from a thread of its own, so it costs the run nothing.
On a terminal (or in a notebook) rich draws the line; elsewhere a plain line is written each 30 s.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..core.summary import Summary

if TYPE_CHECKING:
    from rich.progress import Progress as Bar
    from rich.progress import TaskID

PATIENCE = 1.0  # seconds a run may last unannounced; most are over by then
REDRAW = 0.1
PLAIN_EVERY = 30.0


class Progress:
    """Shows `summary()` until `stop`; a display that breaks says so once and never harms the run."""

    def __init__(self, summary: Callable[[], Summary], *, at_once: bool) -> None:
        self._summary = summary
        self._patience = 0.0 if at_once else PATIENCE
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="whilst-progress", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Draw the final state and end."""
        self._done.set()
        self._thread.join(1.0)

    def _watch(self) -> None:
        if self._done.wait(self._patience) and self._patience:
            return
        try:
            if _is_live():
                self._draw()
            else:
                self._print_lines()
        except Exception as error:  # a closed stderr, a broken terminal: the run itself is well
            print(f"whilst: the progress display broke ({type(error).__name__}: {error})", file=sys.__stderr__)

    def _print_lines(self) -> None:
        while not self._done.wait(PLAIN_EVERY):
            print(self._summary(), file=sys.stderr, flush=True)
        print(self._summary(), file=sys.stderr, flush=True)

    def _draw(self) -> None:
        with _bar() as bar:
            line = bar.add_task("", total=None, name="", counts="")
            while True:
                last = self._done.wait(REDRAW)
                _update(bar, line, self._summary())
                if last:
                    return


def _is_live() -> bool:
    return "ipykernel" in sys.modules or (sys.stderr is not None and sys.stderr.isatty())


def _bar() -> Bar:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn("{task.fields[name]}", markup=False),
        BarColumn(bar_width=20),
        TextColumn("{task.fields[counts]}", markup=False),
        TimeRemainingColumn(compact=True),
        console=Console(stderr=True),
        refresh_per_second=1 / REDRAW,
        auto_refresh=False,
    )


def _update(bar: Bar, line: TaskID, now: Summary) -> None:
    of = f"/{now.total:,}" if now.total is not None else ""
    counts = f"{now.finished:,}{of} {now.rate:,.0f}/s"
    if now.failed:
        counts += " " + ", ".join(f"{count:,} {kind}" for kind, count in now.failures.items())
    if now.paused >= 1:
        counts += f" paused {now.paused:,.0f} s"
    bar.update(line, completed=now.finished, total=now.total, name=now.name, counts=counts, refresh=True)
