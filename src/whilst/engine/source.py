"""Where inputs come from: containers are read on the loop, everything else beside it.

Reading arbitrary code on the loop could block it, so a generator is read on a feeder thread and an async iterator
by a feeder task. Each reads only as far as `fill(limit)` allows and appends straight to the driver's inbox; it calls
`arrived` only when somebody said that the inbox had run empty (`hungry`). A feeder thread that rang is hungry again a
little later, so a slow source is served at once and a fast one does not ring for every input.
"""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, Callable, Generator, Iterable, Iterator, Sequence
from contextvars import Context
from itertools import islice, repeat
from typing import Any, Protocol

from ..core.batches import InBatches
from ..lanes.awaiting import insist, trimmed
from ..lanes.clock import announce
from ..lanes.interrupted import start

Pair = tuple[Any, Any]  # (who, input): the index of an input of a map, or a call of a step
Queue = deque[Pair]

LOOK_AGAIN = 0.001  # seconds; a wake-up of the loop for every input would cost three times as much as its call
MOMENT = 0.1  # seconds that a run waits at its end for a generator to come out of `next()`
CLOSING = 1.0  # seconds that it waits for the clean-up of one that did

# Iterating these runs no code but the interpreter's own, so it cannot block.
_VIEWS: list[Any] = [{}.keys(), {}.values(), {}.items()]
CONTAINERS: set[type] = {list, tuple, dict, set, frozenset, range, deque, repeat, *(type(view) for view in _VIEWS)}


class Ahead:
    """Inputs that stand in a queue before all others, as they have waited before: the first to come back first."""

    __slots__ = ("_pairs",)

    def __init__(self) -> None:
        self._pairs: deque[Pair] = deque()  # of which those that are still in the queue are its first

    def put(self, queue: deque[Pair], pairs: Iterable[Pair], *, behind: int = 0) -> None:
        """Put some there, behind its first ones of another kind. Others may take from the left meanwhile."""
        self._forget_taken(queue, behind)
        for pair in pairs:
            queue.insert(behind + len(self._pairs), pair)
            self._pairs.append(pair)

    def put_first(self, queue: deque[Pair], pair: Pair, *, behind: int = 0) -> None:
        """Put one that was let through and comes back to the very front."""
        self._forget_taken(queue, behind)
        self._pairs.appendleft(pair)
        queue.insert(behind, pair)

    def _forget_taken(self, queue: deque[Pair], behind: int) -> None:
        try:
            first = queue[behind]
        except IndexError:
            first = None
        while self._pairs and self._pairs[0] is not first:
            self._pairs.popleft()


def emptied(queue: deque[Pair]) -> list[Pair]:
    """Take everything from a queue that lanes take from too."""
    taken: list[Pair] = []
    try:
        while True:
            taken.append(queue.popleft())
    except IndexError:
        return taken


def taken_from(queue: deque[Pair], unwanted: Callable[[Any], bool]) -> list[Pair]:
    """Take the inputs that are unwanted, by their index, from a queue that others put some into or take some from."""
    taken = emptied(queue)
    queue.extend(pair for pair in taken if not unwanted(pair[0]))
    return [pair for pair in taken if unwanted(pair[0])]


class Reader(Protocol):
    """What a source needs from the driver."""

    loop: asyncio.AbstractEventLoop
    source_context: Context

    def arrived(self) -> None:
        """Take note, on the loop, that the inbox has something after it was empty."""

    def turn(self) -> None:
        """Take note that more has come, or that the source has all that there is room for."""

    def ended(self, error: BaseException | None) -> None:
        """Take note, on the loop, that nothing more will come, because of `error` or because it is all."""

    def create_task(self, coroutine: Any, context: Context) -> asyncio.Task[None]:
        """Start a task that the driver owns."""
        ...


class Source:
    """One way to read inputs; every method is called on the loop. What is here does for a container."""

    def __init__(self, reader: Reader, inbox: Queue) -> None:
        self.inbox: Queue = inbox
        """Where inputs go."""
        self.admitted: int = 0
        """How many inputs have been put there."""
        self.full: bool = False
        """Whether it has read as far as it may, since the driver last set this to False."""
        self._reader = reader

    @property
    def waiting(self) -> str:
        """What the source is doing beside the loop, for the summary of a run that left it behind."""
        return ""

    def fill(self, limit: int) -> None:
        """Admit inputs with an index below `limit`, now or as they come."""
        raise NotImplementedError

    def redirect(self, inbox: Queue, reader: Reader | None = None) -> int:
        """Put inputs into another inbox, and tell another reader, from now on; return how many were admitted before."""
        self.inbox, self._reader = inbox, reader or self._reader
        return self.admitted

    def close(self) -> None:
        """Admit nothing more."""
        raise NotImplementedError

    async def gone(self) -> None:
        """Return, after `close`, when nothing reads any more and a generator is closed, or it takes too long.

        For tasks the driver waits.
        """


