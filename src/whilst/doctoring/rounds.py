"""Which line held a loop? Adds up what was seen in a round, decides who is to blame, and keeps one record a place."""

from __future__ import annotations

from collections.abc import Hashable
from inspect import CO_COROUTINE
from types import CodeType
from typing import NamedTuple

from .places import Place, place
from .pulse import Round
from .records import Held

SHARE = 0.6  # of what was seen of a callback, that a function must have to be gone into
MOST = 0.7  # of a round, that a callback must have had to be given all of it
LOCKED = 0.02  # seconds that a look must be late, with a processor to be had, for a call to have kept the GIL
ASKED = 0.002  # seconds: late by this much, somebody had to be asked for the GIL
USUAL = 0.01  # seconds between two looks, that it takes no thought to put down to what was seen
STACKS = 200  # different stacks that are kept of one callback
PLACES = 300  # records that are kept in all
OPEN = 4  # rounds that were seen and whose end was not heard yet

Position = tuple[CodeType, int, int]  # code, lasti, line


class Sight(NamedTuple):
    """What a stack shows."""

    user: tuple[Position, ...]  # the user's own functions, outermost first
    callee: CodeType | None  # what the innermost of them has called
    leaf: Position | None  # where that has led to
    mapped: bool  # whilst has called the outermost
    ours: bool  # what is called is whilst's
    begins: bool  # nothing has run of what is called there: the time was spent before
    elsewhere: bool  # it is the stack of another thread, which kept the GIL


class Look(NamedTuple):
    """A stack in a round."""

    number: int  # of the round
    step: Hashable  # which callback of it
    counted: bool  # whether that is a count of callbacks
    sight: Sight
    span: float  # seconds since the look before, or since the round began
    computed: float  # of them, on a processor or queued for one
    locked: bool  # one call kept the GIL for all of the span
    asked: bool  # the GIL had to be asked for


class Others(NamedTuple):
    """Tasks that stood still."""

    number: int
    names: list[tuple[str, int]]


class _Spent(NamedTuple):
    """Seconds in which a stack was seen; and of them, with a processor, with the GIL kept, with it asked for."""

    seen: float = 0.0
    computed: float = 0.0
    locked: float = 0.0
    python: float = 0.0

    def plus(self, look: Look, seconds: float) -> _Spent:
        computed = seconds * look.computed / look.span if look.span else 0.0
        locked = seconds if look.locked else 0.0
        python = seconds if look.asked and not look.locked else 0.0
        return _Spent(self.seen + seconds, self.computed + computed, self.locked + locked, self.python + python)


Stacks = dict[Sight, _Spent]


class _Step:
    """One callback of a round, as far as it was seen."""

    def __init__(self) -> None:
        self.seen = 0.0
        self.stacks: Stacks = {}
        self.turns = 0  # how often it was seen to go from one line of its async function to another
        self._line: tuple[CodeType, int] | None = None

    def add(self, look: Look, seconds: float) -> None:
        self.seen += seconds
        key = look.sight
        if key in self.stacks or len(self.stacks) < STACKS:
            self.stacks[key] = self.stacks.get(key, _Spent()).plus(look, seconds)
        line = _line(key.user)
        self.turns += line != self._line
        self._line = line

    def parts(self) -> list[Stacks]:
        """Divide what was seen by the lines of the async function, if it went through them once: they are no loop."""
        found: dict[tuple[CodeType, int], Stacks] = {}
        for sight, spent in self.stacks.items():
            found.setdefault(_line(sight.user), {})[sight] = spent
        return list(found.values()) if self.turns <= len(found) else [self.stacks]


def _line(user: tuple[Position, ...]) -> tuple[CodeType, int]:
    """Return the line of the innermost async function, or of the outermost one."""
    code, _, line = next((each for each in reversed(user) if each[0].co_flags & CO_COROUTINE), user[0])
    return code, line


class _Open:
    """A round that goes on, or has ended without that having been heard."""

    def __init__(self) -> None:
        self.steps: dict[Hashable, _Step] = {}
        self.last: Hashable = None
        self.others: Others | None = None
        self.left_out: float = 0.0  # seconds for which nobody is blamed
        self.unknown = False  # whether that is because nobody knows who it was


