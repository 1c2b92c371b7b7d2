"""What is shown of runs while they go on: the last calls of each, and what its summary says now.

A picture is made only for who looks. It has the last `LAST` calls, for to send a million of them each second would cost
the run more than it gains; counts are of all.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from operator import add
from typing import Any, Final

from ..core.summary import Summary
from .chunks import Chunk, Columns
from .drawn import columns, steps_of
from .looks import Look
from .page import about, page
from .recorded import Beginning, Gathering, Recorded
from .sections import sections
from .spans import Node, Spans
from .told import json_of, told
from .words import inert

LAST: Final = 10_000  # calls that are shown
MOST_RUNS: Final = 20  # that can be looked at; the oldest is forgotten first


class LiveRun:
    """One run, as it goes on; a sink of its recorder."""

    def __init__(self, number: int, beginning: Beginning, summary: Callable[[], Summary]) -> None:
        self.number: int = number
        self.changes: int = 0
        self.over: bool = False
        self.name: str = beginning.name
        self._guard = threading.Lock()
        self._gathering = Gathering()
        self._session = self._gathering.begin(beginning)
        self._gathering.recorded.live = self._gathering.recorded.served = True
        self._summary: Callable[[], Summary] | None = summary
        self._note = f"Shown are the last {LAST:,} calls; counts are of all. With trace= a report shows every call."

    # -- a sink ----------------------------------------------------------------------------------------------

    def calls(self, columns: Columns, head: Chunk) -> None:
        """Take some thousands of calls."""
        rows = columns.rows(head)
        with self._guard:
            self._gathering.calls(rows)
            self._session.seconds = max([self._session.seconds, *map(add, rows.started, rows.took)])
            self._forget(head.path)
            self.changes += 1

    def look(self, look: Look) -> None:
        """Take the numbers of a moment."""
        with self._guard:
            self._session.looks.append(look)
            self._session.seconds = max(self._session.seconds, look.t)
            if len(self._session.looks) > 4000:
                del self._session.looks[1::2]
            self.changes += 1

    def events(self, events: Sequence[dict[str, Any]]) -> None:
        """Take what happened."""
        with self._guard:
            self._session.events += [event for event in events if event.get("event") != "attempt_failed"]

    def nodes(self, nodes: Mapping[str, Node]) -> None:
        """Take what is known of the steps."""
        with self._guard:
            self._session.nodes = dict(nodes)

    def end(self, said: dict[str, Any]) -> None:
        """Take the summary."""
        with self._guard:
            self._session.ending = said
            self._gathering.recorded.live = False
            self._summary = None
            self.over = True
            self.changes += 1

    # -- for who looks ---------------------------------------------------------------------------------------

    def picture(self, runs: Sequence[LiveRun], up: str) -> tuple[Recorded, dict[str, str]]:
        """Return what there is to draw, and what there is to say."""
        self._ask()
        with self._guard:
            found = self._gathering.recorded
            said = sections(found)
            said["head"] += _links(runs, self, up)
            return found, said

    def page(self, runs: Sequence[LiveRun], up: str) -> bytes:
        """Return the page, which asks for news by itself; `up` is the way from it to where all runs are."""
        found, said = self.picture(runs, up)
        with self._guard:
            return page(found, live=True, said=said).encode()

    def news(self, runs: Sequence[LiveRun], up: str) -> bytes:
        """Return what the page draws anew."""
        found, said = self.picture(runs, up)
        with self._guard:
            meta, calls = columns(found.spans)
            news = {"sections": said, "about": about(found), "columns": meta, "calls": calls}
            if (steps := steps_of(found)) is not None:
                news |= {"steps": steps[0], "stepCalls": steps[1]}
            return json_of(news)

    # -- private ---------------------------------------------------------------------------------------------

    def _ask(self) -> None:
        summary = self._summary
        if summary is None:
            return
        try:
            now = told(summary())
        except Exception:  # a run that is just ending; what was known before will do
            return
        with self._guard:
            self._session.now = now

    def _forget(self, path: str) -> None:
        """Keep the last calls alone, of inputs or of a step."""
        found = self._gathering.recorded
        if path:
            found.steps[path] = steps = _last(found.steps[path], LAST // len(found.steps))
            self._session.steps[path] = range(len(steps))
            return
        found.spans = _last(spans := found.spans, LAST)
        self._session.rows = range(len(found.spans))
        if found.spans is not spans and not found.partial:
            found.partial = True
            found.notes.append(self._note)


def _last(spans: Spans, most: int) -> Spans:
    """Return the last ones, where there are too many by half."""
    surplus = len(spans) - most
    if surplus < most // 2:
        return spans
    return Spans(
        spans.index[surplus:],
        spans.started[surplus:],
        spans.took[surplus:],
        spans.status[surplus:],
        spans.weight[surplus:],
        {row - surplus: attempts for row, attempts in spans.attempts.items() if row >= surplus},
    )


class Live:
    """The runs of a process that are watched."""

    def __init__(self) -> None:
        self._runs: list[LiveRun] = []
        self._guard = threading.Lock()
        self._count = 0

    def begin(self, beginning: Beginning, summary: Callable[[], Summary]) -> LiveRun:
        """Show a run that begins."""
        with self._guard:
            self._count += 1
            run = LiveRun(self._count, beginning, summary)
            self._runs.append(run)
            del self._runs[:-MOST_RUNS]
            return run

    def page(self, number: int | None) -> bytes | None:
        """Return the page of a run, or of the latest."""
        runs, run = self._runs_and(number)
        if run is not None:
            return run.page(runs, _up(number))
        if number is not None:
            return None
        empty = Recorded("No run has begun", live=True, served=True)
        return page(empty, live=True).encode()

    def news(self, number: int | None, seen: object) -> tuple[object, bytes | None]:
        """Return what has changed since `seen`."""
        runs, run = self._runs_and(number)
        if run is None:
            return None, None
        now = (run.number, run.changes, len(runs), run.over)
        return now, None if now == seen else run.news(runs, _up(number))

    def _runs_and(self, number: int | None) -> tuple[list[LiveRun], LiveRun | None]:
        with self._guard:
            runs = [*self._runs]
        if number is None:
            return runs, runs[-1] if runs else None
        return runs, next((run for run in runs if run.number == number), None)


def _up(number: int | None) -> str:
    return "" if number is None else "../"


def _links(runs: Sequence[LiveRun], shown: LiveRun, up: str) -> str:
    """Name the other runs, so that one can go there."""
    if len(runs) < 2:
        return ""
    links = [
        f"<b>{run.number}. {inert(run.name, 60)}</b>"
        if run is shown
        else f'<a href="{up}{run.number}/">{run.number}. {inert(run.name, 60)}</a>'
        for run in runs
    ]
    return f'<nav aria-label="runs">{" · ".join(links)}</nav>'
