"""How many outcomes does a journal have, of which kinds, with one example of each?"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

import msgspec

from ..core.secrets import HIDDEN, bounded
from .failure import Failure
from .frame import Batch
from .tagged import natural

MOST_EXAMPLES = 50  # kinds with an example: kinds are few, unless something names them by the input
SPARE = 4  # further failures of a kind that are held, in case that the input of the first one succeeds
LONGEST = 500  # characters of an example


class Example(msgspec.Struct, frozen=True):
    """One failure of a kind: its input as JSON, and its message."""

    input: str
    message: str


class Kind(msgspec.Struct, frozen=True):
    """The failures of one kind."""

    count: int
    example: Example | None = None


class Counts:
    """The counts of a journal, over all its runs; kept by the writer's thread."""

    def __init__(self, done: int, failed: dict[int, str], before: Mapping[str, Kind] | None = None) -> None:
        self.done: int = done
        """How many inputs have a value."""
        self.added: int = 0
        """Outcomes of this run."""
        self.failures = failed
        """The kinds of the failures that no success came after, by key."""
        self._kinds: Counter[str] = Counter(failed.values())
        self._examples: dict[str, list[Example]] = {
            kind: [it.example] for kind, it in (before or {}).items() if it.example is not None
        }

    def take(self, batch: Batch) -> None:
        """Count outcomes."""
        self.added += len(batch.keys)
        if self.failures:
            again = self.failures.keys() & set(batch.keys)
            for key, text in zip(batch.keys, batch.inputs, strict=True) if again else ():
                if key in again and (kind := self.failures.pop(key, None)) is not None:
                    self._kinds[kind] -= 1
                    self._forget(kind, text)
        failed = 0
        if Failure in set(map(type, batch.values)):
            for key, text, value in zip(batch.keys, batch.inputs, batch.values, strict=True):
                if type(value) is Failure:
                    failed += 1
                    self.failures[key] = value.kind
                    self._kinds[value.kind] += 1
                    self.show(text, value)
        self.done += len(batch.keys) - failed

    def show(self, input: bytes, failure: Failure) -> None:
        """Take an example, if its kind has too few."""
        held = self._examples.get(failure.kind)
        if held is None and len(self._examples) < MOST_EXAMPLES:
            held = self._examples[failure.kind] = []
        if held is not None and len(held) <= SPARE:
            held.append(Example(bounded(_text(input), LONGEST), bounded(failure.message, LONGEST)))

    def _forget(self, kind: str, input: bytes) -> None:
        """Have an input be no example any more: there is another outcome of it."""
        if held := self._examples.get(kind):
            text = _text(input)
            # What stands before the first secret is as it was, and tells most inputs apart in no time.
            if any(text.startswith(it.input.partition(HIDDEN)[0]) for it in held):
                shown = bounded(text, LONGEST)
                held[:] = [it for it in held if it.input != shown]

    @property
    def failed(self) -> int:
        """How many inputs have failed, and not succeeded since."""
        return len(self.failures)

    def kinds(self) -> dict[str, Kind]:
        """Return the failures by kind, the most frequent first."""
        counts = self._kinds.most_common()
        return {
            kind: Kind(count, next(iter(self._examples.get(kind, ())), None)) for kind, count in counts if count > 0
        }


def _text(input: bytes) -> str:
    """Return an input as JSON, or the beginning of a long one."""
    text = natural(input) if len(input) <= 10 * LONGEST else input[: 2 * LONGEST]
    return text.decode("utf-8", "replace")
