"""What does a report say in words? Sections of HTML that need no script: failures first, then what to change.

Each is a function of what was recorded, so that the live page can have them made anew.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from ..core.account import meaning
from ..core.flags import change_in_flags, in_flags
from ..core.telling import lanes_in_words, retry_wait
from .figures import Figures, figures_of
from .recorded import LONGEST, Recorded, Session
from .spans import Node
from .words import counted, inert, seconds, share, three

SHARES: Final = 12  # reasons of the account that are listed
WIDE: Final = 0.12  # a share from which on its name stands in the bar
BAR: Final = 1000  # units of a bar's width
SHOWN_EXAMPLES: Final = 3
MOST_LINES: Final = 500  # of the picture of a flow
MOST_ROWS: Final = 40  # of what is said of stages, branches and workers
COLOURS: Final[Mapping[str, int]] = {
    "busy": 0, "limit": 1, "consumer": 2, "retries": 3, "source": 4, "pushback": 5, "journal": 6, "tail": 7,
}  # fmt: skip


def sections(recorded: Recorded) -> dict[str, str]:
    """Return the sections by the names of their places in the page; "" for what there is nothing to say of."""
    figures = figures_of(recorded)
    return {name: make(recorded, figures) for name, make in MAKERS.items()}


def head(recorded: Recorded, figures: Figures) -> str:
    """Say what it was and how it went."""
    last, sessions = recorded.last, recorded.sessions
    known = bool(last) and (sessions[-1].ending is not None or bool(sessions[-1].now))  # of all runs, how it stands now
    ok, failed = (_count(last, "ok", figures.ok), _count(last, "failed", figures.failed)) if known else figures[1:3]
    recalled = _count(last, "recalled", 0) if known else 0
    spent = sum(session.seconds for session in sessions)
    made = figures.calls if len(sessions) > 1 else max(0, ok + failed - recalled)
    said = [f"<b>{ok:,}</b> {'' if known or len(sessions) < 2 else 'calls '}ok"]
    if failed:
        said.append(f'<b class="bad">{failed:,} failed</b> ({share(failed, ok + failed)})')
    if len(sessions) > 1 and known and figures.calls:
        said.append(f"after {counted(figures.calls, 'call')} in {len(sessions)} runs")
    if spent:
        said.append(f"in {seconds(spent)}")
    if spent and made:
        said.append(f"{three(made / spent)}/s")
    for name, words in (("retried", "retries"), ("abandoned", "left behind"), ("recalled", "from the journal")):
        if number := _count(last, name, 0) if len(sessions) < 2 else 0:
            said.append(f"{number:,} {words}")
    title = inert(recorded.name or "a run", 120)
    state = ""
    if recorded.live:
        state = '<span class="live" id="state">live</span>' if recorded.served else '<span class="live">went on</span>'
    return f"<h1>{title} {state}</h1><p>{', '.join(said)}</p>{_when(recorded)}{_runs(recorded)}{_notes(recorded)}"


def failures(recorded: Recorded, figures: Figures) -> str:
    """List the kinds of failures, the most frequent first."""
    kinds = recorded.kinds
    known = {name: count for name, count in zip(kinds.names, kinds.counts, strict=True) if count}
    known = known or {str(name): _whole(count) for name, count in _mapping(recorded.last, "failures").items()}
    if not known:
        return ""
    of_last = _count(recorded.last, "ok", 0) + _count(recorded.last, "failed", 0)  # where no call was recorded, or yet
    whole = max(figures.calls or of_last, sum(known.values()))
    rows: list[str] = []
    for name, count in sorted(known.items(), key=lambda each: -each[1]):
        examples = kinds.examples[kinds.names.index(name)] if name in kinds.names else []
        shown = "".join(
            f'<li><button type="button" data-find="{example.index}">{example.index}</button> {inert(example.message)}'
            f"{_given(recorded, example.index)}</li>"
            for example in examples[:SHOWN_EXAMPLES]
        )
        button = f'<button type="button" data-kind="{inert(name, 80)}">{inert(name, 80)}</button>'
        rows.append(
            f'<tr><th scope="row">{button}</th><td>{count:,}</td><td>{share(count, whole)}</td>'
            f"<td><ul>{shown}</ul></td></tr>"
        )
    return (
        "<h2>Failures</h2><div class=wide><table><thead><tr><th>kind<th>calls<th>share<th>for example</thead>"
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def advice(recorded: Recorded, figures: Figures) -> str:
    """Say what to change, with the line that does it."""
    del figures
    found: list[str] = []
    worded, line = (in_flags, _line_in_flags) if _is_in_flags(recorded) else (str, _line)
    for each in _sequence(recorded.last, "advice"):
        given = _as_mapping(each)
        if not given.get("text"):
            continue
        more = f"<p class=soft>{inert(worded(str(given['evidence'])), 600)}</p>" if given.get("evidence") else ""
        if condition := worded(str(given.get("condition") or "")):
            more += f"<p class=soft>If {inert(condition.removeprefix('if '), 600)}.</p>"
        found.append(f"<li><p>{inert(worded(str(given['text'])), 600)}</p>{more}{line(given.get('change'))}</li>")
    return f"<h2>What to change</h2>{_of_last(recorded)}<ol class=advice>{''.join(found)}</ol>" if found else ""


def account(recorded: Recorded, figures: Figures) -> str:
    """Say where the time of the lanes went."""
    del figures
    shares = [
        (str(name), float(part))
        for name, part in _mapping(recorded.last, "account").items()
        if isinstance(part, (int, float)) and 0 < part <= 1
    ]
    if not shares:
        return ""
    shares.sort(key=lambda each: (each[0] != "busy", -each[1]))
    at, bars, rows = 0.0, list[str](), list[str]()
    for (name, part), colour in zip(shares[:SHARES], _colours([name for name, _ in shares[:SHARES]]), strict=True):
        width = part * BAR
        bars.append(f'<rect class="c{colour}" x="{at:.1f}" width="{max(0.5, width - 2):.1f}" height="30" rx="2"/>')
        if part >= WIDE:
            bars.append(f'<text class="t{colour}" x="{at + 8:.1f}" y="20">{inert(name, int(part * 100))}</text>')
        at += width
        swatch = f'<svg class=swatch viewBox="0 0 10 10"><rect class="c{colour}" width="10" height="10"/></svg>'
        rows.append(
            f'<tr><th scope="row">{swatch} {inert(name, 120)}</th><td>{share(part, 1)}</td>'
            f"<td class=soft>{inert(meaning(name), 120)}</td></tr>"
        )
    bar = f'<svg class=bar viewBox="0 0 {BAR} 30" preserveAspectRatio="none" aria-hidden="true">{"".join(bars)}</svg>'
    return (
        f"<h2>Where the time of the lanes went</h2>{_of_last(recorded)}{bar}"
        f'<div class=wide><table class="numbers"><tbody>{"".join(rows)}</tbody></table></div>{_more(recorded.last)}'
    )


def latencies(recorded: Recorded, figures: Figures) -> str:
    """Say how long calls took, and which took longest."""
    if not figures.percentiles:
        return ""
    names = "".join(f"<th>{name}" for name in figures.percentiles)
    values = "".join(f"<td>{seconds(took)}" for took in figures.percentiles.values())
    rows = "".join(
        f'<tr><th scope="row"><button type="button" data-find="{slow.index}">{slow.index}</button></th>'
        f"<td>{seconds(slow.took)}</td><td>{seconds(slow.started)}</td><td>{slow.attempts}</td>"
        f"<td>{inert(slow.kind, 80)}{_given(recorded, slow.index)}</td></tr>"
        for slow in figures.slowest
    )
    return (
        f'<div class=wide><table class="numbers"><thead><tr>{names}</thead><tbody><tr>{values}</tbody></table></div>'
        "<h3>The slowest</h3><div class=wide><table><thead><tr><th>input<th>took<th>started at<th>attempts<th></thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def compared(recorded: Recorded, figures: Figures) -> str:
    """Draw what the calls would take one by one against what they took, to one scale."""
    spent = sum(session.seconds for session in recorded.sessions)
    steps = any(session.nodes for session in recorded.sessions)
    if not recorded.timed or recorded.live or not spent or (figures.calls < 2 and not steps):
        return ""
    if figures.worked < 1.2 * spent:
        return ""
    width = max(0.5, BAR * spent / figures.worked)
    return (
        "<h2>One by one, and together</h2>"
        f"<p>One by one: <b>{seconds(figures.worked)}</b></p>"
        f'<svg class=bar viewBox="0 0 {BAR} 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c7" width="{BAR}" height="12"/></svg>'
        f"<p>Together: <b>{seconds(spent)}</b>, {figures.worked / spent:,.3g} times as fast</p>"
        f'<svg class=bar viewBox="0 0 {BAR} 12" preserveAspectRatio="none" aria-hidden="true">'
        f'<rect class="c0" width="{width:.1f}" height="12"/></svg>'
    )


def tree(recorded: Recorded, figures: Figures) -> str:
    """Show the flow, and where its time went, by node."""
    del figures
    trees = [session.beginning.tree for session in recorded.sessions if session.beginning.tree]
    nodes = _nodes(recorded)
    if not trees and not nodes:
        return ""
    picture = f"<pre>{_lines(trees[-1])}</pre>" if trees else ""
    return f"<h2>The flow</h2>{picture}{nodes}"


def _lines(text: str) -> str:
    return "\n".join(inert(line) for line in text.splitlines()[:MOST_LINES])


def _nodes(recorded: Recorded) -> str:
    """List the steps, each with the seconds that its calls took; those that took most have the longest bars."""
    sums: dict[str, Node] = {}
    for session in recorded.sessions:
        for path, node in session.nodes.items():
            known = sums.setdefault(path, Node())
            known.calls += node.calls
            known.failed += node.failed
            known.seconds += node.seconds
            known.slowest = max(known.slowest, node.slowest)
    if not sums:
        return ""
    whole = sum(node.seconds for node in sums.values())
    most = max(max(node.seconds for node in sums.values()), 1e-9)
    rows = "".join(
        f'<tr><th scope="row">{inert(path, 160)}</th><td>{node.calls:,}</td><td>{node.failed:,}</td>'
        f"<td>{seconds(node.seconds)}</td><td>{share(node.seconds, whole)}</td>"
        f"<td>{seconds(node.seconds / max(1, node.calls))}</td><td>{seconds(node.slowest)}</td><td>"
        f'<svg class=small viewBox="0 0 100 10" aria-hidden="true"><rect class="c0" height="10" '
        f'width="{100 * node.seconds / most:.1f}"/></svg></td></tr>'
        for path, node in sorted(sums.items())
    )
    return (
        '<div class=wide><table class="numbers"><thead><tr><th>step<th>calls<th>failed<th>all took<th>share<th>mean'
        f"<th>slowest<th></thead><tbody>{rows}</tbody></table></div>"
    )


def _when(recorded: Recorded) -> str:
    """Say when the last run began, and how many calls it was to make at once."""
    if not recorded.sessions:
        return ""
    beginning = recorded.sessions[-1].beginning
    began = _at(beginning.at)
    said = [f"Began {began}"] if began and len(recorded.sessions) == 1 else []
    if beginning.concurrency:
        said.append(f"at most {counted(beginning.concurrency, 'call')} at once at first")
    said += [inert(limit, 120) for limit in beginning.limits[:SHARES]]
    return f"<p class=soft>{' · '.join(said)}</p>" if said else ""


def _of_last(recorded: Recorded) -> str:
    return "<p class=soft>Of the last run.</p>" if len(recorded.sessions) > 1 else ""


def _colours(reasons: Sequence[str]) -> list[int]:
    """Return the number of a colour for each reason: its own, which it has in every report, or one that is left."""
    found: dict[str, int] = {}
    for reason in reasons:
        own = COLOURS.get(reason.partition(":")[0])
        if own is not None and own not in found.values():
            found[reason] = own
    for reason in reasons:
        left = [each for each in range(7, 0, -1) if each not in found.values()]
        found.setdefault(reason, left[0] if left else 7)
    return [found[reason] for reason in reasons]


def _more(last: Mapping[str, Any]) -> str:
    """Say what the account of the lanes leaves open: stages, branches, workers, and what retries waited for."""
    rows = [(f"stage {path}", lanes_in_words(_numbers(spent))) for path, spent in _mapping(last, "stages").items()]
    for path, waits in _mapping(last, "join_time").items():
        branch, took = max(_numbers(waits).items(), key=lambda it: it[1], default=("", 0.0))
        rows.append((f"{path}", f"the other branches waited {seconds(took)} for {branch}"))
    for name, made in _mapping(last, "workers").items():
        known = _numbers(made)
        computed = f", {seconds(known['computed'])} of them computing" if "computed" in known else ""
        rows.append(
            (str(name), f"{known.get('calls', 0):,.0f} calls in {seconds(known.get('seconds', 0.0))}{computed}")
        )
    waited = _numbers(last.get("retry_waits"))
    if waited:
        rows.append(("retries", ", ".join(f"waited {seconds(took)} {retry_wait(why)}" for why, took in waited.items())))
    shown = "".join(
        f'<tr><th scope="row">{inert(name, 160)}</th><td class=words>{inert(said, 400)}</td></tr>'
        for name, said in rows[:MOST_ROWS]
    )
    return f"<div class=wide><table><tbody>{shown}</tbody></table></div>" if shown else ""


def _numbers(given: Any) -> dict[str, float]:
    """Return what is a number in a mapping that came from a file."""
    return {
        str(name): float(number)
        for name, number in _as_mapping(given).items()
        if isinstance(number, (int, float)) and abs(number) < LONGEST
    }


def _runs(recorded: Recorded) -> str:
    """Say how many runs there were, if there was more than one, or one that did not end well."""
    sessions = recorded.sessions
    if len(sessions) < 2 and not (sessions and sessions[0].killed and not recorded.live and recorded.timed):
        return ""
    rows = "".join(
        f'<tr><th scope="row">{number}</th><td>{_at(session.beginning.at)}</td><td>{seconds(session.seconds)}</td>'
        f"<td>{session.passed:,}</td><td>{session.recalled:,}</td><td>{_end(session, recorded)}</td></tr>"
        for number, session in enumerate(sessions, 1)
    )
    return (
        "<div class=wide><table><thead><tr><th>run<th>began<th>lasted<th>calls<th>from the journal<th>ended</thead>"
        f"<tbody>{rows}</tbody></table></div>"
    )


def _end(session: Session, recorded: Recorded) -> str:
    if session.killed:
        return "goes on" if recorded.live and session is recorded.sessions[-1] else '<b class="bad">was killed</b>'
    if not session.ending:
        return "–"
    said = next((event for event in reversed(session.events) if event.get("event") == "run_ended"), None)
    why = str(said.get("why") or "") if said else ""
    return inert(why, 200) if why else "at its end"


def _notes(recorded: Recorded) -> str:
    notes = [*recorded.notes, *map(str, _sequence(recorded.last, "notes"))]
    if recorded.spans.sampled:
        most = max(recorded.spans.weight)
        notes.append(
            f"Sampled: of {counted(sum(session.passed for session in recorded.sessions), 'call')} "
            f"{len(recorded.spans):,} are kept: all failures, the slowest, and at last one of {most} of the others. "
            "Counts are exact; what is drawn stands for the rest."
        )
    worded = in_flags if _is_in_flags(recorded) else str
    return "".join(f"<p class=soft>{inert(worded(note), 500)}</p>" for note in notes)


def _is_in_flags(recorded: Recorded) -> bool:
    """Whether the last run was the command line's, whose parameters are options."""
    return bool(recorded.sessions) and recorded.sessions[-1].beginning.in_flags


