"""How many outcomes does a journal have, of which kinds, with one example of each?"""

from __future__ import annotations

from collections import Counter

import msgspec

from .failure import Failure
from .tagged import natural

MOST_EXAMPLES = 50  # kinds with an example: kinds are few, unless something names them by the input
LONGEST = 500  # characters of an example


class Example(msgspec.Struct, frozen=True):
    """One failure of a kind: its input as JSON, and its message."""

    input: str
    message: str


class Kind(msgspec.Struct, frozen=True):
    """The failures of one kind."""

    count: int
    example: Example | None = None


class Tally:
    """The counts of a journal, over all its runs; kept on the loop's thread, read by the writer's."""

    def __init__(self, done: int, failed: dict[int, str]) -> None:
        self.done = done
        """How many inputs have a value."""
        self.added = 0
        """Outcomes of this run."""
        self.failures = failed
        """The kinds of the failures that no success came after, by key."""
        self._kinds: Counter[str] = Counter(failed.values())
        self._examples: dict[str, Example] = {}

    def fail(self, key: int, input: bytes, failure: Failure) -> None:
        """Count a failure."""
        self.no_failure_any_more(key)
        self.failures[key] = failure.kind
        self._kinds[failure.kind] += 1
        self.show(input, failure)

    def no_failure_any_more(self, key: int) -> None:
        """Take an input off that has failed before, if it has."""
        kind = self.failures.pop(key, None)
        if kind is not None:
            self._kinds[kind] -= 1

    def show(self, input: bytes, failure: Failure) -> None:
        """Take an example, if its kind has none."""
        if failure.kind not in self._examples and len(self._examples) < MOST_EXAMPLES:
            text = natural(input[: 10 * LONGEST] if len(input) > 10 * LONGEST else input).decode("utf-8", "replace")
            self._examples[failure.kind] = Example(text[:LONGEST], failure.message[:LONGEST])

    @property
    def failed(self) -> int:
        """How many inputs have failed, and not succeeded since."""
        return len(self.failures)

    def kinds(self) -> dict[str, Kind]:
        """Return the failures by kind, the most frequent first."""
        counts = Counter(dict(list(self._kinds.items())))
        return {kind: Kind(count, self._examples.get(kind)) for kind, count in counts.most_common() if count > 0}
