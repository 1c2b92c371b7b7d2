"""What a worker process does: takes batches, makes one call after the other, and sends each answer at once.

The main thread makes the calls. Another one hears when the parent wants inputs back that have not begun, and when the
parent is gone: then this process ends, whatever it is doing. Nothing heavy is imported here, because that is what the
first input waits for.
"""

from __future__ import annotations

import os
import pickle
import select
import signal
import socket
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextvars import Context
from functools import partial
from marshal import dumps as plain
from pickle import loads
from time import monotonic
from typing import Any

from ..lanes import here
from ..remote.codec import PLAIN, Target, dumps, unsendable_value
from ..remote.failures import encoded_failure
from ..remote.transport import LEFT
from . import place
from .calls import asks_to_wait, made, stepped
from .frames import (
    AGE,
    ANSWERED,
    BACK,
    BATCH,
    BESIDE,
    CALL_BACK,
    FAILED,
    HEAD,
    IDENTIFIED,
    KNOW,
    LISTED,
    PLAINLY,
    READY,
    UNREADY,
    WHOLE,
    decoded,
    frame,
    items,
    listed,
    said,
    with_buffers,
)
from .preparing import become, set_filters

BUFFER = 1 << 16
ANSWER_SIZE = WHOLE.size - HEAD.size
LARGE = 1 << 16  # bytes of a value, above which head and value are not put together first

ENDING = tuple(  # Ctrl-C; a service or a job that is stopped; a closed terminal
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)
LOOK = 0.5  # seconds between looks for the parent, where the system does not tell

Item = tuple[int, int, int, int, Any]
Frame = tuple[int, memoryview, int]  # kind, content, of a batch its number


def main(work: int, line: int, parent: int) -> None:
    """Be a worker; the arguments are the sockets for work and for what cannot wait, and the parent's process id."""
    for number in ENDING:  # who sends one to all processes of a program means the parent, which ends this one in time
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, _ignore)
    os.register_at_fork(before=_hold, after_in_parent=_let_go, after_in_child=_may_be_ended)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    _Worker(socket.socket(fileno=work), socket.socket(fileno=line), parent).run()


