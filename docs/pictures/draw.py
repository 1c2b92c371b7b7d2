"""How do recorded runs look? `python docs/pictures/draw.py` draws those of `runs.json`, each for light and for dark.

SVG by hand, for four pictures: the staircase and the wall of the demo, the command line, the adaptive curve, and of
`sweep.json` (`make bench-sweep`) what a call costs as a run grows.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from html import escape
from math import log10
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
LIGHT = {"back": "#ffffff", "frame": "#d0d7de", "text": "#1f2328", "dim": "#59636e", "one": "#9a6700", "two": "#0a6b5d"}
DARK = {"back": "#0d1117", "frame": "#3d444d", "text": "#f0f6fc", "dim": "#9198a1", "one": "#d29922", "two": "#3fb8a0"}
SANS = "system-ui, -apple-system, 'Segoe UI', 'DejaVu Sans', sans-serif"
MONO = "ui-monospace, 'SFMono-Regular', Menlo, Consolas, 'DejaVu Sans Mono', monospace"
Colours = dict[str, str]


def recorded() -> dict[str, Any]:
    """Return what is drawn."""
    runs: dict[str, Any] = json.loads((HERE / "runs.json").read_text("utf-8"))
    return {**runs, "sweep": json.loads((HERE / "sweep.json").read_text("utf-8"))}


def pictures(runs: dict[str, Any]) -> dict[str, str]:
    """Return every picture by the name of its file."""
    found = {}
    for mode, colours in (("light", LIGHT), ("dark", DARK)):
        found[f"staircase-{mode}.svg"] = staircase(runs["demo"], colours)
        found[f"terminal-{mode}.svg"] = terminal(runs["terminal"], colours)
        found[f"adaptive-{mode}.svg"] = adaptive(runs["curves"], colours)
        found[f"sweep-{mode}.svg"] = sweep(runs["sweep"], colours)
    return found


def staircase(demo: dict[str, Any], colours: Colours) -> str:
    """Draw the calls one by one, and below them, on the same scale, the calls together."""
    left, width, row, top = 16, 728, 6, 44
    end = demo["alone"]["seconds"]
    parts = []
    for name, code, colour in (
        ("alone", "[fetch(name) for name in names]", "one"),
        ("together", "whilst.map(fetch, names).list()", "two"),
    ):
        spans, seconds = demo[name]["spans"], demo[name]["seconds"]
        parts.append(_text(left, top - 10, code, colours["text"], 14, MONO))
        parts.append(_text(left + width, top - 10, f"{seconds:.2f} s", colours[colour], 15, SANS, "end", bold=True))
        for at, (began, took) in enumerate(spans):
            x, wide = left + width * began / end, max(2.0, width * took / end)
            parts.append(_bar(x, top + at * row, wide, row - 1, colours[colour]))
        top += len(spans) * row + 44
    parts.append(_text(left, top - 22, "0 s", colours["dim"], 12, SANS))
    parts.append(_text(left + width, top - 22, f"{end:.1f} s", colours["dim"], 12, SANS, "end"))
    title = f"Twenty calls: one by one in {end:.2f} s, together in {demo['together']['seconds']:.2f} s"
    return _svg(760, top - 10, title, parts, colours)


def terminal(lines: Sequence[str], colours: Colours) -> str:
    """Draw what a terminal showed; the lines that were there for a moment are dim."""
    size, high, left, top = 13, 21, 18, 34
    parts = []
    for at, line in enumerate(lines):
        moment = line.startswith("weigh:") or "429" in line
        colour = colours["one"] if "429" in line else colours["dim"] if moment else colours["text"]
        colour = colours["two"] if line.startswith("$") else colour
        parts.append(_text(left, top + at * high, line, colour, size, MONO))
    title = "whilst map: told 429, it waits, finds the pace that the API allows, and all 150 inputs are done"
    return _svg(round(max(map(len, lines)) * 7.83 + 2 * left), top + len(lines) * high - 4, title, parts, colours)


def adaptive(curves: dict[str, Any], colours: Colours) -> str:
    """Draw what the controller gets of two servers, in calls a second, and how much of it is refused."""
    step, parts = curves["step"], []
    rate = [("adaptive", "two", "answered"), ("refused", "one", "refused")]
    parts += _panel(
        curves["rate"], step, 34, "A server that allows 200 calls a second, and answers 429 to more", rate, colours
    )
    queue = [("adaptive", "two", "answered")]
    title = "A server that works on 50 calls at once, then on 100, then on 25"
    parts += _panel(curves["queue"], step, 334, title, queue, colours)
    title = "The adaptive controller in the simulator: calls a second over time, on two servers"
    return _svg(760, 620, title, parts, colours)


def sweep(measured: dict[str, Any], colours: Colours) -> str:
    """Draw what a call costs over how large a run is, a panel a curve, all of the same height a decade."""
    curves = {curve["name"]: curve for curve in measured["curves"]}
    floors = {curve["floor"] for curve in curves.values()}
    shown = [curve for name, curve in curves.items() if name not in floors]
    wide, high = 380, 190
    parts = [_text(16, 28, "µs of CPU a call, as a run grows", colours["text"], 14, SANS, bold=True)]
    parts.append(_text(2 * wide - 16, 28, measured["machine"].split(",")[0], colours["dim"], 12, SANS, "end"))
    for at, curve in enumerate(shown):
        left, top = 16 + wide * (at % 2), 44 + high * (at // 2)
        parts += _curve(curve, curves.get(curve["floor"]), left, top, colours)
    title = "What a call costs as a run grows: " + ", ".join(curve["title"] for curve in shown)
    return _svg(2 * wide, 52 + high * ((len(shown) + 1) // 2), title, parts, colours)


def _curve(curve: dict[str, Any], floor: dict[str, Any] | None, left: float, top: float, colours: Colours) -> list[str]:
    """Draw one, both axes by decades: half a decade up for one to the right is steeper than any of ours may be."""
    sizes = [size for size, _ in curve["points"]]
    first, last = log10(sizes[0]), log10(sizes[-1])
    wide, high, decades = 300.0, 110.0, 3  # from 1 to 1,000 µs

    def x_of(size: float) -> float:
        return left + 44 + wide * (log10(size) - first) / (last - first)

    def y_of(cost: float) -> float:
        return top + 36 + high * (1 - min(decades, max(0.0, log10(cost))) / decades)

    parts = [_text(left, top + 14, curve["title"], colours["text"], 13, SANS, bold=True)]
    for power in range(decades + 1):
        y = y_of(10**power)
        parts.append(f'<path d="M{left + 44} {y:.1f}h{wide}" stroke="{colours["frame"]}" stroke-width="1"/>')
        parts.append(_text(left + 36, y + 4, f"{10**power:,}", colours["dim"], 11, SANS, "end"))
    decade = [size for size in sizes if log10(size).is_integer()]
    parts += [_text(x_of(it), top + high + 54, _short(it), colours["dim"], 11, SANS, "middle") for it in decade]
    for it, colour, dashes in ((floor, "dim", ' stroke-dasharray="5 4"'), (curve, "two", "")):
        if it is not None:
            line = " ".join(f"{x_of(size):.1f},{y_of(cost):.1f}" for size, cost in it["points"])
            how = f'fill="none" stroke="{colours[colour]}" stroke-width="2"{dashes}'
            parts.append(f'<polyline points="{line}" {how}/>')
    for size, cost in curve["points"]:
        parts.append(f'<circle cx="{x_of(size):.1f}" cy="{y_of(cost):.1f}" r="3" fill="{colours["two"]}"/>')
    for size, cost in (curve["points"][0], curve["points"][-1]):
        anchor = "start" if size == sizes[0] else "end"
        parts.append(_text(x_of(size), y_of(cost) - 8, f"{cost:,.3g}", colours["text"], 11, SANS, anchor))
    if floor is not None:
        parts.append(_text(left + 44 + wide, top + 14, f"- - {floor['title']}", colours["dim"], 12, SANS, "end"))
    return parts


def _short(size: int) -> str:
    return f"{size // 1_000_000}M" if size >= 1_000_000 else f"{size // 1_000}k" if size >= 1_000 else str(size)


def _panel(
    curve: dict[str, Any], step: float, top: int, title: str, lines: Sequence[tuple[str, str, str]], colours: Colours
) -> list[str]:
    left, width, high = 56, 688, 190
    until = step * len(curve["adaptive"])
    most = 1.15 * max(max(curve[name]) for name, *_ in lines)

    def x_of(second: float) -> float:
        return left + width * second / until

    def y_of(value: float) -> float:
        return top + 40 + high * (1 - value / most)

    parts = [_text(16, top, title, colours["text"], 14, SANS, bold=True)]
    gap = 100 if most < 500 else 250
    for value in range(0, int(most), gap):
        parts.append(f'<path d="M{left} {y_of(value):.1f}h{width}" stroke="{colours["frame"]}" stroke-width="1"/>')
        parts.append(_text(left - 8, y_of(value) + 4, f"{value}/s", colours["dim"], 12, SANS, "end"))
    seconds = range(0, round(until) + 1, 5 if until <= 20 else 10)
    parts += [_text(x_of(it), top + high + 60, f"{it} s", colours["dim"], 12, SANS, "middle") for it in seconds]
    ends = [*(began for began, _ in curve["allowed"][1:]), until]
    for (began, value), end in zip(curve["allowed"], ends, strict=True):
        line = f"M{x_of(began):.1f} {y_of(value):.1f}H{x_of(end):.1f}"
        parts.append(f'<path d="{line}" stroke="{colours["text"]}" stroke-dasharray="5 4"/>')
    at = 16
    for name, colour, said in [*lines, ("", "text", "- - allowed")]:
        parts.append(_text(at, top + 22, said, colours[colour], 12, SANS, bold=bool(name)))
        at += 7 * len(said) + 24
        if name:
            middles = ((x_of((at + 0.5) * step), y_of(value)) for at, value in enumerate(curve[name]))
            points = " ".join(f"{x:.1f},{y:.1f}" for x, y in middles)
            parts.append(f'<polyline points="{points}" fill="none" stroke="{colours[colour]}" stroke-width="2"/>')
    return parts


def _text(
    x: float, y: float, text: str, colour: str, size: int, font: str, anchor: str = "", bold: bool = False
) -> str:
    more = (f' text-anchor="{anchor}"' if anchor else "") + (' font-weight="600"' if bold else "")
    style = f'font-family="{font}" font-size="{size}" fill="{colour}"{more} xml:space="preserve"'
    return f'<text x="{x:.1f}" y="{y:.1f}" {style}>{escape(text, quote=False)}</text>'


def _bar(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height}" rx="1.5" fill="{colour}"/>'


def _svg(width: int, height: int, title: str, parts: Sequence[str], colours: Colours) -> str:
    size = f'width="{width}" height="{height}" viewBox="0 0 {width} {height}"'
    back = f'fill="{colours["back"]}" stroke="{colours["frame"]}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img">\n<title>{escape(title, quote=False)}</title>'
    frame = f'<rect x=".5" y=".5" width="{width - 1}" height="{height - 1}" rx="8" {back}/>'
    return "\n".join([head, frame, *parts, "</svg>"]) + "\n"


if __name__ == "__main__":
    for file, text in pictures(recorded()).items():
        (HERE / file).write_text(text, encoding="utf-8")