def _line_in_flags(change: Any) -> str:
    """Return the options that make the change, to be copied."""
    options = change_in_flags(_as_mapping(change))
    return _copied(inert(options)) if options else ""


def _line(change: Any) -> str:
    """Return the line that makes the change, to be copied."""
    given = _as_mapping(change)
    if not given:
        return ""
    line = ", ".join(f"{name}={_written(value)}" for name, value in given.items() if name != "step")
    return _copied(inert(line), f"at {inert(given['step'], 160)}: " if given.get("step") else "")


def _copied(line: str, where: str = "") -> str:
    return f'<p class=copy>{where}<code>{line}</code> <button type="button" data-copy>copy</button></p>'


def _written(value: Any) -> str:
    """Return a value as it is written in a program."""
    if isinstance(value, str):
        return f"whilst.{value}" if value.startswith(("Retry(", "Limit(")) else json.dumps(value, ensure_ascii=False)
    return repr(value)


def _given(recorded: Recorded, index: int) -> str:
    text = recorded.inputs.get(index)
    return "" if text is None else f" <code>{inert(text, 200)}</code>"


def _at(moment: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(moment)) if moment else ""
    except (ValueError, OverflowError, OSError):
        return ""


def _count(last: Mapping[str, Any], name: str, otherwise: int) -> int:
    return _whole(last.get(name), otherwise)


def _whole(given: Any, otherwise: int = 0) -> int:
    """Return a count, if it is one that a run has."""
    return given if isinstance(given, int) and 0 <= given < 1 << 60 else otherwise


def _mapping(last: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    return _as_mapping(last.get(name))


def _as_mapping(thing: Any) -> Mapping[str, Any]:
    return thing if isinstance(thing, Mapping) else {}  # pyright: ignore[reportUnknownVariableType]


def _sequence(last: Mapping[str, Any], name: str) -> Sequence[Any]:
    found = last.get(name)
    return found if isinstance(found, (list, tuple)) else ()  # pyright: ignore[reportUnknownVariableType]


MAKERS: Final[dict[str, Callable[[Recorded, Figures], str]]] = {
    "head": head,
    "failures": failures,
    "advice": advice,
    "compared": compared,
    "account": account,
    "latencies": latencies,
    "tree": tree,
}
