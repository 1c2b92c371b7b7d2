"""What shows while runs go on, in the library and in the command line: one display a process, on stderr alone.

It only looks at summaries a few times a second, from a thread of its own, so it costs the runs nothing; and it may
break without harm to them. On a terminal there is a line for each run, in a notebook one output of the cell, elsewhere
a plain line each 30 s.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager, nullcontext
from typing import Any

from ..core.summary import Summary
from ..lanes.clock import monotonic
from ..lanes.interrupted import start
from .binding import Binding
from .extent import Extent
from .line import Pace, line, lines
from .notebook import Notebook, is_notebook
from .terminal import Terminal, is_terminal
from .timeline import Timeline

PATIENCE = 1.0  # seconds a run may last unannounced; most are over by then
REDRAW = 0.2  # seconds; below that nobody sees a difference
REDRAW_CELL = 1.0
PLAIN_EVERY = 30.0
PLAIN_WIDTH = 200  # columns of a plain line, which no terminal's width bounds
MOST_LINES = 4  # runs that are shown at the same time; the others are counted


def is_watched() -> bool:
    """Whether somebody is likely to look: a notebook, or a terminal on which a line can be wiped."""
    return is_notebook() or is_terminal(display.stream())


class Progress:
    """A run that is shown from `start` until `stop`.

    Args:
        summary: returns the run's counts.
        at_once: whether to show it before a second has passed.
        leave: whether its last counts stay where it was shown.
        plain: whether there are lines where nothing can be drawn.
        extent: returns how much there will be, if the run itself does not know.
    """

    def __init__(
        self,
        summary: Callable[[], Summary],
        *,
        at_once: bool,
        leave: bool = True,
        plain: bool = True,
        extent: Callable[[], Extent] = Extent,
    ) -> None:
        self.summary: Callable[[], Summary] = summary
        self.extent: Callable[[], Extent] = extent
        self.plain: bool = plain
        self.begins: float = monotonic() + (0.0 if at_once else PATIENCE)
        self.next_plain: float = monotonic() + PLAIN_EVERY
        self.was_shown: bool = at_once
        self._leave = leave
        self._pace = Pace()
        self._binding = Binding()
        self._timeline = Timeline()

    def start(self) -> None:
        """Show it; whoever does so knows it by then, and can stop it if a Ctrl-C comes in here."""
        display.add(self)

    def stop(self) -> None:
        """Show it no longer; a stuck terminal is not waited for."""
        display.remove(self, self.summary().line if self._leave else "")

    def as_html(self) -> str:
        """Return its last summary and a small timeline, for a notebook."""
        from ..core.telling import as_html

        now = self.summary()
        self._timeline.seen(now)
        return as_html(now, self._timeline.as_svg())

    def text(self, width: int) -> str:
        """Return its line."""
        return line(*self._look(), width, self._binding.words)

    def lines(self, width: int) -> list[str]:
        """Return its line, and a second one where that has no room for all."""
        return lines(*self._look(), width, self._binding.words)

    def look(self) -> None:
        """Take note of how it is."""
        self._timeline.seen(self.summary())

    def _look(self) -> tuple[Summary, Extent, float]:
        now = self.summary()
        self._pace.seen(now.elapsed, now.finished)
        self._binding.seen(now)
        self._timeline.seen(now)
        return now, self.extent(), self._pace.rate


class Display:
    """The runs that are shown, and where."""

    def __init__(self) -> None:
        self._runs: list[Progress] = []
        self._guard = threading.Lock()
        self._changed = threading.Event()
        self._thread: threading.Thread | None = None
        self._place: Terminal | Notebook | None = None
        self.stream: Callable[[], Any] = lambda: sys.stderr
        """Returns where lines are drawn now; a program may replace its stderr, and the command line keeps its own."""
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forget)
        atexit.register(self._end)

    def add(self, run: Progress) -> None:
        """Show a run."""
        with self._guard:
            self._runs.append(run)
            if self._thread is None or self._changed.is_set():
                if isinstance(self._place, Notebook):
                    self._place = None  # of a cell that was stopped in the moment when its run left it
                self._changed = threading.Event()
                thread = threading.Thread(
                    target=self._watch, args=(self._changed,), name="whilst-progress", daemon=True
                )
                self._thread = thread  # before it begins: a Ctrl-C may come in there
                if not _harmless(lambda: start(thread)):  # there may be no more threads to be had
                    self._thread = None

    def remove(self, run: Progress, last: str) -> None:
        """Show it no longer, and leave its last words, if any, where it was shown."""
        with self._guard:
            if run not in self._runs:
                return
            self._runs.remove(run)
            thread, is_last = self._thread, not self._runs
            if is_last:
                self._changed.set()
                self._thread = None
        if thread is not None and thread.ident is not None and is_last:
            thread.join(1.0)
        _harmless(lambda: self._leave(run, last, is_last))

    @contextmanager
    def aside(self, data: bytes) -> Generator[None]:
        """Wipe what is shown for bytes that go to the same terminal past the streams."""
        place = self._place
        with place.aside(data) if isinstance(place, Terminal) else nullcontext():
            yield

    # -- private ----------------------------------------------------------------------------------------------

    def _watch(self, ended: threading.Event) -> None:
        drawn = 0.0
        while not ended.wait(REDRAW):
            if is_notebook():  # a cell is drawn less often than its timeline has columns
                _harmless(self._look)
                if isinstance(self._place, Notebook) and monotonic() < drawn + REDRAW_CELL:
                    continue
                drawn = monotonic()
            if not _harmless(self._show):
                return  # a closed stderr, a broken terminal: the runs are well

    def _look(self) -> None:
        with self._guard:
            runs = [*self._runs]
        for run in runs:
            run.look()

    def _show(self) -> None:
        now = monotonic()
        with self._guard:
            runs = [run for run in self._runs if now >= run.begins]
        if not runs:
            return
        place = self._take_place()
        if isinstance(place, Terminal) and not place.is_ours():
            return  # the line would stand in what somebody types
        if place is None:
            self._print([run for run in runs if run.plain and now >= run.next_plain])
            return
        width = place.width() - 1 if isinstance(place, Terminal) else PLAIN_WIDTH
        if len(runs) <= MOST_LINES // 2:
            rows = [row for run in runs for row in run.lines(width)]
        else:
            rows = [run.text(width) for run in runs[:MOST_LINES]]
        if len(runs) > MOST_LINES:
            rows.append(f"{len(runs) - MOST_LINES} more runs"[:width])
        for run in runs:
            run.was_shown = True
        place.draw(rows)

    def _print(self, runs: list[Progress]) -> None:
        for run in runs:
            run.next_plain += PLAIN_EVERY
            run.was_shown = True
            _say(run.text(PLAIN_WIDTH))

    def _take_place(self) -> Terminal | Notebook | None:
        """Return where lines can be drawn: on the stream of this moment."""
        place, stream = self._place, self.stream()
        if isinstance(place, Notebook) or (isinstance(place, Terminal) and place.stream is stream):
            return place
        if isinstance(place, Terminal):
            place.close()
        self._place = Notebook() if is_notebook() else Terminal(stream) if is_terminal(stream) else None
        return self._place

    def _leave(self, run: Progress, last: str, is_last: bool) -> None:
        place = self._place
        if last and run.was_shown:
            if isinstance(place, Notebook):
                place.leave(str(run.summary()), run.as_html())
            elif place is not None:
                place.leave(last)
            elif run.plain:
                _say(last)
        if is_last and place is not None:
            self._place = None
            if isinstance(place, Terminal):
                place.close()

    def _end(self) -> None:
        """Leave the terminal in order when the program ends with runs that nobody finished."""
        for run in [*self._runs]:
            run.stop()

    def _forget(self) -> None:
        """Leave the display to the parent of a fork."""
        if isinstance(self._place, Terminal):
            self._place.let_go()
        self._runs, self._guard, self._thread, self._place = [], threading.Lock(), None, None


def _say(text: str) -> None:
    stream = display.stream()
    stream.write(f"{text}\n")
    stream.flush()


def _harmless(action: Callable[[], None]) -> bool:
    """Do what may meet a closed or broken stream of any kind; return whether it went well."""
    try:
        action()
    except Exception:
        return False
    return True


display: Display = Display()
"""The one of this process."""