class _Worker:
    def __init__(self, work: socket.socket, line: socket.socket, parent: int) -> None:
        self.parent = parent
        self.sock = work
        self.sendall = work.sendall
        self.line = line
        self.sending = threading.Lock()
        self.todo: deque[Item] = deque()
        self.batch = 0  # how many were read
        self.unread: deque[Frame] = deque()  # frames that were read while a call was made
        self.receiving = threading.Lock()
        self.rest = memoryview(b"")  # of what was received, and not looked at yet
        self.back_to = 0  # inputs of batches up to this one are not begun any more
        self.taking = threading.Lock()
        self.targets: dict[int, tuple[str, Callable[[Any], Any]]] = {}
        self.age = self.born = 0.0  # of the run when this process was told of it, and when that was
        self.run_id = b""
        self.ends: list[Any] | None = None  # what tells that something is to be heard, or the parent gone
        self.item: tuple[int, int, float, Any] | None = None  # index, attempt, start, identity of the call that is made
        self.context = Context()
        self.at_end: list[Callable[[], None]] = []

    def run(self) -> None:
        threading.Thread(target=self._hear, name="whilst-lifeline", daemon=True).start()
        try:
            _, data, _ = self._receive()
            self.age, self.born = AGE.unpack_from(data)[0], monotonic()
            given, self.context = become(data[AGE.size :])
            here.worker_of, here.is_making, here.listener, self.run_id = given.name, self._call, self, given.run
            place.capture(self.send)
            kind, data, _ = self._receive()
            assert kind == KNOW
            if given.run:  # of a map, which has this one function: without it there is nothing to do
                self._know(data)
            else:
                self._know_later(data)
            _seed_apart()
            set_filters(given.filters)
            place.look()
        except EOFError:
            return
        except BaseException as error:  # all of them: the parent is told, and this process ends
            self._tell_failure(error)
            return
        self.send(frame(READY, b""))
        try:
            while True:
                kind, data, number = self._receive()
                if kind == BATCH:
                    self._serve(data, number)
                else:
                    self._know_later(data)
        except (EOFError, OSError):
            pass  # the parent wants no more
        finally:
            self._leave()

    def send(self, data: Any) -> None:
        """Send whole frames; from any thread."""
        with self.sending:
            self.sock.sendall(data)

    def allow(self, left: Any) -> None:
        """Tell the parent how many calls are left, as an answer says: it slows down for all."""
        if self.item is not None:
            self._say(self.item[0], LEFT, *left)

    # -- private, in order of use -------------------------------------------------------------------------------

    def _receive(self) -> Frame:
        """Return the next frame; EOFError: there is none any more."""
        with self.receiving:
            return self.unread.popleft() if self.unread else self._next()

    def _next(self) -> Frame:
        length, kind = HEAD.unpack(self._read(HEAD.size))
        self.batch += kind == BATCH
        return kind, self._read(length), self.batch

    def _read(self, count: int) -> memoryview:
        """Return so many bytes: a part of what came last, if it has them all."""
        rest = self.rest
        if len(rest) < count <= BUFFER:
            got = self.sock.recv(BUFFER)
            if not got:
                raise EOFError
            rest = self.rest = memoryview(bytes(rest) + got)
        if len(rest) >= count:
            self.rest = rest[count:]
            return rest[:count]
        view = memoryview(bytearray(count))
        at = len(rest)
        view[:at] = rest
        self.rest = memoryview(b"")
        while at < count:
            received = self.sock.recv_into(view[at:])
            if not received:
                raise EOFError
            at += received
        return view

    def _know(self, data: memoryview) -> None:
        number = int.from_bytes(data[:2], "little")
        self.targets[number] = made(Target(*loads(data[2:])), self.at_end)

    def _know_later(self, data: memoryview) -> None:
        """Learn another function; one that cannot be made here fails its calls, and no others."""
        try:
            self._know(data)
        except BaseException as error:  # all of them: an import may do anything
            self.targets[int.from_bytes(data[:2], "little")] = ("", _failing(error))

    def _tell_failure(self, error: BaseException) -> None:
        if isinstance(error, AttributeError) and "__mp_main__" in str(error):
            error.add_note(
                "whilst: workers import the program, and find there what stands outside of the code that runs\n"
                '  try: the def above the if __name__ == "__main__":'
            )
        try:
            self.send(frame(UNREADY, encoded_failure(error)))
        except OSError:
            pass

    def _serve(self, data: memoryview, number: int) -> None:
        """Make the calls of a batch, unless they are called back."""
        found = deque(items(data))
        with self.taking:
            if number <= self.back_to:
                self.send(frame(BACK, listed(item[0] for item in found)))
                return
            self.todo = found
        take, make = found.popleft, self._make
        place.look()
        while True:
            try:
                item = take()
            except IndexError:
                self.item = None
                return
            make(item)

    def _make(self, item: Item) -> None:
        index, target, attempt, flags, data = item
        name, fn = self.targets[target]
        identity = None
        started = monotonic()
        try:
            if flags == LISTED:
                value = data
            else:
                value = decoded(data, flags)
                if flags & IDENTIFIED:
                    identity, value = value
            self.item = index, attempt, started, identity
            value = self.context.copy().run(fn, value)
        except BaseException as error:  # all of them: the parent judges
            took, pauses = monotonic() - started, asks_to_wait(error)
            self._answer(index, started, took, FAILED, encoded_failure(error), [])
            if pauses:
                self._hand_back()
                self._ring()
            return
        took = monotonic() - started
        if type(value) in PLAIN:
            answer = plain((index, value, None, started, took))
            with self.sending:
                self.sendall(HEAD.pack(len(answer), PLAINLY) + answer)
        else:
            self._answer_with(index, started, took, name, value)

    def _answer_with(self, index: int, started: float, took: float, name: str, value: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        try:
            encoded, flags = dumps(value, buffers), 0
        except Exception as error:  # what a class of the user's does when it is pickled is anything
            encoded, flags, buffers = encoded_failure(unsendable_value(name, value, error)), FAILED, []
        self._answer(index, started, took, flags, encoded, buffers)

    def _answer(
        self, index: int, started: float, took: float, flags: int, encoded: bytes, buffers: list[pickle.PickleBuffer]
    ) -> None:
        """Send an answer at once: it must be away before the next call begins, which may end this process."""
        size = len(encoded)
        if size <= LARGE and not buffers:
            with self.sending:
                self.sendall(WHOLE.pack(ANSWER_SIZE + size, ANSWERED, index, started, took, flags) + encoded)
            return
        chunks: list[Any] = [encoded]
        if buffers:
            chunks, size = with_buffers(encoded, buffers)
            flags |= BESIDE
        with self.sending:
            self.sendall(WHOLE.pack(ANSWER_SIZE + size, ANSWERED, index, started, took, flags))
            for chunk in chunks:
                self.sendall(chunk)

    def _call(self) -> Any:
        """Return the call that is made now, for `current_call`; a step's own says so by itself."""
        from ..core.call import Call

        if self.item is None:
            return None
        if (told := stepped.get()) is not None:
            return Call._of_told(told, partial(self._say, self.item[0]))
        index, attempt, started, identity = self.item
        told = index, "", attempt, self.age + started - self.born, identity, self.run_id
        return Call._of_told(told, partial(self._say, index))

    def _say(self, index: int, what: str, *more: Any) -> None:
        """Tell the parent what a call says, before its answer; from any thread."""
        self.send(said(index, what, dumps(more)))
        self._ring()

    def _ring(self) -> None:
        """Have the parent look at once at what was sent."""
        try:
            self.line.send(b"!")
        except OSError:  # it is gone, or has not looked for long, and will
            pass

    def _hand_back(self, until: int = 0) -> None:
        """Hand back what has not begun of the batch that is being made, and of unread ones; together, as they stand."""
        with self.taking:
            found: list[int] = []
            todo = self.todo
            try:
                while True:
                    found.append(todo.popleft()[0])
            except IndexError:
                pass
        if until:
            found += self._unread_until(until)
        if found or until:
            self.send(frame(BACK, listed(found)))

    def _unread_until(self, until: int) -> list[int]:
        """Take back batches that nobody has looked at because a call is made; else the main thread looks at them."""
        found: list[int] = []
        if not self.receiving.acquire(blocking=False):
            return found
        try:
            while self.rest or select.select([self.sock], [], [], 0)[0]:
                self.unread.append(self._next())
            for _ in range(len(self.unread)):
                kind, data, number = self.unread.popleft()
                if kind == BATCH and number <= until:
                    found += [item[0] for item in items(data)]
                else:
                    self.unread.append((kind, data, number))
        except EOFError:
            pass  # the main thread will find that out
        finally:
            self.receiving.release()
        return found

    def _hear(self) -> None:
        """Hear what cannot wait, on a thread of its own."""
        try:
            while self._is_told():
                told = self.line.recv(HEAD.size + 8, socket.MSG_WAITALL)
                if len(told) < HEAD.size + 8:
                    break
                number = int.from_bytes(told[HEAD.size :], "little")
                if HEAD.unpack_from(told)[1] == CALL_BACK:
                    with self.taking:
                        self.back_to = number
                self._hand_back(number)
        except OSError:
            pass
        os._exit(0)

    def _is_told(self) -> bool:
        """Wait until there is something to hear; False: the parent is gone.

        The end of the socket does not tell that where a process which the parent has forked holds it, too.
        """
        if self.ends is None:
            self.ends = [self.line]
            if hasattr(os, "pidfd_open"):
                try:
                    self.ends.append(os.pidfd_open(self.parent))
                except OSError:  # it is gone, or the kernel is old
                    pass
        while not (ready := select.select(self.ends, [], [], LOOK if len(self.ends) == 1 else None)[0]):
            if os.getppid() != self.parent:
                return False
        return self.line in ready

    def _leave(self) -> None:
        """Close what was opened here, and say what is to be said."""
        for close in reversed(self.at_end):
            try:
                close()
            except Exception:  # said by a warning of its own where it matters; nobody is left to raise it to
                pass
        place.release()


def _failing(error: BaseException) -> Callable[[Any], Any]:
    def call(_: Any) -> Any:
        raise error

    return call


def _ignore(number: int, frame: Any) -> None:
    pass


def _hold() -> None:
    """Hold back what may end a process that is about to be forked: it is not to be ignored there."""
    _forking.mask = signal.pthread_sigmask(signal.SIG_BLOCK, ENDING[1:])


def _let_go() -> None:
    signal.pthread_sigmask(signal.SIG_SETMASK, _forking.mask)


def _may_be_ended() -> None:
    """Leave to a process that a call has forked what ends it: whoever began it will."""
    for number in ENDING[1:]:
        if signal.getsignal(number) is _ignore:
            signal.signal(number, signal.SIG_DFL)
    _let_go()


_forking = threading.local()


def _seed_apart() -> None:
    """Have random numbers differ from those of the other workers, whatever the program seeds when it is imported."""
    if (drawn := sys.modules.get("random")) is not None:
        drawn.seed()
    if (numpy := sys.modules.get("numpy.random")) is not None:
        numpy.seed(int.from_bytes(os.urandom(4), "little"))
