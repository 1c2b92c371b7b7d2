"""One node as its run sees it: an actor is started there, is sent inputs, and is asked again and again for answers.

A question is answered within half a second, if with nothing: so it is also the sign that the node is alive. Ray tells
that a node was killed after some seconds, and of one that stands still after a minute. Here a node that says nothing is
knocked at: where nobody listens any more it was killed, and is given up at once; else after `SILENCE`.
"""

from __future__ import annotations

import asyncio
import errno
import logging
import pickle
import platform
import socket
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from math import inf
from typing import Any, Final

from ..errors import WhilstError, WorkerDied
from ..remote.codec import PLAIN, PROTOCOL, Encoded, loads, understood
from ..remote.failures import decoded_failure
from ..remote.transport import ENDS, HOME, Answer, Client
from . import cluster
from .codec import dumps
from .node import AS_IT_IS, ENCODED, FAILED, Answers, Node

LOOK: Final = 0.5  # seconds between two looks for signs of life, and for nodes that have joined
SUSPECT: Final = 2  # looks without a sign of life, after which a node is knocked at
SILENCE: Final = 16  # looks after which it is given up: those of a loop that is held up itself do not count
QUESTIONS: Final = 2  # that wait for answers at the same time
logger: logging.Logger = logging.getLogger("whilst")
SIZED: Final = (bytes, str)