def is_container(inputs: object) -> bool:
    """Whether iterating over it cannot block."""
    return type(inputs) in CONTAINERS


def open_source(reader: Reader, inputs: Any, inbox: Queue, *, plain: bool = False) -> Source:
    """Choose the way to read `inputs`; of two ways the one of the caller, who is `plain` code or a loop's."""
    if is_container(inputs):
        return Container(reader, inputs, inbox)
    if isinstance(inputs, AsyncIterable) and not (plain and isinstance(inputs, Iterable)):
        return AsyncFeeder(reader, inputs, inbox)  # pyright: ignore[reportUnknownArgumentType]
    return ThreadFeeder(reader, inputs, inbox)


class Container(Source):
    """A builtin container, read in slices on the loop (0.05 µs an input)."""

    admitted: int

    def __init__(self, reader: Reader, inputs: Iterable[Any], inbox: Queue) -> None:
        super().__init__(reader, inbox)
        self._pairs = enumerate(inputs)

    def fill(self, limit: int) -> None:
        """Take a slice as long as the room."""
        room = limit - self.admitted
        if room <= 0:
            return
        try:
            pairs = list(islice(self._pairs, room))
        except Exception as error:  # a dict or set that changed its size meanwhile
            self._reader.ended(error)
            return
        self.inbox.extend(pairs)
        self.admitted += len(pairs)
        self.full = True
        if len(pairs) < room:
            self._reader.ended(None)

    def close(self) -> None:
        """Let go of the container."""
        self._pairs = enumerate(())


class ThreadFeeder(Source):
    """Any other iterable, read on a daemon thread, in the context of the run."""

    admitted: int

    def __init__(self, reader: Reader, inputs: Iterable[Any], inbox: Queue) -> None:
        super().__init__(reader, inbox)
        self._inputs: Iterable[Any] | None = inputs
        self._limit = 0
        self._hungry = True
        self._looking = False
        self._closed = False
        self._cleaning = False  # whether the generator is being closed
        self._over = False
        self._awaited: asyncio.Future[None] | None = None
        self._guard = threading.Lock()  # between an append and `close`
        self._room = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def waiting(self) -> str:
        """Say that the thread is still inside the source, if it is."""
        return "the source, inside next()" if self._thread is not None and self._thread.is_alive() else ""

    def at_work(self) -> bool:
        """Whether the thread is reading, and not waiting for room; or the end of the run waits for it."""
        if self._thread is None or not self._thread.is_alive():
            return False
        if self._closed:
            return self._awaited is not None and not self._awaited.done()
        return self.admitted < self._limit

    def fill(self, limit: int) -> None:
        """Let the thread read on to `limit`."""
        self._limit = limit
        if self._thread is None:
            context = self._reader.source_context.copy()
            self._thread = threading.Thread(target=context.run, args=(self._feed,), name="whilst-source", daemon=True)
            announce(self, self._reader.loop)
            start(self._thread)
        elif limit > self.admitted:
            self._room.set()
        if not self.inbox:
            self._hungry = True
            if self.inbox:  # it came between the two lines
                self._reader.loop.call_soon(self._reader.arrived)

    def redirect(self, inbox: Queue, reader: Reader | None = None) -> int:
        """Switch, between two appends of the thread."""
        with self._guard:
            return super().redirect(inbox, reader)

    def close(self) -> None:
        """Admit nothing more; a thread inside `next()` is left behind and ends when that returns."""
        with self._guard:
            self._closed = True
        self._room.set()
        self._inputs = None

    async def gone(self) -> None:
        """Wait for the thread: a moment for `next()`, which may never return, longer for a clean-up under way."""
        if self._thread is None or self._over:
            return
        self._awaited = self._reader.loop.create_future()
        for patience in (MOMENT, CLOSING):
            await asyncio.wait([self._awaited], timeout=patience)
            if self._over or not self._cleaning:
                break
        self._awaited.cancel()

    def _feed(self) -> None:
        error: BaseException | None = None
        try:
            inputs, self._inputs = self._inputs, None
            if inputs is not None:
                try:
                    if isinstance(inputs, InBatches):
                        self._read_batches(inputs.batches())
                    else:
                        self._read(inputs)
                finally:
                    if isinstance(inputs, Generator):  # on its own thread, whoever else still refers to it
                        self._cleaning = True
                        inputs.close()
        except BaseException as caught:  # the source's own error, of any kind, belongs to the consumer
            error = trimmed(caught, 2)
        self._tell(self._ended, error)
        del error  # its frames keep this one

    def _ended(self, error: BaseException | None) -> None:
        self._over = True
        if self._awaited is not None and not self._awaited.done():
            self._awaited.set_result(None)
        if not self._closed:
            self._reader.ended(error)
        else:  # a run that left this behind, and is kept for its summary, would be freed with nobody else
            del self._reader

    def _read_batches(self, batches: Iterator[Sequence[Any]]) -> None:
        index = 0
        for batch in batches:
            begin = 0
            while begin < len(batch):
                some = batch[begin : begin + self._limit - index]
                with self._guard:
                    if self._closed:
                        return
                    self.inbox.extend(enumerate(some, index))
                    self.admitted = index = index + len(some)
                begin += len(some)
                if self._hungry:
                    self._ring()
                if index >= self._limit and not self._wait_for_room(index):
                    return

    def _read(self, inputs: Iterable[Any]) -> None:
        index = 0
        for item in inputs:
            with self._guard:
                if self._closed:
                    return
                self.inbox.append((index, item))
                self.admitted = index = index + 1
            if self._hungry:
                self._ring()
            if index >= self._limit:
                del item
                if not self._wait_for_room(index):
                    return

    def _ring(self) -> None:
        self._hungry = False
        self._tell(self._arrived)

    def _arrived(self) -> None:
        self._reader.arrived()
        if not (self._looking or self._closed):
            self._looking = True
            self._reader.loop.call_later(LOOK_AGAIN, self._look)

    def _look(self) -> None:
        self._looking = False
        if self._closed:
            return
        self._hungry = True  # first: what is appended from here on rings again
        if self.inbox:
            self._reader.arrived()
        else:
            self._reader.turn()  # lanes may have taken what came meanwhile

    def _wait_for_room(self, index: int) -> bool:
        self.full = True
        while index >= self._limit:
            self._room.clear()
            if index < self._limit:
                break
            if self._closed:
                return False
            self._room.wait()
        return not self._closed

    def _tell(self, callback: Callable[..., object], *args: Any) -> None:
        try:
            self._reader.loop.call_soon_threadsafe(callback, *args)
        except RuntimeError:
            pass  # the loop is closed: the run is over


