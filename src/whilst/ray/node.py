"""What a node does: makes many calls at once, of either colour, and gives answers to whoever asks for them.

It is an asynchronous Ray actor, with the lanes of this library in it: async functions are awaited on its loop, blocking
ones get threads, so that none holds up another. What has not begun waits in a line, from which it can be called back.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import platform
import sys
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import Context
from functools import partial
from math import inf
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from ..core.call import Call, Elsewhere
from ..core.colour import is_async
from ..core.outcome import Record
from ..core.timings import Timings
from ..lanes import here
from ..lanes.calling import current
from ..lanes.loop import LoopLanes, call_here
from ..lanes.pool import call_of_thread
from ..lanes.port import Lanes, Port
from ..lanes.results import tell
from ..lanes.threads import ThreadLanes
from ..processes.calls import asks_to_wait, made
from ..processes.preparing import Preparation, set_filters, set_variables
from ..remote.codec import PLAIN, PROTOCOL, Target, loads, unsendable_value
from ..remote.failures import encoded_failure
from ..remote.transport import ENDS, HOME, LEFT
from .cluster import version
from .codec import dumps

if TYPE_CHECKING:
    from ..core.headers import Left

BEAT: Final = 0.5  # seconds after which a question for answers is answered with nothing: a sign of life
GATHER: Final = 0.002  # seconds that an answer waits for others, while calls are made: to send one costs half of that
ENOUGH: Final = 512  # answers that go at once
LOOK: Final = 0.5  # seconds until it is looked again whether a call that was cancelled has ended

NOTHING: Final = dumps(())

AS_IT_IS, ENCODED, FAILED = 0, 1, 2  # values of plain types need no encoding of their own


class Sent:
    """An input on its way through a node."""

    __slots__ = ("attempt", "identity", "kind", "place", "serial", "target", "value")

    def __init__(
        self, place: int, serial: int, target: int, kind: int, value: Any, attempt: int = 1, identity: Any = None
    ) -> None:
        self.place: int = place
        self.serial: int = serial  # tells two attempts of one input apart, where an answer is late
        self.target: int = target
        self.kind: int = kind
        self.value: Any = value
        self.attempt: int = attempt
        self.identity: Any = identity


class Answers(NamedTuple):
    """What a node has to say."""

    number: int
    """From 1 on: answers may arrive in any order, and what a call has said comes before what became of it."""
    now: float
    """By its clock."""
    told: list[tuple[int, int, int, Any, float, float]]
    """What became of inputs: place, serial, kind, value or failure, start by the node's clock, seconds that it took."""
    back: list[tuple[int, int]]
    """Place and serial of inputs that are handed back: they were not begun."""
    is_all: bool
    """Whether these are what was called back; there may be none."""
    said: list[Said]
    """What calls said in their middle, and which of those are over that nobody waits for: see `transport.Client.said`.

    Of what was taken exactly one thing is told: what became of it, that it is handed back, or that it is over.
    """


Said = tuple[int, int, str, bytes]
"""Place and serial of the input, a word, what belongs to that."""


