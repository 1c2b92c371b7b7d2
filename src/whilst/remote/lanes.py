"""The lanes of a run whose calls are made elsewhere: by worker processes, or on other machines.

Here inputs are taken from the queue, sent, and followed until they have an answer. A worker that dies costs the call
that it was making; whatever else was out goes back to the front of the queue, for it was not begun.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from math import inf
from typing import Any, Final

from ..core.headers import Left
from ..core.timings import EACH, LONG
from ..lanes.awaiting import TWO_MEANINGS
from ..lanes.port import Lanes, Port
from .batch import Pace
from .codec import Encoded, unsendable_input
from .transport import ENDS, HOME, LEFT, UNHEARD, Answer, Transport, Worker

STALLED: Final = 0.01  # seconds without an answer, after which what waits behind a call goes to another worker
STALLED_WIDE: Final = 0.1  # of a worker that makes many calls at once; to ask it takes longer
BYTES: Final = 1 << 18  # of encoded inputs in a batch
RESTARTS: Final = 5  # workers in a row that are ended from outside before they are ready
PATIENCE: Final = 5.0  # seconds that idle workers have to close what they opened
LOOK_EVERY: Final = 0.05  # seconds between looks at how long a worker has computed
HURRY: Final = 0.5  # seconds, when a run ends before its time
SEVERAL: Final = 2

MOST_NAMED = 256  # workers that a summary names
MISSING: Final = object()
PORTION = Callable[[Any], tuple[int, Any]]


class _Station:
    """One worker, and what is out there."""

    __slots__ = (
        "behind", "called_back", "computed", "heard", "knows", "last", "looked", "made", "name", "out", "pace", "ready",
        "refused", "sent", "stalled", "worker",
    )  # fmt: skip

    def __init__(self) -> None:
        self.worker: Worker
        self.out: dict[int, Any] = {}
        """Inputs by their index, in the order in which they were sent."""
        self.pace: Pace = Pace()
        self.ready: bool = False
        self.heard: float = 0.0
        """When the last answer came, or something was sent while nothing was out: the first call that is out began."""
        self.stalled: bool = False
        """Whether it makes a call for so long that nothing shall wait behind it."""
        self.called_back: bool = False
        """Whether it was asked to hand back what it has not begun, and has not answered since."""
        self.knows: int = 0
        """How many targets it was told."""
        self.name: str = ""
        """What the summary calls it."""
        self.made: int = 0
        """How many inputs were sent to it."""
        self.last: bool = False
        """Whether it gets no more, and ends when nothing is out."""
        self.sent: dict[int, float] = {}
        """When what is out was sent, to a worker that makes many calls at once: there each has a time of its own."""
        self.behind: list[int] = []
        """Calls that were given up and go on there."""
        self.computed: float = 0.0
        """For how many seconds it had had or wanted a processor, at the last look."""
        self.looked: float = 0.0
        """When that was."""
        self.refused: dict[int, Exception] = {}
        """Why what a call has said cannot be: that is its failure, whatever it answers."""

    def since(self, index: int) -> float:
        """Return when a call began, as far as it has; a wide worker begins at once, give or take some quick calls."""
        return self.sent.get(index, self.heard)

    def take(self, index: int) -> Any:
        """Return what was out, and is no more."""
        self.sent.pop(index, None)
        return self.out.pop(index)


class RemoteLanes(Lanes):
    """Lanes on workers; see `Lanes` for the contract, and `Client` for what workers call.

    Args:
        port: the run.
        transport: where workers come from.
        most: how many workers there may be.
        name: of the function, for messages.
        targets: the functions that may be called, encoded; it may grow.
        portion: returns which target an input is for, and what that is given; None: the first, and the input.
        recycle: how many calls a worker makes before another takes its place; None: as many as come.
    """

    def __init__(
        self,
        port: Port,
        transport: Transport,
        most: int,
        *,
        name: str,
        targets: list[Encoded],
        portion: PORTION | None = None,
        recycle: int | None = None,
    ) -> None:
        self._port = port
        self._transport = transport
        self.most: int = most
        self._name = name
        self._targets = targets
        self._portion = portion
        self._recycle = recycle
        self.by_worker: dict[str, dict[str, float]] = {}
        """Of each worker that has answered: how many calls it made, the seconds for which these took, and how many of
        them it computed, where that is known."""
        self._stations: dict[Worker, _Station] = {}
        self._leaving: list[Worker] = []  # that get no more, or are dead, and may not be gone yet
        self._lost_early = 0
        self._untimed = 0  # answers since one whose time was told of
        self._feeding = self._closed = False
        self._watching: asyncio.TimerHandle | None = None
        self._hurry = False

    # -- what the driver calls: see `Lanes` ---------------------------------------------------------------------

    @property
    def idle(self) -> bool:
        """Whether a worker would take more, or could be started."""
        return not self._closed and (
            len(self._stations) < self.most or any(map(self._has_room, self._stations.values()))
        )

    @property
    def starting(self) -> int:  # type: ignore[override]
        """How many lanes are not ready yet: of workers that are being started."""
        return sum(station.worker.width for station in self._stations.values() if not station.ready)

    def resize(self, concurrency: int) -> None:
        """Have so many workers at most; those that are too many end when they have nothing to do."""
        self.most = concurrency
        live = [station for station in self._stations.values() if not station.last]
        for station in live[concurrency:]:
            station.last = True
            if station.ready and not station.out:
                self._retire(station)
        self._feed()

    def wake(self) -> None:
        """Send what is in the queue, and start workers if there is more of it than those there are can make."""
        self._feed()

    def sweep(self, now: float) -> float:
        """End the calls that are past their time; their workers die of it."""
        port, earliest = self._port, inf
        for station in list(self._stations.values()):
            for index in list(self._begun(station)):
                began = station.since(index)
                due = port.due(index, began)
                if now < due:
                    earliest = min(earliest, due)
                elif index in station.out and self._end(station, (index,), port.overdue(index, began)):
                    break
        self._feed()
        return earliest

    def expire(self, error: Exception) -> None:
        """End every call in flight, each with an outcome whose error is `error`."""
        for station in list(self._stations.values()):
            self._end(station, list(self._begun(station)), error)

    def drop(self, after: int) -> None:
        """End every call in flight whose input stands behind `after`, without an outcome."""
        for station in list(self._stations.values()):
            self._end(station, [index for index in self._begun(station) if index > after], None)
        self.call_back()

    def call_back(self) -> None:
        """Have everything handed back that was sent and not begun."""
        for station in self._stations.values():
            self._call_back(station)

    def in_calls(self) -> list[tuple[int, float]]:
        """Return index and start of calls in flight; from any thread."""
        return [(index, each.since(index)) for each in tuple(self._stations.values()) for index in self._begun(each)]

    def cancel(self, index: int) -> None:
        """Forget one input that is out: its worker dies if it has begun."""
        for station in self._stations.values():
            if index in station.out:
                if index in self._begun(station):
                    self._end(station, (index,), None)
                else:
                    station.take(index)
                    station.worker.call_back()
                return

    def rest(self) -> None:
        """End the workers that have nothing to do; others are started when they are needed."""
        for station in list(self._stations.values()):
            if station.ready and not station.out:
                self._retire(station)

    @property
    def abandoned(self) -> int:
        """How many calls were given up and go on, until they return or their worker ends."""
        return sum(len(station.behind) for station in self._stations.values())

    def left_behind(self) -> tuple[str, ...]:
        """Say how many these are."""
        count = self.abandoned
        return (f"{count} x {self._name}(), at most until the run ends",) if count else ()

    def close(self) -> None:
        """End every worker: by itself if it has nothing to do, else at once."""
        if self._closed:
            return
        self._closed = True
        if self._watching is not None:
            self._watching.cancel()
        for station in self._stations.values():
            if station.out or not station.ready:
                self._hurry = self._hurry or bool(station.out)
                station.worker.kill()
            else:
                station.worker.close()
            self._leaves(station)
        self._stations.clear()

    async def gone(self) -> None:
        """Return when no worker is left."""
        patience = HURRY if self._hurry else PATIENCE
        if self._leaving:
            await asyncio.gather(*(worker.gone(patience) for worker in self._leaving))
            self._leaving.clear()

    def let_go(self) -> None:
        """Refer to the run no more."""
        del self._port, self._transport, self._targets, self._portion

    # -- what workers call: see `Client` --------------------------------------------------------------------------

    def ready(self, worker: Worker) -> None:
        """Send it something."""
        if (station := self._stations.get(worker)) is not None:
            station.ready = True
            station.looked, station.computed = self._port.clock(), worker.computed() or 0.0
            self._lost_early = 0
            self._feed()
            self._port.turn()

    def unready(self, worker: Worker, error: BaseException, *, again: bool) -> None:
        """End the run, unless another worker may do better."""
        station = self._stations.pop(worker, None)
        if station is None:
            return
        self._leaves(station)
        self._lost_early += 1
        if again and self._lost_early < RESTARTS:
            self._feed()
        else:
            self._port.fatal(error)

    def answered(self, worker: Worker, answers: Sequence[Answer], offset: float) -> bool:
        """Give records of what was answered to the run, and the worker more to do."""
        station = self._stations.get(worker)
        if station is None:
            return False
        if station.sent:
            for answer in answers:
                station.sent.pop(answer[0], None)
        if station.refused:
            answers = [
                (index, None, station.refused.pop(index), started, took) if index in station.refused else answer
                for answer in answers
                for index, *_, started, took in (answer,)
            ]
        port, several = self._port, len(answers) >= SEVERAL
        emit, pop = port.emit, station.out.pop
        if several:
            port.together(True)
        worked, count, untimed, timed = 0.0, 0, self._untimed, port.timings.add
        for index, value, error, started, took in answers:
            item = pop(index, MISSING)
            if item is MISSING:
                continue
            worked += took
            count += 1
            if took >= LONG or untimed >= EACH - 1:
                timed(took, index)
                untimed = 0
            else:
                untimed += 1
            if error is not None and isinstance(error, TWO_MEANINGS):
                error = self._of_its_own(error)
            try:
                emit((index, item, value, error, started + offset, took, 1))
            except Exception as fault:  # of the run itself, which must not hang for it
                port.fatal(fault)
        self._untimed = untimed
        if count:
            self._note(station, count, worked)
            if not self._closed:
                station.heard = port.clock()
                station.stalled = False
                station.pace.learn(worked, count)
                if station.last and not station.out:
                    self._retire(station)
                if len(station.out) <= station.pace.size or port.queue:
                    self._feed()
        if several:
            port.together(False)
        return station.pace.may_wait(len(station.out))

    def _note(self, station: _Station, calls: int, seconds: float) -> None:
        """Take note of what a worker has made; those that came late share one line."""
        if not station.name:
            number = len(self.by_worker) + 1
            station.name = (station.worker.name or f"worker {number}") if number <= MOST_NAMED else "other workers"
        made = self.by_worker.setdefault(station.name, {"calls": 0, "seconds": 0.0})
        made["calls"] += calls
        made["seconds"] += seconds
        now = self._port.clock()
        if now - station.looked >= LOOK_EVERY and (computed := station.worker.computed()) is not None:
            made["computed"] = made.get("computed", 0.0) + computed - station.computed
            station.looked, station.computed = now, computed

    def handed_back(self, worker: Worker, indices: Sequence[int]) -> None:
        """Put inputs before the others again."""
        station = self._stations.get(worker)
        if station is None:
            return
        station.called_back = False
        self._unmade([(index, station.take(index)) for index in indices if index in station.out])
        if station.last and not station.out:
            self._retire(station)
        self._feed()

    def lost(self, worker: Worker, error: Exception, begun: Iterable[int] | None = None) -> None:
        """Fail what the worker was making, or may have made; the rest was not begun."""
        station = self._stations.pop(worker, None)
        if station is None:
            return
        self._leaves(station)
        indices = list(station.out)[:1] if begun is None else list(begun)
        made = [(index, station.since(index), station.take(index)) for index in indices if index in station.out]
        for index, began, item in made:
            self._settle(index, item, error, began)
        self._unmade(list(station.out.items()))
        station.out.clear()
        self._feed()

    def said(self, worker: Worker, index: int, what: str, more: tuple[Any, ...]) -> None:
        """Act on what a call says, or what is said of it."""
        station, port = self._stations.get(worker), self._port
        if station is None:
            return
        if what == ENDS:
            port.fatal(*more)
        elif what == HOME:
            if index in station.behind:
                station.behind.remove(index)
                port.returned_late(index)
        elif index in station.out:
            if what == UNHEARD:
                station.refused[index] = more[0]
            elif what == LEFT:
                port.allow(self._item_of(station.out[index]), Left(*more))
            elif (call := port.call_of(index)) is not None:
                try:
                    call._heard(what, more)
                except Exception as error:  # which the call cannot be told any more
                    station.refused[index] = error

    # -- private, in order of use ---------------------------------------------------------------------------------

    def _feed(self) -> None:
        """Send inputs while there are some and somebody has room for them."""
        if self._feeding or self._closed:
            return
        self._feeding = True
        queue, port = self.queue, self._port
        try:
            while True:
                if not queue:
                    port.refill()
                    if not queue:
                        break
                if (station := self._roomiest()) is None:
                    break
                self._send(station, queue)
            if queue:
                self._start_workers(len(queue))
            self._watch()
        finally:
            self._feeding = False

    @property
    def queue(self) -> deque[tuple[int, Any]]:
        """Inputs that may start."""
        return self._port.queue

    def _roomiest(self) -> _Station | None:
        best, most = None, 0
        for station in self._stations.values():
            if station.ready and not (station.last or (station.stalled and station.out)):
                room = station.pace.room - len(station.out)
                if room > most and (room >= station.pace.size or not station.out):
                    best, most = station, room
        return best

    def _send(self, station: _Station, queue: deque[tuple[int, Any]]) -> None:
        pace, out, worker = station.pace, station.out, station.worker
        share = -(-len(queue) // len(self._stations))
        count = max(1, min(pace.size if out or pace.width == 1 else pace.room, pace.room - len(out), share))
        if self._recycle is not None:
            count = min(count, self._recycle - station.made)
        if station.knows < len(self._targets):
            self._tell_targets(station)
        if not out:
            station.heard, station.stalled = self._port.clock(), False
        portion, apart, size, sent = self._portion, self._port.is_told_apart, 0, 0
        now = self._port.clock() if worker.width > 1 else 0.0
        for _ in range(count):
            if not queue or size > BYTES:
                break
            index, item = queue.popleft()
            target, value = (0, item) if portion is None else portion(item)
            try:
                if apart:
                    attempt, identity = self._port.told_apart(index)
                    size += worker.put(index, target, value, attempt, identity)
                else:
                    size += worker.put(index, target, value)
            except Exception as error:  # what a class of the user's does when it is pickled is anything
                self._port.emit((index, item, None, unsendable_input(value, error), self._port.clock(), 0.0, 0))
                if self._closed:
                    return
                continue
            out[index] = item
            if now:
                station.sent[index] = now
            sent += 1
        station.made += sent
        if sent:
            worker.send()
        if station.made == self._recycle:
            station.last = True
            if not out:
                self._retire(station)

    def _start_workers(self, waiting: int) -> None:
        """Start as many as would have something to do, those that are starting counted."""
        if not waiting:
            return
        starting = sum(not station.ready for station in self._stations.values())
        live = sum(not station.last for station in self._stations.values())
        for _ in range(min(self.most - live, waiting - starting)):
            station = _Station()
            try:
                station.worker = self._transport.start(self)
            except Exception as error:
                if not self._stations:
                    self._port.fatal(error)
                return
            station.pace = Pace(station.worker.width)
            self._stations[station.worker] = station
            self._tell_targets(station)
        self._port.turn()

    def _tell_targets(self, station: _Station) -> None:
        while station.knows < len(self._targets):
            station.worker.know(station.knows, self._targets[station.knows])
            station.knows += 1

    def _has_room(self, station: _Station) -> bool:
        kept = station.last or (station.stalled and bool(station.out))
        return station.ready and not kept and len(station.out) < station.pace.room

    @staticmethod
    def _begun(station: _Station) -> Iterable[int]:
        """Return the calls that are being made, as far as is known here: as many as at once, the first that are out."""
        return list(station.out)[: station.worker.width] if station.out else ()

    def _settle(self, index: int, item: Any, error: Exception, began: float) -> None:
        took = self._port.clock() - began
        self._port.timings.add(took, index)
        self._port.emit((index, item, None, error, began, took, 1))

    def _end(self, station: _Station, indices: Sequence[int], error: Exception | None) -> bool:
        """End calls, with outcomes of that error, or without; if the worker dies of it, what else is out was not begun.

        Returns whether it does.

        First they end, then it is told: the run may be over with that, and close what has nothing to do.
        """
        if not indices or station.worker not in self._stations:
            return False
        rest: list[tuple[int, Any]] = []
        dead = station.worker.end(indices)
        ended = [(index, station.since(index), station.take(index)) for index in indices if index in station.out]
        if dead and self._stations.pop(station.worker, None) is not None:
            self._leaves(station)
            rest = list(station.out.items())
            station.out.clear()
        for index, began, item in ended:
            station.refused.pop(index, None)
            if not (dead or station.worker.kills or self._targets[self._target_of(item)].is_async):
                station.behind.append(index)
                self._port.abandon(index)
            if error is None:
                self._port.dropped(index)
            else:
                self._settle(index, item, error, began)
        self._unmade(rest)
        self._feed()
        return dead

    def _unmade(self, pairs: list[tuple[int, Any]]) -> None:
        if pairs and not self._closed:
            self._port.unmade(pairs)

    def _call_back(self, station: _Station) -> None:
        if len(station.out) > station.worker.width and not station.called_back:
            station.called_back = True
            station.worker.call_back()

    def _retire(self, station: _Station) -> None:
        """End a worker that has made as many calls as it should."""
        self._stations.pop(station.worker, None)
        station.worker.close()
        self._leaves(station)

    def _leaves(self, station: _Station) -> None:
        """Remember a worker until nothing is left of it; the calls that were left behind there end with it."""
        self._leaving = [each for each in self._leaving if not each.is_gone]
        self._leaving.append(station.worker)
        while station.behind:
            self._port.returned_late(station.behind.pop())

    def _of_its_own(self, error: BaseException) -> BaseException:
        found = RuntimeError(f"{self._name}() raised {type(error).__name__} of its own accord")
        found.__cause__ = error
        return found

    def _target_of(self, item: Any) -> int:
        return 0 if self._portion is None else self._portion(item)[0]

    def _item_of(self, item: Any) -> Any:
        return item if self._portion is None else self._portion(item)[1]

    # Whoever waits behind a slow call goes to another worker.

    def _watch(self) -> None:
        if (
            self._watching is None
            and self.most > 1
            and any(len(station.out) > station.worker.width for station in self._stations.values())
        ):
            self._watching = self._port.loop.call_later(STALLED, self._look)

    def _look(self) -> None:
        self._watching = None
        if self._closed:
            return
        now = self._port.clock()
        for station in self._stations.values():
            width = station.worker.width
            if len(station.out) > width and now - station.heard >= (STALLED if width == 1 else STALLED_WIDE):
                station.stalled = True
                station.worker.call_back(behind=True)
        self._watch()