class AsyncFeeder(Source):
    """An async iterable, read by a task on the loop; an async generator is closed with the run."""

    admitted: int

    def __init__(self, reader: Reader, inputs: AsyncIterable[Any], inbox: Queue) -> None:
        super().__init__(reader, inbox)
        self._inputs = inputs
        self._limit = 0
        self._closed = False
        self._several = False  # whether more has come than the reader was told of
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    @property
    def waiting(self) -> str:
        """Say that the task goes on although it was cancelled, if it does, or that it holds the loop in this moment."""
        task, loop = self._task, self._reader.loop
        if task is None:
            return ""
        if asyncio._get_running_loop() is not loop and asyncio.current_task(loop) is task:
            return "the source, inside anext(), where it holds the loop"
        return "the source, which ignored being cancelled" if self._closed else ""

    def fill(self, limit: int) -> None:
        """Let the task read on to `limit`."""
        self._limit = limit
        if self._task is None:
            self._task = self._reader.create_task(self._feed(), self._reader.source_context.copy())
        elif limit > self.admitted and self._room is not None and not self._room.done():
            self._room.set_result(None)

    def close(self) -> None:
        """Cancel the task, wherever it waits."""
        if self._task is not None and not self._closed:  # once: the generator's own clean-up may take a while
            self._task.cancel()
        self._closed = True

    async def gone(self) -> None:
        """Leave a task behind that goes on: it is cancelled again and again."""
        if self._task is not None and not self._task.done():
            insist(self._task)

    def _were_several(self) -> None:
        self._several = False
        if not self._closed:
            self._reader.turn()

    async def _feed(self) -> None:
        error: BaseException | None = None
        try:
            await self._read()
        except asyncio.CancelledError:
            if self._closed:
                raise
            error = RuntimeError("the source raised CancelledError of its own accord")
        except BaseException as caught:  # the source's own error, of any kind, belongs to the consumer
            error = trimmed(caught, 2)
        finally:
            try:
                await self._close_generator(self._inputs)
            except BaseException as caught:  # such as of a generator that another run goes over, as above
                if self._closed:
                    raise
                error = error or trimmed(caught, 2)
            finally:
                self._task = None  # it keeps its cancellation, whose frames keep this
        if not self._closed:
            self._reader.ended(error)
        del error  # some frames of it lead back to this one

    @staticmethod
    async def _close_generator(inputs: Any) -> None:
        if isinstance(inputs, AsyncGenerator):
            await inputs.aclose()

    async def _read(self) -> None:
        async for item in self._inputs:
            if self._closed:
                return
            self.inbox.append((self.admitted, item))
            self.admitted += 1
            if len(self.inbox) == 1:
                self._reader.arrived()
            elif not self._several:
                self._several = True
                self._reader.loop.call_soon(self._were_several)
            while self.admitted >= self._limit:
                self.full = True
                self._room = self._reader.loop.create_future()
                await self._room