class Node:
    """Makes calls; every method is called by the run that it is of.

    Ray begins the calls of an asynchronous actor in any order. So what the run tells is numbered, from 1 on, and each
    waits for those before it: a batch for the function that it needs, the end of a call for the batch that it is in.

    Args:
        told: a description of the program, see `processes.preparing`; its paths are this node's own.
        width: how many calls at once.
        age: how old the run is, in seconds.
    """

    def __init__(self, told: bytes, width: int, age: float) -> None:
        given = Preparation(*loads(told))
        sys.path += [each for each in given.path if each and each not in sys.path and os.path.isdir(each)]
        self.started: float = monotonic() - age
        self.run: bytes = given.run
        self.name: str = given.name
        self.width: int = width
        self.context: Context = Context()
        self.context.run(set_variables, given.variables)
        self._filters = given.filters
        here.worker_of, here.is_making = given.name, _current
        self._targets: dict[int, tuple[str, Callable[[Any], Any], bool]] = {}
        self._made_by: dict[bool, _Made] = {}  # by whether they are awaited
        self._told: list[tuple[int, int, int, Any, float, float]] = []
        self._back: list[tuple[int, int]] = []
        self._said: deque[Said] = deque()  # appended to by any thread
        self._answers = 0  # that were given
        self._is_called_back = False
        self._turn = 1  # the number of what is to be done next
        self._early: dict[int, asyncio.Future[None]] = {}
        self._something = asyncio.Event()
        self._at_end: list[Callable[[], None]] = []

    async def ready(self) -> tuple[str, str]:
        """Return the versions of Python and of this library."""
        self.loop: asyncio.AbstractEventLoop = asyncio.get_running_loop()
        return platform.python_version(), version()

    async def work(self, number: int, batch: bytes) -> None:
        """Take inputs, and functions that these are for."""
        async with self._in_turn(number):
            self._take(*pickle.loads(batch))

    def _take(self, targets: list[tuple[int, bytes]], inputs: list[tuple[Any, ...]]) -> None:
        for place, encoded in targets:
            target = Target(*loads(encoded))
            awaits = is_async(target.fn)
            self._targets[place] = *made(target, self._at_end, self._step), awaits
            if awaits not in self._made_by:
                self._made_by[awaits] = _Made(self, is_awaited=awaits)
        if targets:
            set_filters(self._filters)
        found = [Sent(*one) for one in inputs]
        if len(self._made_by) == 1:
            next(iter(self._made_by.values())).take(found)
            return
        for awaits, its in self._made_by.items():
            its.take([sent for sent in found if self._targets[sent.target][2] is awaits])

    async def answers(self) -> bytes:
        """Return what there is to say as soon as there is something, at the latest after `BEAT` seconds."""
        event = self._something
        if not event.is_set():
            try:
                async with asyncio.timeout(BEAT):
                    await event.wait()
            except TimeoutError:
                pass
        if event.is_set() and len(self._told) < ENOUGH and any(its.out for its in self._made_by.values()):
            await asyncio.sleep(GATHER)
        event.clear()
        self._answers += 1
        told, self._told, back, self._back = self._told, [], self._back, []
        is_all, self._is_called_back = self._is_called_back, False
        said = [
            self._said.popleft() for _ in range(len(self._said))
        ]  # last: what a call said comes with its end or before
        return pickle.dumps((self._answers, monotonic(), told, back, is_all, said), PROTOCOL)

    async def call_back(self, number: int) -> None:
        """Hand back everything that has not begun."""
        async with self._in_turn(number):
            self.hand_back()
            self._is_called_back = True
            self.speak()

    async def end(self, number: int, places: list[int]) -> None:
        """End calls that nobody waits for; a blocking one cannot be, and goes on: it is told when it comes home."""
        async with self._in_turn(number):
            for its in self._made_by.values():
                its.end(places)

    async def close(self, number: int) -> None:
        """Close what was opened here."""
        async with self._in_turn(number):
            pass
        for its in self._made_by.values():
            its.lanes.close()
            await its.lanes.gone()
        for close in reversed(self._at_end):
            try:
                await asyncio.to_thread(close)
            except Exception:  # said by a warning of its own where it matters
                pass

    @asynccontextmanager
    async def _in_turn(self, number: int) -> AsyncGenerator[None, None]:
        if number != self._turn:
            early = self._early[number] = self.loop.create_future()
            await early
        try:
            yield
        finally:
            self._turn += 1
            if (following := self._early.pop(self._turn, None)) is not None:
                following.set_result(None)

    # -- what the calls here ask for --------------------------------------------------------------------------

    def caller(self) -> Callable[[Sent], Any]:
        """Return what calls the function of an input; where that is async, it returns what is to be awaited."""
        targets = self._targets

        def call(sent: Sent) -> Any:
            return targets[sent.target][1](sent.value if sent.kind == AS_IT_IS else loads(sent.value))

        call.__qualname__ = self.name  # for messages
        return call

    def became(self, sent: Sent, value: Any, error: BaseException | None, started: float, took: float) -> None:
        """Take note of what became of an input."""
        kind = AS_IT_IS
        if error is not None:
            kind, value = FAILED, encoded_failure(error, dumps)
            if asks_to_wait(error):
                self.hand_back()
        elif type(value) not in PLAIN:
            try:
                kind, value = ENCODED, dumps(value)
            except Exception as odd:  # what a class of the user's does when it is pickled is anything
                name = self._targets[sent.target][0]
                kind, value = FAILED, encoded_failure(unsendable_value(name, value, odd), dumps)
        self._told.append((sent.place, sent.serial, kind, value, started, took))
        self._something.set()

    def hand_back(self) -> None:
        """Give back what has not begun; somebody else has to say so."""
        for its in self._made_by.values():
            self._back += its.not_begun()

    def say(self, sent: Sent | None, what: str, *more: Any) -> None:
        """Tell the run something; from any thread."""
        place, serial = (-1, -1) if sent is None else (sent.place, sent.serial)
        self._said.append((place, serial, what, dumps(more)))
        self.speak()

    def home(self, place: int) -> None:
        """Say that a call is over that nobody waits for; from any thread."""
        self._said.append((place, -1, HOME, NOTHING))
        self.speak()

    def speak(self) -> None:
        """Have who waits for answers look whether there are any; from any thread."""
        tell(self.loop, self._something.set)

    def _step(self, told: Any) -> None:
        """Have what is called next know that it is the call of a step."""
        if told is not None:
            current.set(Call._of_told(told, partial(self.say, _sent_here())))


