"""What does the page draw its calls from? Columns in the order of the starts, zipped, as text.

From one start to the next, how long, what became of it, and how far the index is from the rank: what is usual is a
small number, so that a call takes two to three bytes. In which lane a call is drawn the page finds out by itself.
"""

from __future__ import annotations

import zlib
from array import array
from base64 import b64encode
from collections.abc import Callable, Sequence
from itertools import chain, repeat
from operator import itemgetter, mul, sub
from typing import Any, Final

from ..core.secrets import bounded
from .chunks import byte_planes, tick_of, zigzag
from .recorded import Recorded
from .spans import Spans
from .words import visible

LEVEL: Final = 6
FINE, COARSE = 120.0, 80.0  # ticks of the usual call; a screen shows no more of many
MANY: Final = 100_000  # calls from which on they are coarse
MOST_STEPS: Final = 200  # of a flow, whose calls are drawn
MOST_ATTEMPTS: Final = 5_000  # calls whose number of attempts is told


def columns(spans: Spans, steps: bytes = b"") -> tuple[dict[str, Any], str]:
    """Return what describes the columns, and the columns themselves as text; `steps` has the step of each call."""
    order = spans.in_order()
    picked = _picking(order)
    pick, lengths = picked(spans.started), picked(spans.took)
    tick = tick_of(lengths, FINE if len(order) <= MANY else COARSE)
    per = repeat(1.0 / tick)
    starts = array("q", map(max, map(int, map(mul, pick, per)), repeat(0)))
    index = picked(spans.index)
    parts = [
        byte_planes(array("q", map(sub, starts, chain((0,), starts)))),
        byte_planes(array("q", map(max, map(round, map(mul, lengths, per)), repeat(0)))),
        [bytes(picked(spans.status))],
        byte_planes(zigzag(map(sub, index, range(len(index))))),
    ]
    if spans.sampled:
        parts.append([bytes([spans.weight[row].bit_length() - 1 for row in order])])
    elif steps:
        parts.append([])
    if steps:
        parts.append([bytes(picked(steps))])
    said: dict[str, Any] = {"n": len(order), "tick": tick, "planes": [len(part) for part in parts]}
    if spans.attempts and len(spans.attempts) <= MOST_ATTEMPTS:
        said["attempts"] = [[rank, spans.attempts[row]] for rank, row in enumerate(order) if row in spans.attempts]
    return said, text_of(b"".join(chain.from_iterable(parts)))


def steps_of(recorded: Recorded) -> tuple[dict[str, Any], str] | None:
    """Return the same of the calls of steps, and which steps there are; None where there are none."""
    paths = sorted(recorded.steps)[:MOST_STEPS]
    if not any(recorded.steps[path] for path in paths):
        return None
    whole, numbers = Spans(), bytearray()
    for number, path in enumerate(paths):
        spans = recorded.steps[path]
        whole.join(spans)
        numbers += bytes([number]) * len(spans)
    said, text = columns(whole, bytes(numbers))
    said["paths"] = [{"path": visible(bounded(path, 160)), "items": ".each" in path} for path in paths]
    return said, text


def _picking(order: Sequence[int]) -> Callable[[Sequence[Any] | bytearray], Sequence[Any]]:
    """Return what picks the rows of a column in this order, all of them in one step."""
    many: Any = itemgetter(*order) if len(order) > 1 else tuple
    picked: Callable[[Any], Sequence[Any]] = many
    return picked


def text_of(data: bytes) -> str:
    """Return bytes as text that a page can hold, zipped."""
    return b64encode(zlib.compress(data, LEVEL)).decode()
