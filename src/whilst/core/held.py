"""Who is held up, until when and why, in words; and for how long did all stand still, so that it does not count?"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from math import inf

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


def key_name(keys: Iterable[Hashable | None]) -> str:
    """Return how the keys of an input are named, without secrets; None has no name.

    >>> key_name([None, "api.example"]), key_name([None])
    ('api.example', '')
    """
    return ", ".join(_cut(str(key)) for key in keys if key is not None)


def _cut(text: str) -> str:
    line = " ".join(without_secrets(text[: 4 * MOST_TEXT]).split())
    return line if len(line) <= MOST_TEXT else f"{line[: MOST_TEXT - 1]}…"


class Still:
    """The pauses of one run by hand, on the run's clock; several may hold it at once.

    >>> still = Still()
    >>> still.mark("limit.pause()", 10.0, on=True)
    >>> still.mark("limit.pause()", 14.0, on=False)
    >>> still.within(8.0, 13.0), still.within(8.0, 20.0), still.within(12.0, 20.0)
    (3.0, 4.0, 2.0)
    """

    __slots__ = ("_since", "_spans", "_who")

    def __init__(self) -> None:
        self._who: set[object] = set()
        self._since = inf
        self._spans: list[tuple[float, float]] = []

    def mark(self, who: object, now: float, *, on: bool) -> None:
        """Take note that somebody holds it, or does not any more."""
        if on:
            if not self._who:
                self._since = now
            self._who.add(who)
        elif who in self._who:
            self._who.remove(who)
            if not self._who:
                self._spans.append((self._since, now))
                self._since = inf

    @property
    def now(self) -> bool:
        """Whether it stands still."""
        return bool(self._who)

    def within(self, since: float, now: float) -> float:
        """Return for how many seconds it stood still between two moments."""
        stood = max(0.0, now - max(since, self._since))
        for began, ended in self._spans:
            stood += max(0.0, min(ended, now) - max(began, since))
        return stood