class _Made(Port):
    """The calls of one colour, as the lanes here see them; see `lanes.port.Port`."""

    names_calls: bool = True
    ends_at: float = inf
    is_told_apart: bool = True

    def __init__(self, node: Node, *, is_awaited: bool) -> None:
        self._node = node
        self.loop: asyncio.AbstractEventLoop = node.loop
        self.clock: Callable[[], float] = monotonic
        self.context: Context = node.context
        self.queue: deque[tuple[int, Sent]] = deque()
        self.timings: Timings = Timings()  # of which nobody asks: the run has its own
        self.started: float = node.started
        self.out: dict[int, Sent] = {}
        """What was taken, and is wanted still."""
        self._ending: set[int] = set()  # in this moment
        self._stays = -1  # the call that lanes have just given up, although it goes on
        self.lanes: Lanes = (
            LoopLanes(self, node.caller(), node.width, name=node.name)
            if is_awaited
            else ThreadLanes(self, node.caller(), node.width, inf, name=node.name)
        )

    def take(self, inputs: list[Sent]) -> None:
        """Have calls made."""
        if inputs:
            self.out.update((sent.place, sent) for sent in inputs)
            self.queue.extend([(sent.place, sent) for sent in inputs])
            self.lanes.wake()

    def not_begun(self) -> list[tuple[int, int]]:
        """Take back what no lane has taken."""
        found: list[tuple[int, int]] = []
        while self.queue:
            try:
                place, sent = self.queue.popleft()
            except IndexError:  # a thread was quicker
                break
            if self.out.get(place) is sent:
                del self.out[place]
                found.append((place, sent.serial))
        return found

    def end(self, places: Sequence[int]) -> None:
        """End those of these calls that are made here, and that are not over."""
        for place in places:
            if (sent := self.out.pop(place, None)) is None:
                continue
            try:
                self.queue.remove((place, sent))
            except ValueError:
                self._ending.add(place)
            else:
                self._node.home(place)
        if self._ending:
            self._sweep()
            self._ending.clear()

    def _sweep(self) -> None:
        now = monotonic()
        earliest = self.lanes.sweep(now)
        if earliest < inf:  # a call that is cancelled may ignore that
            self.loop.call_later(max(LOOK, earliest - now), self._sweep)

    # -- what lanes call --------------------------------------------------------------------------------------

    def emit(self, record: Record, /) -> None:
        """Send what became of an input, if somebody waits for that."""
        place, item, value, error, started, took, _ = record
        sent: Sent = item
        if self.out.get(place) is sent:
            del self.out[place]
            self._node.became(sent, value, error, started, took)
        elif self._stays == place:
            self._stays = -1
        else:
            self.returned_late(place)

    def due(self, index: int, started: float) -> float:
        """Return when a call is to be ended."""
        return -inf if index in self._ending else inf

    def overdue(self, index: int, started: float) -> TimeoutError:
        """Return what nobody will see."""
        return TimeoutError()

    def abandon(self, index: int) -> None:
        """Take note that a call cannot be ended: what is emitted next is the outcome that it has not."""
        self._stays = index

    def returned_late(self, index: int) -> None:
        """Say that it is over; on any thread."""
        self._node.home(index)

    def allow(self, item: Any, left: Left) -> None:
        """Have the run slow down for all."""
        self._node.say(item, LEFT, *left)

    def told_apart(self, index: int) -> tuple[int, tuple[Any, ...]]:
        """Return which attempt a call is, and of what."""
        sent = self.out.get(index)
        return (1, (index,)) if sent is None else (sent.attempt, sent.identity or (index,))

    def run_id(self) -> bytes:
        """Return what tells the run from others."""
        return self._node.run

    def correct(self, call: tuple[int, int], cost: float) -> bool | None:
        """Have the run count what a call cost; it alone knows whether there is anything to count that."""
        index, attempt = call
        sent = self.out.get(index)
        return None if sent is None or sent.attempt != attempt else self._run_of(sent).correct(call, cost)

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Have the run take one more input; an attempt that nobody waits for adds nothing."""
        sent = self.out.get(index)
        if sent is not None and sent.attempt == by:
            self._run_of(sent).add_later(index, by, item, key)

    def _run_of(self, sent: Sent) -> Elsewhere:
        return Elsewhere(self._node.run, partial(self._node.say, sent))

    def call_of(self, index: int) -> Call | None:
        """Return nothing: what is made here asks here."""
        return None

    def unmade(self, pairs: Sequence[tuple[int, Any]]) -> None:
        """Make them after all, before the others."""
        self.queue.extendleft(reversed(pairs))

    def dropped(self, index: int) -> None:
        """Say that a call is over that nobody waits for."""
        self.returned_late(index)

    def fatal(self, error: BaseException) -> None:
        """Have the run end."""
        self._node.say(None, ENDS, encoded_failure(error, dumps))

    def give_up(self, error: Exception) -> None:
        """Have the run end."""
        self.fatal(error)


def _sent_here() -> Sent | None:
    """Return the input whose call this task or thread makes."""
    return None if (found := _made_here()) is None else found[0].out.get(found[1])


def _current() -> Call | None:
    """Return the call that is made here, for `current_call`."""
    if (found := _made_here()) is None:
        return None
    port, place, started = found
    attempt, identity = port.told_apart(place)
    return Call(port, place, "", attempt, started - port.started, identity)


def _made_here() -> tuple[_Made, int, float] | None:
    """Return by whom, of what and since when a call is made on this task or thread."""
    found = call_here() or call_of_thread()
    return None if found is None or not isinstance(found[0], _Made) else (found[0], found[1], found[2])
