"""What is a report made of, and which form has it? A trace, a journal, the bare summary; a page, data for programs."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import platform
import sys
import time
import zlib
from collections.abc import Callable, Iterable, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, Final, Literal, get_args

from .core.plan import Plan
from .core.secrets import bounded, without_secrets
from .core.summary import Summary
from .files import replace_file
from .insight.chunks import Chunk, Rows, usual_of
from .insight.recorded import Beginning, Gathering, Recorded, Session, read_trace
from .insight.spans import FAILED, RETRIED
from .insight.tracefile import NoTrace, is_trace
from .insight.words import MOST, visible
from .lanes.clock import clock_of

if TYPE_CHECKING:
    from .insight.recorder import Recorder
    from .journal.reading import Stored

Form = Literal["html", "json", "chrome"]
FORMS: Final[tuple[Form, ...]] = get_args(Form)
MOST_INPUTS: Final = 20_000  # whose texts a report has, beside those of failures
MARKS: Final = (b"whilst</title>", b'"format":"whilst report', b'"otherData":{"whilst"')
ROUNDED: Final = 0.01  # seconds; a trace says in ms when its run began, and a moment before the journal does
AHEAD: Final = 8  # calls that a trace may have and a journal has not, one after the other
LOOKED_AT: Final = 4096  # bytes of a file, in which one of these is found if it is a report


def recorder_of(plan: Plan, loop: asyncio.AbstractEventLoop, summary: Callable[[], Summary]) -> Recorder:
    """Begin to record a run; it is an observer of it. A run that goes on from a journal goes on in its trace, too."""
    from .insight.filing import FileSink
    from .insight.recorder import Recorder

    assert plan.trace is not None
    sink = FileSink(plan.trace, beginning_of(plan), goes_on=plan.journal is not None)
    return Recorder([sink], loop, clock_of(loop), summary, limits=plan.limits, concurrency=plan.concurrency)


def beginning_of(plan: Plan) -> Beginning:
    """Return what is known of a run when it begins."""
    tree = ""
    if plan.node is not None:
        from .core.picture import picture

        tree = str(picture(plan.node))
    return Beginning(
        name=without_secrets(plan.name),
        at=round(time.time(), 3),
        concurrency=plan.concurrency,
        total=plan.total,
        limits=tuple(without_secrets(repr(limit)) for limit in plan.limits),
        tree=without_secrets(tree),
        python=platform.python_version(),
        whilst=getattr(sys.modules[__name__.partition(".")[0]], "__version__", ""),
        pid=os.getpid(),
        journal="" if plan.journal is None else without_secrets(os.path.abspath(plan.journal.path)),
        in_flags=plan.in_flags,
    )


def recorded_of(path: str, journal: str | None = None) -> Recorded:
    """Return what a trace or a journal says; or a trace, with the inputs of the journal that its runs have written.

    Raises:
        NoTrace: the file is neither, or has nothing to do with the journal.
        JournalError: it is a journal that cannot be read, or that a run uses.
        OSError: it cannot be opened.
    """
    if is_trace(path):
        found = read_trace(path)
        if journal is not None and not give_inputs(found, journal):
            raise NoTrace(f"{journal} is not the journal of {path}", remedy=_remedy(found, path))
        return found
    with open(path, "rb") as file:
        first = file.read(16)
    if not first.startswith(b"SQLite format 3"):
        raise NoTrace(f"{path} is neither a trace nor a journal", remedy="the file of --trace or --journal")
    if journal is not None:
        raise NoTrace(f"{path} is a journal itself, and has its inputs", remedy=f"whilst report {path}")
    return journal_recorded(path)


def _remedy(found: Recorded, path: str) -> str:
    known = next((session.beginning.journal for session in reversed(found.sessions) if session.beginning.journal), "")
    return f"whilst report {path}" + (f" --journal {known}" if known else ", as no journal was kept beside it")


def journal_recorded(path: str) -> Recorded:
    """Return what a journal says: all outcomes with their inputs, whichever run they were made in."""
    from .journal import read_outcomes
    from .journal.reading import read_header

    header = read_header(path)
    stored = sorted(enumerate(read_outcomes(path)), key=lambda each: (each[1].began or 0.0, each[0]))
    gathering = Gathering()
    for began, outcomes in groupby(stored, key=lambda each: each[1].began or 0.0):
        session = gathering.begin(Beginning(name=without_secrets(header.name), at=began, journal=path))
        session.ending = {}
        _take(gathering, [*outcomes])
    found = gathering.settle()
    found.name = without_secrets(header.name)
    found.timed = all(session.beginning.at for session in found.sessions) and bool(found.sessions)
    found.notes.append("Made from a journal: indices are places in it, and only the last call of each input is known.")
    for place, outcome in stored:
        if place < MOST_INPUTS or outcome.error is not None:
            found.inputs[place] = _shown(outcome.input)
    return found


def give_inputs(found: Recorded, journal: str) -> int:
    """Have a trace know its inputs by their texts, from the journal of its runs; return for how many calls it does.

    A run tells trace and journal of its outcomes in one order. So the calls of each run are gone through beside its
    outcomes; one that only one of the two has (a kill came between) is known by how long it took.
    """
    from .journal.reading import read_all_outcomes

    known, looked, sessions = 0, 0, found.sessions
    places = [session.rows.start for session in sessions]
    for began, outcomes in groupby(read_all_outcomes(journal), key=lambda each: each.began or 0.0):
        number = sum(session.beginning.at <= began + ROUNDED for session in sessions) - 1
        if number >= 0 and sessions[number].beginning.journal:
            rows, of_a_run = range(places[number], sessions[number].rows.stop), [*outcomes]
            places[number], named = _give_inputs(found, rows, of_a_run)
            known, looked = known + named, looked + min(len(rows), len(of_a_run))
    if 2 * known < looked:  # it is that of other runs
        found.inputs.clear()
        return 0
    return known


def _give_inputs(found: Recorded, rows: range, outcomes: Iterable[Stored]) -> tuple[int, int]:
    """Do it for one run; return where its calls go on, and how many are known."""
    spans, at, known = found.spans, rows.start, 0
    near = usual_of(spans.took[rows.start : rows.stop]) / 50 + 1e-6  # a recording is as exact as suits its usual call
    for outcome in outcomes:
        failed, took = outcome.error is not None, outcome.took
        for row in range(at, min(at + AHEAD, rows.stop)):
            if abs(spans.took[row] - took) <= near and (spans.status[row] >= FAILED) is failed:
                at, known = row, known + 1
                if len(found.inputs) < MOST_INPUTS or failed:
                    found.inputs[spans.index[row]] = _shown(outcome.input)
                break
        at += 1
    return at, known


def recorded_run(run_name: str, summary: Summary, trace: str | None, journal: str | None, problem: str) -> Recorded:
    """Return what is known of a run: from its trace, else from its journal once it has ended, else its summary."""
    from .insight.told import told

    if trace is not None and is_trace(trace):
        found = read_trace(trace)
        if journal is not None and summary.done:
            give_inputs(found, journal)
        return _noted(found, problem)
    ending = told(summary)
    if journal is not None and summary.done:
        found = journal_recorded(journal)
        if found.sessions:
            found.sessions[-1].ending = ending
            return _noted(found, problem)
    found = Recorded(without_secrets(run_name), timed=False, live=not summary.done)
    found.sessions.append(Session(Beginning(name=found.name, at=0.0), seconds=summary.elapsed, ending=ending))
    return _noted(found, problem)


def form_of(path: str) -> Form | None:
    """Return the form that the name of a report asks for; None if it asks for none.

    >>> form_of("run.html"), form_of("run.chrome.json.gz"), form_of("run.json"), form_of("run.txt")
    ('html', 'chrome', 'json', None)
    """
    name = os.path.basename(path).lower().removesuffix(".gz")
    if name.endswith((".html", ".htm")):
        return "html"
    if name.endswith((".chrome.json", ".perfetto.json", ".perfetto-trace")):
        return "chrome"
    return "json" if name.endswith(".json") else None


def is_report(path: str) -> bool:
    """Whether a file is a report, which another may replace."""
    try:
        with open(path, "rb") as file:
            first = file.read(LOOKED_AT)
    except OSError:
        return False
    if first[:2] == b"\x1f\x8b":
        try:
            first = zlib.decompressobj(31).decompress(first, LOOKED_AT)
        except zlib.error:
            return False
    return any(mark in first for mark in MARKS)


def write_report(recorded: Recorded, path: str, form: Form | None = None) -> None:
    """Write a report, whole or not at all; what was there is replaced.

    Args:
        recorded: what it is of.
        path: where; with `.gz` at its end it is zipped.
        form: "html", "json" or "chrome"; None: by the ending of the name.

    Raises:
        ValueError: the name has none of these endings.
        OSError: it cannot be written.
    """
    wanted = form or form_of(path)
    if wanted is None:
        raise ValueError(
            f"{path}: its ending names no form of a report\n"
            "  try: run.html, run.json, or run.chrome.json (for Perfetto)"
        )
    data = b"".join(rendered(recorded, wanted))
    replace_file(
        os.path.realpath(path), gzip.compress(data, 6, mtime=0) if path.lower().endswith(".gz") else data, 0o644
    )


def rendered(recorded: Recorded, form: Form) -> Iterable[bytes]:
    """Give a report in pieces."""
    if form == "html":
        from .insight.page import page

        return [page(recorded).encode()]
    if form == "json":
        from .insight.as_json import json_report

        return json_report(recorded)
    from .insight.chrome import chrome_trace

    return chrome_trace(recorded)


def _take(gathering: Gathering, stored: Sequence[tuple[int, Stored]]) -> None:
    """Add the outcomes of one run of a journal."""
    head = Chunk(0, 0.0, 1, len(stored))
    kinds: dict[str, int] = {}
    for row, (place, outcome) in enumerate(stored):
        status = RETRIED if outcome.attempts != 1 else 0
        if outcome.error is not None:
            number = kinds.setdefault(outcome.error.kind, len(kinds))
            if number == len(head.kinds):
                head.kinds.append(outcome.error.kind)
                head.counts.append(0)
            head.counts[number] += 1
            if head.counts[number] <= 5:
                said = bounded(f"{outcome.error.class_name}: {outcome.error.message}", MOST)
                head.examples.append((number, place, said, outcome.attempts, outcome.took))
            status = FAILED + min(number, 200)
        if status or outcome.attempts != 1:
            head.marks.append((row, status, outcome.attempts))
    started = [outcome.started or 0.0 for _, outcome in stored]
    gathering.calls(Rows([place for place, _ in stored], started, [outcome.took for _, outcome in stored], head))


def _shown(data: bytes) -> str:
    text = data[: MOST * 4].decode("utf-8", "replace")
    try:
        text = str(json.loads(text)) if text.startswith('"') else text
    except ValueError:  # it was cut
        pass
    return visible(bounded(text, 200))


def _noted(found: Recorded, problem: str) -> Recorded:
    if problem:
        found.notes.append(problem)
    return found
