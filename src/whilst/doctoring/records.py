"""What was seen, as plain data: written by the thread that looks, read when the program is over, by whoever has it."""

from __future__ import annotations

from dataclasses import dataclass, field

from .places import Place


@dataclass(slots=True, eq=False)
class Held:
    """A place that held a loop; seconds are those of the loop's own rounds."""

    path: list[Place]  # the user's frames, outermost first; the last one is to blame
    leaf: Place | None  # where it really was, when that is below the user's code
    callee: Place | None = None  # what the user's line has called; as to where, its first line
    count: int = 0
    seconds: float = 0.0
    longest: float = 0.0
    computed: float = 0.0  # seconds on a processor, or queued for one
    locked: float = 0.0  # seconds in which nobody else could have the GIL
    python: float = 0.0  # seconds in which the GIL had to be asked for, which is what Python code at work looks like
    others: int = 0  # tasks of that loop which stood still meanwhile
    names: list[tuple[str, int]] = field(default_factory=list[tuple[str, int]])  # some of them, and their lines
    mapped: bool = False  # it is a function that whilst calls on its lanes
    ours: bool = False  # what it called is whilst's own
    begins: bool = False  # nothing had run of what it called: the time was spent right before
    elsewhere: bool = False  # it is a line of another thread, which kept the GIL
    several: bool = False  # no call of that line had most of it


@dataclass(slots=True, eq=False)
class Waited:
    """A place of the user's that waited: a node of the tree of such places."""

    parent: int  # index of the place that called it, -1 for none
    place: Place
    seconds: float
    crowded: float  # of these, seconds in which three or more waited there at the same time
    calls: int  # how many different calls were seen under it
    runs: int  # how many calls of the function that it is in were seen
    longest: float  # seconds of the longest of them
    package: str  # whose function it called, if that is not the user's
    on_loop: bool


@dataclass(slots=True, eq=False)
class Seen:
    """All of it."""

    seconds: float = 0.0
    threshold: float = 0.05
    loops: int = 0
    rounds: int = 0
    longest: float = 0.0  # round
    looks: int = 0
    unplaced: int = 0  # long rounds in which no look met a line of the user's
    children: bool = False
    ended: bool = False
    held: list[Held] = field(default_factory=list[Held])
    waited: list[Waited] = field(default_factory=list[Waited])
