"""What does the doctor find? An `Advice` about one place of the program."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ..core.advice import Advice

LONGEST = 45  # columns that a file's name may take

Kind = Literal["held the loop", "could overlap"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding(Advice):
    """A line that held the event loop, or a place that waits for one call after the other.

    Attributes:
        kind: "held the loop", or "could overlap".
        file: its file, as the program knows it.
        line: the number of the line.
        function: the function that the line is in.
        call: the call of that line, as it is written, and what it did.
        calls: how many times; at least so many times, if the waits are too short to count exactly.
        seconds: how long, all together.
        longest: how long the longest of them took, in seconds.

    `gain` says how many times as fast the calls become together. `change` has `file`, `line`, `new` (the better line)
    and `edits` (what an editor has to replace).
    """

    kind: Kind
    file: str
    line: int
    function: str
    call: str
    calls: int
    seconds: float
    longest: float

    def to_dict(self) -> dict[str, Any]:
        """Return the finding as `--json` prints it."""
        return asdict(self)

    def __str__(self) -> str:
        from .report import described

        return "\n".join(described(self))


def shown(file: str) -> str:
    """Return a file's name as short as it can be opened by from here."""
    if file.startswith("<"):
        return file
    try:
        relative = os.path.relpath(file)
    except (OSError, ValueError):
        return file
    if not relative.startswith(".."):
        return relative
    return file if len(file) <= LONGEST else f"…{os.sep}{os.sep.join(file.split(os.sep)[-2:])}"


def seconds_text(seconds: float) -> str:
    """Return a time with as much of it as matters.

    >>> seconds_text(0.0213), seconds_text(0.31), seconds_text(75)
    ('21 ms', '0.31 s', '75 s')
    """
    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"
    return f"{seconds:.2f} s" if seconds < 10 else f"{seconds:.0f} s"