class Link:
    """One node; see `remote.transport.Worker`.

    Args:
        client: the lanes.
        fleet: whose nodes these are.
        width: how many calls at once.
    """

    def __init__(self, client: Client, fleet: Fleet, width: int) -> None:
        self.width: int = width
        self.kills: bool = False
        self.node: str = ""
        """Its id; empty as long as none was found."""
        self.name: str = ""
        self._client = client
        self._fleet = fleet
        self._loop = fleet.loop
        self._clock = fleet.clock
        self._actor: Any = None
        self._targets: list[tuple[int, bytes]] = []
        self._inputs: list[tuple[Any, ...]] = []
        self._orders = 0  # that the node was given
        self._serial = 0
        self._serials: dict[int, int] = {}  # of what is out, by its index: what else is answered came too late
        self._heard = 0  # the number of the last answers that were acted on
        self._early: dict[int, Answers] = {}  # by their number; those before them are on their way
        self._silent = 0  # looks since the last sign of life
        self._knock: Knock | None = None
        self._offset = inf  # from the node's clock to ours
        self._is_ready = self._is_over = False
        self._watching: asyncio.TimerHandle | None = None
        self._gone: asyncio.Future[None] = self._loop.create_future()
        self._begin()

    # -- what the lanes call: see `Worker` ------------------------------------------------------------------------

    def computed(self) -> float | None:
        """Return None: it is on another machine."""
        return None

    def put(self, index: int, target: int, value: Any, attempt: int = 1, identity: Any = None) -> int:
        """Add an input to the batch that goes out next; return how many bytes it has."""
        kind, size = AS_IT_IS, 8
        if type(value) not in PLAIN:
            kind, value = ENCODED, dumps(value)
        if type(value) in SIZED:
            size = len(value)
        serial = self._serial = self._serial + 1
        self._serials[index] = serial
        if attempt == 1 and identity is None:
            self._inputs.append((index, serial, target, kind, value))
        else:
            self._inputs.append((index, serial, target, kind, value, attempt, identity))
        return size

    def know(self, target: int, encoded: Encoded) -> None:
        """Tell the node a function."""
        self._targets.append((target, encoded.data))

    def send(self) -> None:
        """Send the batch."""
        targets, self._targets = self._targets, []
        inputs, self._inputs = self._inputs, []
        if not self._is_over:
            self._when(self._tell("work", pickle.dumps((targets, inputs), PROTOCOL)), self._took)

    def call_back(self, *, behind: bool = False) -> None:
        """Ask for what has not begun: behind one call nothing waits here, but it does where all of them are slow."""
        if not self._is_over:
            self._tell("call_back")

    def end(self, indices: Iterable[int]) -> bool:
        """End calls there, as far as they can be; the node lives on."""
        indices = list(indices)
        for index in indices:
            self._serials.pop(index, None)
        if not self._is_over:
            self._tell("end", indices)
        return False

    def close(self) -> None:
        """Have it close what it opened, and end."""
        if self._is_over or not self._is_ready:
            self.kill()
            return
        self._is_over = True
        self._when(self._tell("close"), lambda _: self._end())

    def kill(self) -> None:
        """End it at once."""
        self._is_over = True
        self._end()

    @property
    def is_gone(self) -> bool:
        """Whether nothing is left of it."""
        return self._gone.done()

    async def gone(self, patience: float) -> None:
        """Return when nothing is left of it."""
        if not self._gone.done():
            await asyncio.wait([self._gone], timeout=patience)
        self._end()

    # -- private, in order of use ---------------------------------------------------------------------------------

    def _begin(self) -> None:
        """Start an actor on a node that has none of this run; wait for one if there is none."""
        self._watching = None
        if self._is_over:
            return
        node = self._fleet.free_node()
        if node is None:
            self._fleet.says_that_it_waits()
            self._watching = self._loop.call_later(LOOK, self._begin)
            return
        self.node, self._silent, self.name = node, 0, self._fleet.name_of(node)
        try:
            self._actor = self._fleet.actor(node, self.width)
            self._when(self._actor.ready.remote(), self._ready)
        except Exception as error:
            self._lose(error)
            return
        self._watching = self._loop.call_later(LOOK, self._look)

    def _ready(self, found: Future[Any]) -> None:
        if self._is_over:
            return
        try:
            python, version = found.result()
        except Exception as error:
            self._lose(error)
            return
        if (mismatch := self._fleet.mismatch(python, version)) is not None:
            self._is_over = True
            self._end()
            self._client.unready(self, mismatch, again=False)
            return
        self._is_ready, self._silent = True, 0
        for _ in range(QUESTIONS):
            self._ask()
        self._client.ready(self)

    def _tell(self, order: str, *more: Any) -> Any:
        """Tell the node to do something, after all that it was told before."""
        told = getattr(self._actor, order).remote(self._orders + 1, *more)
        self._orders += 1  # not before: what is waited for there must have been sent
        return told

    def _took(self, found: Future[Any]) -> None:
        """End the run if the node cannot make the calls at all: it has not the function's module, mostly."""
        error = found.exception()
        if self._is_over or error is None:
            return
        cause = getattr(error, "cause", None)
        if not isinstance(cause, Exception):
            self._lose(error if isinstance(error, Exception) else RuntimeError(repr(error)))
            return
        self._is_over = True
        self._end()
        try:
            cause.add_note(f"whilst: a node of the cluster got {self._fleet.name}(), and could not load it")
        except Exception:  # an exception class may forbid it
            pass
        self._client.unready(self, cause, again=False)

    def _ask(self) -> None:
        if not self._is_over:
            self._when(self._actor.answers.remote(), self._answered)

    def _answered(self, found: Future[Any]) -> None:
        if self._is_over:
            return
        try:
            told = Answers(*pickle.loads(found.result()))
        except Exception as error:
            self._lose(error)
            return
        self._silent = 0
        self._offset = offset = min(self._offset, self._clock() - told.now)
        self._ask()
        self._early[told.number] = told
        while not self._is_over and self._heard + 1 in self._early:
            self._heard += 1
            self._act(self._early.pop(self._heard), offset)

    def _act(self, told: Answers, offset: float) -> None:
        """Pass on what was answered: what calls have said first, as it comes with their end or before."""
        serials, answers, back, client = self._serials, list[Answer](), list[int](), self._client
        for index, serial, what, data in told.said:
            if what == ENDS:
                client.said(self, index, what, (decoded_failure(*loads(data)),))
            elif what == HOME or serials.get(index) == serial:  # else an attempt says it that was given up
                client.said(self, index, *understood(what, data))
        for index, serial, kind, value, started, took in told.told:
            if serials.get(index) != serial:
                client.said(self, index, HOME, ())
            else:
                del serials[index]
                value, error = (value, None) if kind == AS_IT_IS else _decoded(kind, value)
                answers.append((index, value, error, started, took))
        if answers:
            client.answered(self, answers, offset)
        for index, serial in told.back:
            if serials.get(index) != serial:
                client.said(self, index, HOME, ())
            else:
                del serials[index]
                back.append(index)
        if (told.back or told.is_all) and not self._is_over:
            client.handed_back(self, back)

    def _look(self) -> None:
        """Give a node up that has said nothing for too long."""
        self._watching = None
        if self._is_over:
            return
        self._silent += 1
        if self._silent > SILENCE and self._is_ready:
            self._lose(TimeoutError(f"it has said nothing for {self._silent * LOOK:.0f} s"))
            return
        if self._knocked():
            self._fleet.bury(self.node)
        if self.node not in self._fleet.alive():
            self._lose(ConnectionError("it has left the cluster"))
            return
        self._watching = self._loop.call_later(LOOK, self._look)

    def _knocked(self) -> bool:
        """Whether nobody listens any more where the node was; asked at one look, known at the next, at the latest."""
        if self._silent >= SUSPECT:
            self._knock = self._knock or self._fleet.knock(self.node)
            return self._knock is not None and self._knock.is_refused()
        if self._knock is not None:
            self._knock.close()
            self._knock = None
        return False

    def _lose(self, error: Exception) -> None:
        """Take note that the node is no more, or that it is as good as that: what it says from now on is not heard."""
        if self._is_over:
            return
        self._is_over = True
        self._end()
        words = str(error).strip().splitlines()
        why = words[0] if words else type(error).__name__
        lost = WorkerDied(f"{self._fleet.name}(): the node that made this call is lost, and may have made it\n  {why}")
        lost.__cause__ = error
        if self._is_ready:
            self._client.lost(self, lost, list(self._serials))  # any may have begun, where others were over unheard
        else:
            own = isinstance(error, WhilstError)
            self._client.unready(self, error if own else lost, again=self._fleet.may_do_better(error))

    def _end(self) -> None:
        if self._watching is not None:
            self._watching.cancel()
            self._watching = None
        if self._knock is not None:
            self._knock.close()
        actor, self._actor = self._actor, None
        if actor is not None:
            self._fleet.kill(actor)
        self._fleet.release(self.node)
        if not self._gone.done():
            self._gone.set_result(None)

    def _when(self, ref: Any, act: Callable[[Future[Any]], None]) -> None:
        """Call `act` on the loop with what becomes of a call of the actor."""

        def done(found: Future[Any]) -> None:
            try:
                self._loop.call_soon_threadsafe(act, found)
            except RuntimeError:  # the loop is closed: there is nobody to tell
                pass

        ref.future().add_done_callback(done)


