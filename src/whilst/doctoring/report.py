"""How are findings told? Worst first, at most ten, in 80 columns; or as JSON."""

from __future__ import annotations

import re
import textwrap
import tokenize
from collections.abc import Sequence
from typing import Any

from ..core.secrets import without_secrets
from .finding import Finding, seconds_text, shown
from .held import held_findings
from .overlap import overlap_findings
from .records import Seen
from .source import source

MOST = 10  # findings
_LITERAL = r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'"""
WIDTH = 80
CODE = 5  # spaces before what is code
WORTH = 2.0  # thresholds that running together must save


def findings(seen: Seen) -> tuple[Finding, ...]:
    """Return what there is to say, worst first: what held the loop by how long, what could overlap by what it saves."""
    source.cache_clear()
    found = [*held_findings(seen.held), *overlap_findings(seen.waited, WORTH * seen.threshold)]
    return tuple(sorted(found, key=_lost, reverse=True))


def _lost(finding: Finding) -> float:
    return finding.seconds * (1 - 1 / finding.gain) if finding.gain else finding.seconds


def report(seen: Seen, found: Sequence[Finding], *, width: int = WIDTH, notes: Sequence[str] = ()) -> str:
    """Return the text that is printed at the end of a program."""
    head = f"whilst doctor: {_counted(len(found))} in {seconds_text(seen.seconds)}"
    if not found:
        head = f"{head}: {looked_at(seen)}"
    paragraphs = [_wrapped(head, width, "")]
    for number, finding in enumerate(found[:MOST], 1):
        first, *rest = described(finding)
        lines = _wrapped(f"{number}. {first}", width, "   ")
        for line in rest:
            indent = line[: len(line) - len(line.lstrip())]
            is_code = len(indent) >= CODE
            lines += wrapped_code(line, width, indent) if is_code else _wrapped(line, width, indent + "  ")
        paragraphs.append(lines)
    if len(found) > MOST:
        paragraphs.append([f"{len(found) - MOST} more are not shown; --json has them all"])
    told = [*notes, *_limits(seen)]
    if told:
        paragraphs.append([line for note in told for line in _wrapped(f"note: {note}", width, "  ")])
    return "\n\n".join("\n".join(lines) for lines in paragraphs) + "\n"


def described(finding: Finding) -> list[str]:
    """Return a finding in lines: what, the evidence, the condition, and the line that would do."""
    code = source(finding.file)
    lines = [f"{shown(finding.file)} line {finding.line}, in {finding.function}: {public(finding.text)}"]
    if code is not None and (line := code.line(finding.line)):
        lines.append(f"     {public(line)}")
    lines.append(f"   {finding.evidence}")
    change = finding.change
    if finding.condition:
        lines.append(f"   {finding.condition}")
    if change is not None:
        where = "" if change["line"] == finding.line else f", line {change['line']}"
        lines += [f"   try{where}:", *(f"     {public(line)}" for line in change["new"].split("\n"))]
    return lines


def public(code: str) -> str:
    """Return a line of code without the secrets that are written out in it; what stands for one stays.

    >>> public('login(password="hunter22", user=user, token=token)')
    'login(password="…", user=user, token=token)'
    """
    if without_secrets(code) == code:
        return code
    for text in reversed(list(re.finditer(_LITERAL, code))):
        before = code[: text.end()]
        if not without_secrets(before).endswith(text[0]):
            code = f"{code[: text.start()]}{text[0][0]}…{text[0][-1]}{code[text.end() :]}"
    return code


def as_json(seen: Seen, found: Sequence[Finding]) -> str:
    """Return all of it for another program: one object."""
    document: dict[str, Any] = {
        "seconds": round(seen.seconds, 4),
        "threshold": seen.threshold,
        "loops": seen.loops,
        "rounds": seen.rounds,
        "longest_round": round(seen.longest, 4),
        "looks": seen.looks,
        "unplaced_rounds": seen.unplaced,
        "child_processes": seen.children,
        "findings": [finding.to_dict() for finding in found],
    }
    import msgspec  # 10 ms that a caller's loop need not wait for

    return msgspec.json.encode(document).decode()


def looked_at(seen: Seen) -> str:
    """Say what was looked at."""
    if not seen.loops:
        return f"no event loop, {seen.looks} looks at what its threads wait for"
    loops = "1 event loop" if seen.loops == 1 else f"{seen.loops} event loops"
    return f"{loops}, {seen.rounds:,} rounds, the longest {seconds_text(seen.longest)}, {seen.looks:,} looks"


def _counted(number: int) -> str:
    return {0: "nothing found", 1: "1 finding"}.get(number, f"{number} findings")


def _limits(seen: Seen) -> list[str]:
    told: list[str] = []
    if seen.unplaced:
        rounds = "1 long round" if seen.unplaced == 1 else f"{seen.unplaced} long rounds"
        told.append(f"{rounds} of the loop could not be put down to a line of yours")
    if seen.children:
        told.append("it started processes; children are not followed")
    return told


def wrapped_code(line: str, width: int, indent: str) -> list[str]:
    """Break a line of code where it stays one statement: within brackets, and in no string."""
    code, lines, start = line.strip(), list[str](), 0
    places = _breaks(code)
    while len(indent) + len(code) - start >= width:
        later = [place for place in places if place > start]
        if not later:
            break
        end = max([place for place in later if len(indent) + place - start < width], default=later[0])
        lines.append(indent + code[start:end])
        start, indent = end + 1, line[: len(line) - len(line.lstrip())] + "  "
    return [*lines, indent + code[start:]]


def _breaks(code: str) -> list[int]:
    """Return the spaces of a line of code at which it may go on in the next one."""
    found: list[int] = []
    depth = strings = end = 0
    try:
        for token in tokenize.generate_tokens(iter([code]).__next__):
            name = tokenize.tok_name[token.type]
            if depth and not strings and code[end : token.start[1]] == " ":
                found.append(end)
            strings += (name == "FSTRING_START") - (name == "FSTRING_END")
            if token.type == tokenize.OP:
                depth += (token.string in "([{") - (token.string in ")]}")
            end = token.end[1]
    except (tokenize.TokenError, SyntaxError, StopIteration):  # the end of a block, or of what is only its beginning
        pass
    return found


def _wrapped(line: str, width: int, indent: str) -> list[str]:
    held_together = re.sub(r"(?<=\d) (?=m?s\b)", "\N{NO-BREAK SPACE}", line)  # a number and its unit
    lines = textwrap.wrap(
        held_together, width - 1, subsequent_indent=indent, break_on_hyphens=False, break_long_words=False
    )
    return [each.replace("\N{NO-BREAK SPACE}", " ") for each in lines] or [""]
