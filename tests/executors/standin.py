"""Nodes without a cluster: a process each that has the same actor in it, and answers as Ray's would.

What is ours of a run on a cluster, both ends of it, is tested with these on every Python, quickly, and with deaths at
exact moments; what Ray adds is tested with Ray.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from concurrent.futures import Future
from multiprocessing.connection import Connection
from typing import Any

from whilst.lanes import here
from whilst.ray.executor import Nodes, Ray
from whilst.ray.link import Fleet, Knock
from whilst.ray.node import Node

SOON = 0.2  # seconds


def serve(line: Connection) -> None:
    """Be a node: make what is asked for, many things at once, until nobody asks any more."""
    asyncio.run(_serve(line))
    os._exit(0)  # whatever calls still run


async def _serve(line: Connection) -> None:
    loop, over = asyncio.get_running_loop(), asyncio.Event()
    made: list[Node] = []
    tasks: set[asyncio.Task[None]] = set()

    async def act(number: int, method: str, given: tuple[Any, ...]) -> None:
        try:
            found, is_fine = await getattr(made[0], method)(*given), True
        except Exception as error:  # which is the answer
            found, is_fine = error, False
        line.send((number, is_fine, found))

    def begin(number: int, method: str, given: tuple[Any, ...]) -> None:
        if method == "begin":
            made.append(Node(*given))
            return
        tasks.add(task := asyncio.create_task(act(number, method, given)))
        task.add_done_callback(tasks.discard)

    def hear() -> None:
        try:
            while True:
                loop.call_soon_threadsafe(begin, *line.recv())
        except (EOFError, OSError):
            loop.call_soon_threadsafe(over.set)

    threading.Thread(target=hear, daemon=True).start()
    await over.wait()


class Ref:
    """What a call of an actor gives."""

    def __init__(self, found: Future[Any]) -> None:
        self._found = found

    def future(self) -> Future[Any]:
        return self._found


class Actor:
    """A node as the run sees it; `actor.method.remote(…)` as with Ray.

    With `late`, each second thing that is asked for is begun after what is asked for next, if that comes soon: Ray
    begins the calls of an asynchronous actor in any order, too.
    """

    def __init__(self, *given: Any, late: bool = False) -> None:
        self._is_late = late
        self._held: tuple[Any, ...] | None = None
        self._sending = threading.Lock()
        self._line, theirs = multiprocessing.Pipe()
        self.process = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
        self.process.start()
        theirs.close()
        self._numbers = itertools.count()
        self._waiting: dict[int, Future[Any]] = {}
        self._line.send((-1, "begin", given))
        self._hearing = threading.Thread(target=self._hear, name="stand-in", daemon=True)
        self._hearing.start()

    def __getattr__(self, method: str) -> Actor._Method:
        return Actor._Method(self, method)

    class _Method:
        def __init__(self, actor: Actor, name: str) -> None:
            self._actor, self._name = actor, name

        def remote(self, *given: Any) -> Ref:
            number = next(self._actor._numbers)
            found = self._actor._waiting[number] = Future[Any]()
            self._actor._send(number, self._name, given)
            return Ref(found)

    def _send(self, *asked: Any) -> None:
        with self._sending:
            held, self._held = self._held, None
            if self._is_late and held is None and asked[1] not in ("ready", "answers"):
                self._held = asked
                threading.Timer(SOON, self._send_held, [asked]).start()
                return
            for each in (asked, held):
                if each is not None:
                    self._put(each)

    def _send_held(self, asked: tuple[Any, ...]) -> None:
        with self._sending:
            if self._held is asked:
                self._held = None
                self._put(asked)

    def _put(self, asked: tuple[Any, ...]) -> None:
        try:
            self._line.send(asked)
        except OSError:
            self._fail()

    def put_out(self) -> None:
        self.process.kill()
        self.process.join()
        self._hearing.join()
        self._line.close()

    def _hear(self) -> None:
        try:
            while True:
                number, is_fine, found = self._line.recv()
                waiting = self._waiting.pop(number)
                waiting.set_result(found) if is_fine else waiting.set_exception(found)
        except (EOFError, OSError):
            self._fail()

    def _fail(self) -> None:
        while self._waiting:
            self._waiting.popitem()[1].set_exception(ConnectionError("the actor died"))


class Message:
    """What is on its way between a run and a node of its own process: what is asked for, or what that gives."""

    def __init__(self, name: str, arrive: Callable[[], object], *, is_reply: bool = False, found: Any = None) -> None:
        self.name = name
        self.arrive = arrive
        self.is_reply = is_reply
        self.found = found
        """What a reply brings."""


Order = Callable[[list[Message]], Message | None]
"""Which of the messages that are on their way arrives next? None: none of them, for now."""


class Near:
    """A node in the process and on the loop of its run, as an actor; a test says what arrives when, in which order."""

    def __init__(self, loop: asyncio.AbstractEventLoop, order: Order, *given: Any) -> None:
        self.node = Node(*given)
        here.worker_of = ""  # so that limits are those of the run
        self._order = order
        self._loop = loop
        self._under_way: list[Message] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._is_out = False

    def __getattr__(self, method: str) -> Near._Method:
        return Near._Method(self, method)

    class _Method:
        def __init__(self, near: Near, name: str) -> None:
            self._near, self._name = near, name

        def remote(self, *given: Any) -> Ref:
            found = Future[Any]()
            self._near._send(Message(self._name, lambda: self._near._begin(self._name, given, found)))
            return Ref(found)

    def put_out(self) -> None:
        self._is_out = True

    def _send(self, message: Message) -> None:
        if not self._under_way:
            self._loop.call_soon(self._carry)
        self._under_way.append(message)

    def _carry(self) -> None:
        """Have one message arrive."""
        message = self._order(self._under_way)
        if message is not None:
            self._under_way.remove(message)
            message.arrive()
        if self._under_way and not self._is_out:
            self._loop.call_later(0.0 if message is not None else 0.001, self._carry)

    def _begin(self, name: str, given: tuple[Any, ...], found: Future[Any]) -> None:
        self._tasks.add(task := self._loop.create_task(self._act(name, given, found)))
        task.add_done_callback(self._tasks.discard)

    async def _act(self, name: str, given: tuple[Any, ...], found: Future[Any]) -> None:
        try:
            value = await getattr(self.node, name)(*given)
        except Exception as error:  # which is the reply
            raised = error
            self._send(Message(name, lambda: found.set_exception(raised), is_reply=True, found=raised))
        else:
            self._send(Message(name, lambda: found.set_result(value), is_reply=True, found=value))


class StandInFleet(Fleet):
    """Nodes of a cluster that there is not."""

    there: StandIn

    def actor(self, node: str, width: int) -> Any:
        if node in self.there.refusing:
            raise ConnectionError("no actor starts there")
        given = self._told, width, max(0.0, self.clock() - self._began)
        if self.there.order is not None:
            return Near(self.loop, self.there.order, *given)
        actor = Actor(*given, late=self.there.late)
        self.there.actors.setdefault(node, []).append(actor)
        return actor

    def alive(self) -> list[str]:
        return list(self.there.names)

    def kill(self, actor: Any) -> None:
        threading.Thread(target=actor.put_out).start()

    def name_of(self, node: str) -> str:
        return f"node {node}"

    def knock(self, node: str) -> Knock | None:
        return None


class StandIn(Ray):
    """The executor, on nodes with these names; with an `order`, these are in the process of the run: see `Near`."""

    def __init__(
        self,
        *names: str,
        per_node: int = 32,
        nodes: int | None = None,
        late: bool = False,
        order: Order | None = None,
    ) -> None:
        self.names: list[str] = list(names)
        self.late = late
        self.order = order
        self.actors: dict[str, list[Actor]] = {}
        self.refusing: set[str] = set()
        self._address, self._is_ours, self._place = None, False, StandInNodes(nodes, per_node, self)

    def signal(self, node: str, number: signal.Signals) -> None:
        """Send a signal to the processes of a node."""
        for actor in self.actors[node]:
            if actor.process.pid is not None and actor.process.is_alive():
                os.kill(actor.process.pid, number)


class StandInNodes(Nodes):
    """Where the calls of such an executor are made."""

    def __init__(self, nodes: int | None, per_node: int, of: StandIn) -> None:
        super().__init__(nodes, per_node, {})
        self.of = of

    def _count(self) -> int:
        there = max(1, len(self.of.names))
        return there if self.nodes is None else self.nodes

    def _make_fleet(self, *given: Any) -> Fleet:
        found = StandInFleet(*given)
        found.there = self.of
        return found