def _decoded(kind: int, data: bytes) -> tuple[Any, BaseException | None]:
    try:
        return (None, decoded_failure(data)) if kind == FAILED else (loads(data), None)
    except Exception as error:  # of a class of the user's that cannot be made here
        return None, error


class Knock:
    """A connection that is tried, to see whether it is refused: a process that stands still does not refuse it."""

    def __init__(self, host: str, port: int) -> None:
        self._socket = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        self._socket.setblocking(False)
        self._error = self._socket.connect_ex((host, port))

    def is_refused(self) -> bool:
        """Whether it was, as far as that is known by now; then it is closed."""
        if self._error == errno.EINPROGRESS:
            self._error = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) or errno.EINPROGRESS
        if self._error == errno.ECONNREFUSED:
            self.close()
            return True
        return False

    def close(self) -> None:
        """Be done with it."""
        self._socket.close()


class Fleet:
    """The nodes of one run; see `remote.transport.Transport`.

    Args:
        loop, clock: the run's.
        name: of the run.
        told: what nodes are told first.
        widths: how many calls each node makes at once, one after the other as they are needed; the last holds for more.
        options: of the actors.
        began: when the run did.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        name: str,
        told: bytes,
        widths: list[int],
        options: dict[str, Any],
        began: float,
    ) -> None:
        self.loop: asyncio.AbstractEventLoop = loop
        self.clock: Callable[[], float] = clock
        self.name: str = name
        self._told = told
        self._widths = widths
        self._options = options
        self._began = began
        self._taken: set[str] = set()
        self._waits = False  # whether that was said
        self._buried: set[str] = set()
        self._seen: tuple[float, list[str]] = (-inf, [])

    def start(self, client: Client) -> Link:
        """Begin a node."""
        return Link(client, self, self._next_width())

    def actor(self, node: str, width: int) -> Any:
        """Start what makes calls on a node."""
        ray = cluster.ray_module()
        strategy = ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(node, soft=False)
        options = {"num_cpus": 0, "max_restarts": 0, "max_concurrency": 1000, **self._options}
        made = ray.remote(Node).options(scheduling_strategy=strategy, **options)
        return made.remote(self._told, width, max(0.0, self.clock() - self._began))

    def free_node(self) -> str | None:
        """Return a node that makes no calls of this run yet, and take it."""
        for node in self.alive():
            if node not in self._taken:
                self._taken.add(node)
                self._waits = False
                return node
        return None

    def says_that_it_waits(self) -> None:
        """Say, once each time, that the cluster has no node left that could make calls."""
        if not (self._taken or self._waits):
            self._waits = True
            logger.warning("%s: no node of the cluster is there to make calls: waiting for one", self.name)

    def name_of(self, node: str) -> str:
        """Return what a summary calls a node: by its address, as people do, and what tells it from others there."""
        host, _ = cluster.place_of(node)
        return f"node {host} {node[:6]}"

    def knock(self, node: str) -> Knock | None:
        """Begin to find out whether somebody still listens where a node was; None: it is not known where."""
        host, port = cluster.place_of(node)
        return Knock(host, port) if port else None

    def bury(self, node: str) -> None:
        """Take note that a node is no more; Ray takes it to be alive for some time, and would start actors there."""
        self._buried.add(node)
        self._seen = (-inf, [])

    def release(self, node: str) -> None:
        """Take note that a node makes no calls of this run any more."""
        self._taken.discard(node)
        self._seen = (-inf, [])

    def alive(self) -> list[str]:
        """Return the nodes of the cluster, as they were a moment ago."""
        when, found = self._seen
        if self.clock() - when > LOOK:
            found = [node for node in cluster.nodes() if node not in self._buried]
            self._seen = self.clock(), found
        return found

    def kill(self, actor: Any) -> None:
        """End an actor; Ray does nothing with one that is dead."""
        try:
            cluster.ray_module().kill(actor, no_restart=True)
        except Exception:  # the cluster is gone, and the actor with it
            pass

    def mismatch(self, python: str, version: str) -> Exception | None:
        """Return why a node cannot make calls of this process; None if it can."""
        mine = platform.python_version()
        if python.rpartition(".")[0] != mine.rpartition(".")[0]:
            what = f"Python {python}, and this program on {mine}"
        elif version != cluster.version():
            what = f"whilst {version}, and this program with {cluster.version()}"
        else:
            return None
        return RuntimeError(
            f"{self.name}: a node of the cluster runs {what}: what one pickles, the other may not be able to read\n"
            "  try: the same versions on all machines, or Ray(runtime_env=…)"
        )

    @staticmethod
    def may_do_better(error: Exception) -> bool:
        """Whether another node may get ready although this one did not: it was lost, and not refused."""
        return "RayTaskError" not in type(error).__name__ and not isinstance(error, (ImportError, TypeError))

    def _next_width(self) -> int:
        return self._widths.pop(0) if len(self._widths) > 1 else self._widths[0]
