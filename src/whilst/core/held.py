"""Who is held up, until when and why? In words, for the line and the summary of a run."""

from __future__ import annotations

from collections.abc import Hashable, Iterable

from .secrets import without_secrets

DOWN = "fewer than one in ten calls went well"
MOST_NAMED = 3
MOST_TEXT = 60  # characters of a key, and of a reason


class Held:
    """The pauses of one run's keys; "" names all calls of a run that has no keys.

    >>> held = Held()
    >>> held.pause("a.example", 130.0, "429 Too Many Requests")
    >>> held.words(118.0)
    ('a.example paused for 12 s (429 Too Many Requests)',)
    """

    __slots__ = ("_pauses", "broken", "stopped")

    def __init__(self) -> None:
        self.stopped: tuple[str, ...] = ()
        """What the program itself has paused, in words."""
        self.broken: dict[str, None] = {}
        """Which keys a breaker has paused."""
        self._pauses: dict[str, tuple[float, str]] = {}

    def pause(self, name: str, until: float, why: str) -> None:
        """Take note that calls of a key wait; the longest of several pauses is told of."""
        if name not in self._pauses or self._pauses[name][0] <= until:
            self._pauses[name] = (until, why)
        if why is DOWN:
            self.broken[name] = None

    def until(self, name: str) -> float:
        """Return when the last pause of a key ends; 0.0 if there was none."""
        return self._pauses.get(name, (0.0, ""))[0]

    def words(self, now: float) -> tuple[str, ...]:
        """Say who waits now, those first that wait longest, and forget pauses that are over. From any thread."""
        pauses = sorted(self._pauses.items(), key=lambda it: -it[1][0])
        for name, (until, _) in pauses:
            if until <= now:
                self._pauses.pop(name, None)
        left = [(name, until - now, why) for name, (until, why) in pauses if until > now]
        said = [f"{name} paused for {wait:,.0f} s ({_cut(why)})".lstrip() for name, wait, why in left[:MOST_NAMED]]
        return (
            *self.stopped,
            *said,
            *([f"{len(left) - MOST_NAMED:,} more keys paused"] if len(left) > MOST_NAMED else []),
        )


def name_of(keys: Iterable[Hashable | None]) -> str:
    """Return how the keys of an input are named, without secrets; None has no name.

    >>> name_of([None, "api.example"]), name_of([None])
    ('api.example', '')
    """
    return ", ".join(_cut(str(key)) for key in keys if key is not None)


def _cut(text: str) -> str:
    line = " ".join(without_secrets(text[: 4 * MOST_TEXT]).split())
    return line if len(line) <= MOST_TEXT else f"{line[: MOST_TEXT - 1]}…"
