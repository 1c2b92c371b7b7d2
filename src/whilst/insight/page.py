"""How is a report one file that needs nothing else, and does nothing but what is in it?

A policy in the page (CSP) lets no script run but ours and no style count but ours, each by its hash, and nothing be
loaded from anywhere. What was recorded stands in blocks of data, which no browser runs.
"""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any, Final

from ..core.secrets import bounded
from .drawn import columns, steps_of, text_of
from .recorded import Recorded, Session
from .sections import sections
from .told import json_of
from .words import inert, visible

INPUTS: Final = 20_000  # inputs whose text goes into the page
MOST_LOOKS: Final = 2_000  # moments of a run that are drawn
PLACES = ("head", "failures", "advice", "compared", "account")
LATER = ("latencies", "tree")


def page(recorded: Recorded, *, live: bool = False, said: Mapping[str, str] | None = None) -> str:
    """Return the report as HTML; `said` are its sections, if they were made before."""
    said = sections(recorded) if said is None else said
    meta, calls = columns(recorded.spans)
    meta |= about(recorded)
    if live:
        meta["live"] = True
    style, script = asset("page.css"), asset("page.js")
    inputs = {str(index): visible(text) for index, text in [*recorded.inputs.items()][:INPUTS]}
    blocks = [f'<script type="text/plain" id="calls">{calls}</script>']
    if (steps := steps_of(recorded)) is not None:
        meta["steps"] = steps[0]
        blocks.append(f'<script type="text/plain" id="steps">{steps[1]}</script>')
    blocks.append(f'<script type="application/json" id="meta">{as_data(meta)}</script>')
    if inputs:
        blocks.append(f'<script type="text/plain" id="inputs">{text_of(json_of(inputs))}</script>')
    drawn = CHARTS if (recorded.spans and recorded.timed) or live else NO_CALL if recorded.timed else NOT_TIMED
    return "\n".join(
        [
            "<!doctype html>",
            '<html lang="en"><head><meta charset="utf-8">',
            f'<meta http-equiv="Content-Security-Policy" content="{policy(style, script, live=live)}">',
            '<meta name="viewport" content="width=device-width,initial-scale=1">',
            '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">',
            *(['<link rel="icon" href="data:,">'] * live),  # else a browser asks the server for one
            f"<title>{inert(recorded.name or 'a run', 80)} · whilst</title>",
            f"<style>{style}</style></head><body><main>",
            *(f'<section id="{place}">{said[place]}</section>' for place in PLACES),
            drawn.replace("<!--latencies-->", said["latencies"]),
            f'<section id="tree">{said["tree"]}</section>',
            f"<footer>{_foot(recorded)}</footer></main>",
            *blocks,
            f"<script>{script}</script></body></html>",
        ]
    )


def about(recorded: Recorded) -> dict[str, Any]:
    """Return what the page must know beside the columns."""
    return {
        "kinds": [visible(bounded(name, 80)) for name in recorded.kinds.names],
        "seconds": round(recorded.seconds, 6),
        "from": round(min(recorded.spans.started, default=0.0), 6) if recorded.partial else 0.0,
        "sessions": [_session(session) for session in recorded.sessions],
    }


def as_data(said: object) -> str:
    """Return JSON that can stand in a block of data: nothing in it closes the block."""
    text = json_of(said).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def policy(style: str, script: str, *, live: bool = False) -> str:
    """Return what the page may do."""
    connect = "; connect-src 'self'" if live else ""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; img-src data:{connect}; "
        "base-uri 'none'; form-action 'none'"
    )


@cache
def asset(name: str) -> str:
    """Return style or script as it goes into the page: without comments, indentation and spaces that say nothing."""
    text = files(__name__.rpartition(".")[0]).joinpath(name).read_text("utf-8")
    if name.endswith(".css"):
        return re.sub(r"\s*([{};,>])\s*", r"\1", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)).strip()
    lines = (line.strip() for line in text.splitlines())
    return re.sub(_SCRIPT, _tight, "\n".join(line for line in lines if line and not line.startswith("//")))


# A text, a pattern, or a sign with spaces around it; the last alone is made shorter, unless two signs would become one.
_SCRIPT: Final = (
    r"""(?P<kept>`[^`]*`|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'|/(?![ /*=])(?:\\.|[^/\n])+/[gimsu]*(?=[.,)])"""
    r"""| *[-+] +[-+])| *(?P<sign>[{}()\[\];,:?=<>+\-*/%&|!]+) *"""
)


def _tight(found: re.Match[str]) -> str:
    return found["kept"] or found["sign"]


def _hash(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _session(session: Session) -> dict[str, Any]:
    looks = session.looks[:: max(1, len(session.looks) // MOST_LOOKS)]
    changes: list[list[float | None]] = []
    for look in looks:
        now: list[float | None] = [round(look.t, 3), look.permitted, look.rate, 1 if look.paused else 0]
        if not changes or changes[-1][1:] != now[1:]:
            changes.append(now)
    beginning = session.beginning
    first = [0.0, changes[0][1] if changes else beginning.concurrency or None, changes[0][2] if changes else None, 0]
    marks = [
        [round(float(event.get("t") or 0), 3), str(event["event"])]
        for event in session.events
        if event.get("event") in ("paused", "resumed", "breaker_opened", "call_abandoned")
    ][:500]
    return {
        "at": round(session.offset, 6),
        "s": round(session.seconds, 6),
        "allowed": [first, *changes],
        "marks": marks,
    }


def _foot(recorded: Recorded) -> str:
    versions = {
        f"whilst {session.beginning.whilst}, Python {session.beginning.python}"
        for session in recorded.sessions
        if session.beginning.whilst
    }
    return inert("; ".join(sorted(versions)) or "whilst")


CHARTS: Final = """<section id="charts" class="needs"><h2>When each call was made</h2>
<form id="tools"><label>Find <input id="find" type="search" autocomplete="off" placeholder="index, kind, text"></label>
<label>Show <select id="show"><option value="">all</option></select></label>
<label id="which" hidden>Of <select id="of"><option value="">inputs</option>
<option value="steps">steps</option></select></label>
<span><button type="button" data-zoom="2" aria-label="zoom in">+</button>
<button type="button" data-zoom="0.5" aria-label="zoom out">−</button>
<button type="button" data-zoom="0">all of it</button></span><output id="found"></output></form>
<canvas id="lanes" tabindex="0" role="img" aria-label="Timeline: a line for each call in flight.
Arrow keys move, plus and minus zoom, 0 shows all, Enter goes to the next that is found."></canvas>
<p id="tip" role="status" aria-live="polite"></p>
<h3>Done a second</h3><canvas id="rate" role="img" aria-label="Calls that ended, a second"></canvas>
<h3>In flight</h3><canvas id="flight" role="img" aria-label="Calls in flight"></canvas>
<h2>How long calls took</h2><canvas id="took" role="img" aria-label="How many calls took how long"></canvas></section>
<noscript><p>The drawings need a script; everything else is here.</p></noscript>
<section id="latencies"><!--latencies--></section>"""
NO_CALL: Final = """<section><h2>When each call was made</h2><p>No call was made.</p></section>
<section id="latencies"><!--latencies--></section>"""
NOT_TIMED: Final = """<section><h2>When each call was made</h2><p>This run was not recorded, so there is no timeline.
With <code>whilst.map(…, trace="run.trace")</code> or <code>--trace run.trace</code> there is.</p></section>
<section id="latencies"><!--latencies--></section>"""
