"""What is advice? A sentence, what it rests on, under which condition it holds, and what it is worth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Advice:
    """One piece of advice: what could be faster, the evidence, and what to change.

    Attributes:
        text: what was found, in one sentence.
        evidence: what was measured.
        condition: what must be true for the change to help; only you can know it. Empty if there is none.
        gain: how many times as fast it becomes (2.0: half the time); None if not known.
        change: what to write instead; None if there is nothing to write.
    """

    text: str
    evidence: str = ""
    condition: str = ""
    gain: float | None = None
    change: dict[str, Any] | None = None