class Rounds:
    """The rounds of one loop: what was seen in those that go on, and the places that held it before."""

    def __init__(self, places: dict[tuple[object, ...], Held], threshold: float) -> None:
        self._places = places
        self._threshold = threshold
        self._open: dict[int, _Open] = {}
        self.unplaced: int = 0

    def look(self, look: Look) -> _Open:
        """Take in a stack of the round that goes on."""
        here = self._round(look.number)
        step = here.steps.get(look.step)
        if step is None:
            step = here.steps[look.step] = _Step()
        step.add(look, _sure(look, here.last))
        here.last = look.step
        return here

    def leave_out(self, number: int, seconds: float, *, imported: bool) -> None:
        """Know of a round without blaming anybody for that time: a module was imported, or nobody knows who it was."""
        here = self._round(number)
        here.left_out += seconds
        here.unknown = here.unknown or not imported

    def _round(self, number: int) -> _Open:
        here = self._open.get(number)
        if here is None:
            here = self._open[number] = _Open()
            while len(self._open) > OPEN:
                del self._open[min(self._open)]
        return here

    def ended(self, ended: Round, kept: Sight | None = None) -> None:
        """Settle a round that was long; in which nobody looked, perhaps as another thread kept the GIL."""
        if ended.number not in self._open and kept is not None:
            took = ended.ended - ended.began
            self.look(Look(ended.number, None, False, kept, took, took, locked=True, asked=True))
        if ended.number not in self._open:
            self.unplaced += 1
        else:
            here = self._open.pop(ended.number)
            verdicts = self._verdicts(ended, here)
            self.unplaced += here.unknown and not verdicts
            for found in verdicts:
                merge(self._places, found)

    def going_on(self, now: Round) -> list[Held]:
        """Say what the round that goes on would be if it ended now."""
        here = self._open.get(now.number)
        return self._verdicts(now, here) if here is not None else []

    def _verdicts(self, ended: Round, here: _Open) -> list[Held]:
        took = ended.ended - ended.began - here.left_out
        seen = sum(each.seen for each in here.steps.values())
        found: list[Held] = []
        for step in here.steps.values():
            seconds = took if step.seen >= MOST * max(seen, took / 2) else step.seen
            if seconds >= self._threshold:
                found += self._of_step(here, step, seconds)
        return found

    def _of_step(self, here: _Open, step: _Step, seconds: float) -> list[Held]:
        """Tell of each line that alone is over the threshold; of all together, where none is, or one is nearly all."""
        shares = [(part, sum(spent.seen for spent in part.values()) / max(step.seen, 1e-9)) for part in step.parts()]
        long = [it for it in shares if it[1] * seconds >= self._threshold]
        if not long or (len(long) == 1 and long[0][1] >= MOST):
            return [self._verdict(here, step, long[0][0] if long else step.stacks, seconds)]
        return [self._verdict(here, step, part, seconds * share) for part, share in long]

    def _verdict(self, here: _Open, step: _Step, stacks: Stacks, seconds: float) -> Held:
        user, shown, several = _blamed({sight: spent.seen for sight, spent in stacks.items()})
        spent = _Spent(*map(sum, zip(*stacks.values(), strict=True)))
        scale = seconds / max(spent.seen, 1e-9)
        others = here.others or Others(0, [])
        return Held(
            path=[place(code, lasti) for code, lasti, _ in user],
            callee=place(shown.callee, 0) if shown.callee is not None else None,
            leaf=place(shown.leaf[0], shown.leaf[1]) if shown.leaf is not None else None,
            count=1, seconds=seconds, longest=seconds, computed=scale * spent.computed,
            locked=scale * spent.locked, python=scale * spent.python,
            others=others.number, names=others.names, mapped=shown.mapped, ours=shown.ours,
            begins=shown.begins, elsewhere=shown.elsewhere, several=several,
        )  # fmt: skip


def _sure(look: Look, last: Hashable) -> float:
    """Return the seconds since the last look that a callback is held to account for.

    All of them, if the last look saw it too, or one call kept the GIL; if not, who looked may have waited for a
    processor while others ran, and each of those that may have had their turn gets the same.
    """
    if look.locked or look.step == last:
        return look.span
    if look.counted and isinstance(look.step, int):
        ran = look.step - last if isinstance(last, int) else look.step
        return max(min(look.span, USUAL), look.span / (ran + 1))
    return min(look.span, USUAL)


def merge(places: dict[tuple[object, ...], Held], found: Held) -> None:
    """Add what was found to the record of its place; the least is forgotten when there are too many."""
    key = _identity(found)
    known = places.get(key)
    if known is None:
        if len(places) >= PLACES:
            del places[min(places, key=lambda each: places[each].seconds)]
        places[key] = found
        return
    if found.longest > known.longest:
        known.path, known.leaf, known.callee = found.path, found.leaf, found.callee
        known.begins, known.ours, known.several = found.begins, found.ours, found.several
    known.count += found.count
    known.seconds += found.seconds
    known.longest = max(known.longest, found.longest)
    known.computed += found.computed
    known.locked += found.locked
    known.python += found.python
    if found.others > known.others:
        known.others, known.names = found.others, found.names


def _identity(found: Held) -> tuple[object, ...]:
    return found.elsewhere, *(
        (each.file, each.function, each.line) for each in found.path[-1:] + _innermost_async(found.path)
    )


def _innermost_async(path: list[Place]) -> list[Place]:
    return [each for each in path if each.is_async][-1:]


def _blamed(seen: dict[Sight, float]) -> tuple[tuple[Position, ...], Sight, bool]:
    """Go into functions as long as one has most of the time; then the line that has most of that function's.

    Say whether several calls of that line share its time, so that it is none of them alone.
    """
    here = dict(seen)
    level = 0
    while True:
        shares: dict[CodeType, float] = {}
        for sight, seconds in here.items():
            if len(sight.user) > level:
                shares[sight.user[level][0]] = shares.get(sight.user[level][0], 0.0) + seconds
        if not shares:
            break
        code = max(shares, key=shares.__getitem__)
        if level and shares[code] < SHARE * sum(here.values()):
            break
        here = {it: s for it, s in here.items() if len(it.user) > level and it.user[level][0] is code}
        level += 1
    lines: dict[int, float] = {}
    for sight, seconds in here.items():
        lines[sight.user[level - 1][2]] = lines.get(sight.user[level - 1][2], 0.0) + seconds
    line = max(lines, key=lines.__getitem__)
    on_line = {it: seconds for it, seconds in here.items() if it.user[level - 1][2] == line}
    sight = max(on_line, key=on_line.__getitem__)
    calls: dict[int, float] = {}
    for it, seconds in on_line.items():
        calls[it.user[level - 1][1]] = calls.get(it.user[level - 1][1], 0.0) + seconds
    if len(sight.user) > level:  # several of the user's functions that this line calls
        sight = sight._replace(callee=sight.user[level][0], leaf=sight.user[level])
    return sight.user[:level], sight, max(calls.values()) < MOST * sum(calls.values())
