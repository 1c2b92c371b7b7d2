"""What was recorded: the runs of a trace, one after the other, and all their calls on one axis of time."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from math import inf
from typing import Any, Final

import msgspec

from . import tracefile
from .chunks import Rows, decoded
from .looks import Look
from .spans import FAILED, Kinds, Node, Spans

LONGEST: Final = 1e9  # seconds of a run that are believed: thirty years
GAP: Final = 0.02  # of the whole: what stands between two runs on the axis, however long nothing ran


class Beginning(msgspec.Struct, omit_defaults=True):
    """What is known of a run when it begins.

    Attributes:
        name: what messages call it.
        at: when it began, in seconds since the epoch.
        concurrency: how many calls may be in flight at once, at first.
        total: how many inputs there will be, if that is known.
        limits: what bounds it, in words.
        tree: the flow that is mapped, as `plan()` prints it; empty for a function.
        python, whilst, pid: who ran it.
        journal: the journal that it goes on from, if any.
        in_flags: whether the command line made it, so that advice is written as its options.
    """

    name: str
    at: float
    concurrency: int = 0
    total: int | None = None
    limits: tuple[str, ...] = ()
    tree: str = ""
    python: str = ""
    whilst: str = ""
    pid: int = 0
    journal: str = ""
    in_flags: bool = False


@dataclass(slots=True)
class Session:
    """One run of a recording.

    Attributes:
        beginning: what was known when it began.
        offset: where it begins on the axis, in seconds.
        seconds: how long it is on the axis.
        rows: its calls, as a range of the rows of all.
        steps: those of each step of a flow, likewise, by its path.
        looks, events: its moments, in seconds from its own beginning.
        ending: its summary as it ended; None if it was killed, or still runs.
        recalled: outcomes that came from the journal.
        passed: calls that the rows stand for, exactly.
        nodes: the calls of each step of a flow, by its path.
        now: its summary at this moment, while it goes on.
    """

    beginning: Beginning
    offset: float = 0.0
    seconds: float = 0.0
    rows: range = range(0)
    steps: dict[str, range] = field(default_factory=dict[str, range])
    looks: list[Look] = field(default_factory=list[Look])
    events: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    ending: dict[str, Any] | None = None
    recalled: int = 0
    passed: int = 0
    nodes: dict[str, Node] = field(default_factory=dict[str, Node])
    now: dict[str, Any] = field(default_factory=dict[str, Any])

    @property
    def killed(self) -> bool:
        """Whether it did not come to an end of any kind."""
        return self.ending is None


@dataclass(slots=True)
class Recorded:
    """All that is known of what a report is about.

    Attributes:
        name: what it is called.
        sessions: the runs, in their order.
        spans: their calls; of a flow one for each input.
        steps: the calls of each step of a flow, by its path; each attempt is one.
        kinds: their failures.
        inputs: the texts of inputs by index, where a journal is at hand.
        timed: whether it is known when calls were made: else there is nothing to draw.
        live: whether it goes on.
        served: whether it is shown by a page that draws itself anew.
        partial: whether only the last of its calls are here.
        notes: what a reader should know of the recording itself.
    """

    name: str
    sessions: list[Session] = field(default_factory=list[Session])
    spans: Spans = field(default_factory=Spans)
    steps: dict[str, Spans] = field(default_factory=dict[str, Spans])
    kinds: Kinds = field(default_factory=Kinds)
    inputs: dict[int, str] = field(default_factory=dict[int, str])
    timed: bool = True
    live: bool = False
    served: bool = False
    partial: bool = False
    notes: list[str] = field(default_factory=list[str])

    @property
    def seconds(self) -> float:
        """How long the axis is."""
        return max((session.offset + session.seconds for session in self.sessions), default=0.0)

    @property
    def last(self) -> dict[str, Any]:
        """The summary of the last run that came to its end, or of the one that goes on."""
        if self.sessions and self.sessions[-1].ending is None and self.sessions[-1].now:
            return self.sessions[-1].now
        ended = [session.ending for session in self.sessions if session.ending is not None]
        return ended[-1] if ended else {}


class Gathering:
    """Puts together what is recorded, piece by piece: from a file, or while the run goes on."""

    def __init__(self) -> None:
        self.recorded: Recorded = Recorded("")
        self._so_far: dict[tuple[int, int], int] = {}

    def begin(self, beginning: Beginning) -> Session:
        """Take a run that begins."""
        found = self.recorded
        found.name = beginning.name
        session = Session(beginning, rows=range(len(found.spans), len(found.spans)))
        found.sessions.append(session)
        return session

    def calls(self, rows: Rows) -> None:
        """Take calls of the last run."""
        session, found, head = self.recorded.sessions[-1], self.recorded, rows.head
        spans = found.steps.setdefault(head.path, Spans()) if head.path else found.spans
        before = len(spans)
        if len(rows.index):
            numbers = [found.kinds.number(name) for name in head.kinds]
            marks = [mark._replace(status=_renumbered(mark.status, numbers)) for mark in rows.marks()]
            spans.add(rows.index, rows.started, rows.took, marks, stride=head.stride)
        if head.path:
            session.steps[head.path] = range(session.steps.get(head.path, range(before, before)).start, len(spans))
            return
        session.rows = range(session.rows.start, len(spans))
        session.passed += head.passed
        session.recalled = head.recalled
        for name, count in zip(head.kinds, head.counts, strict=False):
            self._counted(name, count)
        for number, example in rows.examples():
            if 0 <= number < len(head.kinds):
                found.kinds.examples[found.kinds.number(head.kinds[number])].append(example)

    def _counted(self, name: str, count: int) -> None:
        """Count failures of a kind: the recorder tells how many there were so far in its own run."""
        number = self.recorded.kinds.number(name)
        key = (len(self.recorded.sessions), number)
        self.recorded.kinds.counts[number] += count - self._so_far.get(key, 0)
        self._so_far[key] = count

    def settle(self) -> Recorded:
        """Lay the runs one after the other on the axis, and return the whole."""
        found = self.recorded
        for session in found.sessions:
            session.seconds = _seconds(session, found.spans)
        gap = GAP * sum(session.seconds for session in found.sessions)
        at = 0.0
        for session in found.sessions:
            session.offset = at
            at += session.seconds + gap
            if session.offset:
                found.spans.shift(session.rows, session.offset)
                for path, rows in session.steps.items():
                    found.steps[path].shift(rows, session.offset)
        return found


def read_trace(path: str) -> Recorded:
    """Read a trace, however its runs ended.

    Raises:
        NoTrace: it is none.
        OSError: it cannot be read.
    """
    gathering, left_out = Gathering(), 0
    for kind, data in tracefile.blocks(path):
        if kind == tracefile.DAMAGE:
            left_out += int(data)
        else:
            _take(gathering, kind, data)
    gathering.recorded.live = tracefile.is_recorded_to(path)
    if not gathering.recorded.sessions:
        raise tracefile.NoTrace(
            f"{path} has no run in it: the one that recorded it was ended before it began, or the file is damaged",
            remedy="the run once more, with --trace or trace=",
        )
    if left_out:
        gathering.recorded.notes.append(
            f"The file is damaged: {left_out:,} bytes in it are no recording, so calls or a whole run are missing here."
        )
    return gathering.settle()


def _take(gathering: Gathering, kind: bytes, data: bytes) -> None:
    """Take one block; what cannot be understood is left out."""
    try:
        if kind == tracefile.BEGIN:
            gathering.begin(msgspec.json.decode(data, type=Beginning))
            return
        if not gathering.recorded.sessions:
            return
        session = gathering.recorded.sessions[-1]
        if kind in (tracefile.CALLS, tracefile.STEPS):
            gathering.calls(decoded(data))
        elif kind == tracefile.LOOK:
            session.looks.append(msgspec.json.decode(data, type=Look))
        elif kind == tracefile.EVENTS:
            session.events += [
                event for event in msgspec.json.decode(data, type=list[dict[str, Any]]) if _is_told(event)
            ]
        elif kind == tracefile.NODES:
            session.nodes = msgspec.json.decode(data, type=dict[str, Node])
        elif kind == tracefile.END:
            session.ending = msgspec.json.decode(data, type=dict[str, Any])
    except (msgspec.DecodeError, ValueError, RecursionError):
        return


def _is_told(event: dict[str, Any]) -> bool:
    """Whether it says what happened and when, as events do."""
    moment = event.get("t")
    return isinstance(moment, (int, float)) and abs(moment) < LONGEST and isinstance(event.get("event"), str)


def _renumbered(status: int, numbers: list[int]) -> int:
    if status < FAILED:
        return status
    return FAILED + (numbers[status - FAILED] if status - FAILED < len(numbers) else 0)


def _seconds(session: Session, spans: Spans) -> float:
    """Return how long a run was: as it said itself, or up to the last that is known of it."""
    said = session.ending.get("elapsed") if session.ending is not None else None
    seconds = float(said) if isinstance(said, (int, float)) and 0 <= said < inf else 0.0
    looked = session.looks[-1].t if session.looks else 0.0
    rows = session.rows
    ends = map(float.__add__, spans.started[rows.start : rows.stop], spans.took[rows.start : rows.stop])
    return min(LONGEST, max(seconds, looked, _largest(ends)))


def _largest(numbers: Iterable[float]) -> float:
    return max(numbers, default=0.0)
