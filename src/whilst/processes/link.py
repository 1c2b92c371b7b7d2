"""One worker process as its run sees it: how it is started, what it is sent, what it says, how it ends.

Everything happens on the run's loop, which waits for the worker's socket and, where the system has such, for the end of
its process. What it had sent before it died is read before it is called lost.
"""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Callable, Iterable
from marshal import loads as plain
from sys import getsizeof
from typing import Any, Final

from ..errors import WorkerDied
from ..lanes.clock import used
from ..remote.batch import ROUND
from ..remote.codec import PLAIN, PROTOCOL, Encoded, dumps, understood
from ..remote.failures import decoded_failure
from ..remote.transport import Answer, Client
from . import frames
from .frames import ANSWER, ANSWERED, BACK, FAILED, HEAD, ITEM, LOG, PLAINLY, READY, SAID, TEXT, UNREADY

READ: Final = 1 << 18  # bytes at a time
FULL: Final = 1 << 16  # bytes at a time, from which on what waits to be read may hold the worker up
LOOK: Final = 0.001  # seconds between looks for the end of a process, where the system does not tell
SETTLED: Final = 2.0  # seconds until a process that was killed is taken to be gone

BOOT: Final = (
    "import sys; sys.path.insert(0, sys.argv[1]); from whilst.processes.main import main; main(*map(int, sys.argv[2:]))"
)


class Link:
    """One worker; see `remote.transport.Worker`.

    Args:
        client: the lanes.
        rounds: when to look for answers, while these come fast.
        loop: theirs.
        clock: of that loop.
        told: what the worker is told first.
        name: of the run, for messages.
        began: when the run did, by that clock.
    """

    width: int = 1
    kills: bool = True
    name: str = ""

    def __init__(
        self,
        client: Client,
        rounds: Rounds,
        loop: asyncio.AbstractEventLoop,
        clock: Callable[[], float],
        told: bytes,
        name: str,
        began: float = 0.0,
    ) -> None:
        self._client = client
        self._rounds = rounds
        self._may_wait = False  # whether the next answers may be looked for later
        self._is_watched = True  # whether the loop waits for the socket
        self._loop = loop
        self._clock = clock
        self._name = name
        self._parts: list[Any] = []  # of the batch that goes out next
        self._listed: list[tuple[int, Any]] = []  # its last inputs, which are of plain types
        self._for = 0, 1  # target and attempt of those
        self._size = 0
        self._unsent: deque[memoryview] = deque()
        self._batches = 0
        self._buffer = bytearray(READ)
        self._filled = 0
        self._large: memoryview | None = None  # the frame that is being read, if it is larger than the buffer
        self._offset: float | None = None  # from the worker's clock to ours
        self._parsing = False
        self._ready = self._ended = self._closing = self._expected = False
        self._gone: asyncio.Future[None] = loop.create_future()
        self._pidfd = -1
        self._sock, theirs = socket.socketpair()
        self._line, their_line = socket.socketpair()
        try:
            self._process = _started(theirs, their_line)
        except BaseException:
            self._sock.close()
            self._line.close()
            raise
        finally:
            theirs.close()
            their_line.close()
        self._sock.setblocking(False)
        self._line.setblocking(False)
        loop.add_reader(self._sock, self._read)
        loop.add_reader(self._line, self._rung)
        if hasattr(os, "pidfd_open"):
            try:
                self._pidfd = os.pidfd_open(self._process.pid)
                loop.add_reader(self._pidfd, self._exited)
            except OSError:  # an old kernel
                pass
        self._write([frames.frame(frames.PREPARE, frames.AGE.pack(clock() - began) + told)])

    @property
    def pid(self) -> int:
        """The process."""
        return self._process.pid

    # -- what the lanes call: see `Worker` ------------------------------------------------------------------------

    def computed(self) -> float | None:
        """Return for how many seconds its main thread, which makes the calls, has had or wanted a processor."""
        found = used(self.pid, self.pid)
        return None if found is None else found[0] + found[1]

    def put(self, index: int, target: int, value: Any, attempt: int = 1, identity: Any = None) -> int:
        """Add an input to the batch that goes out next; return how many bytes it has."""
        if identity is None and type(value) in PLAIN:
            if self._for != (target, attempt):
                self._end_list()
                self._for = target, attempt
            self._listed.append((index, value))
            return getsizeof(value)
        buffers: list[pickle.PickleBuffer] = []
        flags = 0 if identity is None else frames.IDENTIFIED
        data = dumps(value if identity is None else (identity, value), buffers)
        self._end_list()
        if buffers:
            flags |= frames.BESIDE
            chunks, size = frames.with_buffers(data, buffers)
        else:
            chunks, size = [data], len(data)
        return self._put(index, target, attempt, flags, size, chunks)

    def know(self, target: int, encoded: Encoded) -> None:
        """Tell the worker a function."""
        self._write([frames.frame(frames.KNOW, target.to_bytes(2, "little") + encoded.data)])

    def send(self) -> None:
        """Send the batch."""
        self._batches += 1
        self._end_list()
        parts, size = self._parts, self._size
        self._parts, self._size = [], 0
        self._write([HEAD.pack(size, frames.BATCH), *parts])

    def call_back(self, *, behind: bool = False) -> None:
        """Ask for what has not begun."""
        kind = frames.CALL_BEHIND if behind else frames.CALL_BACK
        try:
            self._line.send(HEAD.pack(8, kind) + self._batches.to_bytes(8, "little"))
        except OSError:  # it is dying, and then that is known anyway
            pass

    def end(self, indices: Iterable[int]) -> bool:
        """Kill it: there is no other way to end a call."""
        self._drain()  # what it has answered in this moment is not made again
        self.kill()
        return True

    def close(self) -> None:
        """Have it end by itself."""
        self._closing = True
        if not self._unsent:
            self._shut()

    def kill(self) -> None:
        """End it at once."""
        self._expected = self._closing = True
        self._detach()
        self._process.kill()
        self._look()

    @property
    def is_gone(self) -> bool:
        """Whether the process is no more, and has been waited for."""
        return self._ended

    async def gone(self, patience: float) -> None:
        """Return when the process is no more."""
        if not self._gone.done():
            await asyncio.wait([self._gone], timeout=patience)
        if not self._gone.done():
            self.kill()
            await asyncio.wait([self._gone], timeout=SETTLED)

    # -- private, in order of use ---------------------------------------------------------------------------------

    def _put(self, index: int, target: int, attempt: int, flags: int, size: int, chunks: list[Any]) -> int:
        self._parts += (ITEM.pack(index, target, attempt, flags, size), *chunks)
        size += ITEM.size
        self._size += size
        return size

    def _end_list(self) -> None:
        """Encode the inputs of plain types that are put last; none of them can fail, so they are encoded together."""
        if listed := self._listed:
            self._listed = []
            data = pickle.dumps(listed, PROTOCOL)
            self._put(len(listed), *self._for, frames.LISTED, len(data), [data])

    def _write(self, chunks: list[Any]) -> None:
        """Send what can be sent now, the rest as the worker reads."""
        if self._ended or self._closing:
            return
        waiting = bool(self._unsent)
        if not waiting and sum(map(len, chunks)) < READ:
            whole = b"".join(chunks)
            try:
                sent = self._sock.send(whole)
            except (BlockingIOError, InterruptedError):
                sent = 0
            except OSError:
                return  # it is dead; that is told by the socket, when it has been read to its end
            if sent == len(whole):
                return
            chunks = [memoryview(whole)[sent:]]
        self._unsent.extend(memoryview(chunk).cast("B") for chunk in chunks if len(memoryview(chunk).cast("B")))
        if not waiting:
            self._loop.add_writer(self._sock, self._write_on)

    def _write_on(self) -> None:
        unsent = self._unsent
        try:
            while unsent:
                sent = self._sock.send(unsent[0])
                if sent < len(unsent[0]):
                    unsent[0] = unsent[0][sent:]
                else:
                    unsent.popleft()
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            unsent.clear()
        self._loop.remove_writer(self._sock)
        if self._closing:
            self._shut()

    def _shut(self) -> None:
        try:
            self._sock.shutdown(socket.SHUT_WR)
        except OSError:
            pass

    def _read(self) -> None:
        """Read what is there, and act on it; then have the loop wait for more, or look again in the next round."""
        self._may_wait = False
        count = self._read_once()
        if count == 0:
            self._watch(False)
            self._look()
        elif not (self._expected or self._ended):
            waits = self._may_wait and count is not None and count < FULL
            self._watch(not waits)
            if waits:
                self._rounds.add(self._hear)

    def _hear(self) -> None:
        """Look for answers although the loop does not wait for them."""
        if not (self._is_watched or self._expected or self._ended):
            self._read()

    def _rung(self) -> None:
        """Look at once, as something was said that cannot wait for a round."""
        try:
            heard = self._line.recv(READ)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            heard = b""
        if not heard:  # it is dying, and then that is known anyway
            self._loop.remove_reader(self._line)
        self._hear()

    def _watch(self, watches: bool) -> None:
        if watches is self._is_watched:
            return
        self._is_watched = watches
        if watches:
            self._loop.add_reader(self._sock, self._read)
        else:
            self._loop.remove_reader(self._sock)

    def _read_once(self) -> int | None:
        """Return how many bytes came; 0: there will be none any more; None: there are none now."""
        large, filled = self._large, self._filled
        view = large[filled:] if large is not None else memoryview(self._buffer)[filled:]
        try:
            count = self._sock.recv_into(view)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError:
            return 0
        finally:
            view.release()
        if count:
            self._filled += count
            if large is None:
                self._parsing = True
                try:
                    self._parse()
                finally:
                    self._parsing = False
            elif self._filled == len(large):
                self._large, self._filled = None, 0
                self._act(large[HEAD.size - 1], large[HEAD.size :])
        return count

    def _parse(self) -> None:
        """Take whole frames out of the buffer: answers that lie one behind the other are given together."""
        buffer, end, at, length = memoryview(self._buffer), self._filled, 0, 0
        head, unpack, unpack_answer, skip = HEAD.size, HEAD.unpack_from, ANSWER.unpack_from, HEAD.size + ANSWER.size
        answers: list[Answer] = []
        while end - at >= head:
            length, kind = unpack(buffer, at)
            following = at + head + length
            if following > end:
                break
            if kind == PLAINLY:
                answers.append(plain(buffer[at + head : following]))
            elif kind == ANSWERED:
                index, started, took, flags = unpack_answer(buffer, at + head)
                answers.append(self._answer(index, started, took, flags, buffer[at + skip : following]))
            else:
                if answers:
                    self._give(answers)
                    answers = []
                self._other(kind, buffer[at + head : following])
            at = following
        if answers:
            self._give(answers)
        rest = end - at
        if rest >= head and head + length > READ:
            self._large = memoryview(bytearray(head + length))
            self._large[:rest] = buffer[at:end]
        elif rest and at:
            self._buffer[:rest] = bytes(buffer[at:end])
        self._filled = rest

    def _act(self, kind: int, data: memoryview) -> None:
        """Act on a frame that was larger than the buffer."""
        if kind == PLAINLY:
            self._give([plain(data)])
        elif kind == ANSWERED:
            index, started, took, flags = ANSWER.unpack_from(data)
            self._give([self._answer(index, started, took, flags, data[ANSWER.size :])])
        else:
            self._other(kind, data)

    def _give(self, answers: list[Answer]) -> None:
        """Say when calls began by the run's clock: the last of them has ended just now, at the earliest."""
        if self._expected:
            return
        offset = self._clock() - answers[-1][3] - answers[-1][4]
        if self._offset is None or offset < self._offset:
            self._offset = offset
        self._may_wait = self._client.answered(self, answers, self._offset)

    @staticmethod
    def _answer(index: int, started: float, took: float, flags: int, data: memoryview) -> Answer:
        try:
            if flags & FAILED:
                return index, None, decoded_failure(data), started, took
            return index, frames.decoded(data, flags), None, started, took
        except Exception as error:  # of a class of the user's that cannot be made here
            return index, None, error, started, took

    def _other(self, kind: int, data: memoryview) -> None:
        if kind == BACK:
            self._client.handed_back(self, frames.indices(data))
        elif kind == READY:
            self._ready = True
            self._client.ready(self)
        elif kind == TEXT:
            _write(data)
        elif kind == LOG:
            from .logs import handle

            handle(bytes(data))
        elif kind == SAID:
            index, what, more = pickle.loads(data)
            self._client.said(self, index, *understood(what, more))
        elif kind == UNREADY:
            self._expected = True
            error = decoded_failure(data)
            try:
                error.add_note(f"whilst: a worker process for {self._name} could not get ready")
            except Exception:  # an exception class may forbid it
                pass
            self._client.unready(self, error, again=False)

    def _exited(self) -> None:
        """Take note that the process is no more, whoever has its socket still open."""
        self._loop.remove_reader(self._pidfd)
        self._look()

    def _drain(self) -> None:
        if not self._parsing:  # else what is acted on now has led here
            while self._read_once():
                pass

    def _look(self) -> None:
        """See whether the process has ended; its socket has."""
        if self._ended:
            return
        code = self._process.poll()
        if code is None:
            if not self._loop.is_closed():
                self._loop.call_later(LOOK, self._look)
            return
        self._ended = True
        if not self._expected:
            self._drain()
        self._detach()
        self._line.close()
        self._sock.close()
        if self._pidfd >= 0:
            os.close(self._pidfd)
        if not self._gone.done():
            self._gone.set_result(None)
        if self._expected or self._closing:
            return
        self._expected = True
        error = WorkerDied._of(self._name, code, self._process.pid, ready=self._ready)
        if self._ready:
            self._client.lost(self, error)
        else:
            self._client.unready(self, error, again=code in (-signal.SIGKILL, -signal.SIGTERM))

    def _detach(self) -> None:
        self._watch(False)
        self._loop.remove_reader(self._line)
        self._loop.remove_writer(self._sock)
        if self._pidfd >= 0:
            self._loop.remove_reader(self._pidfd)
        self._unsent.clear()


class Rounds:
    """Looks for the answers of all workers that are busy with short calls, together.

    Each answer would wake the loop: that costs ten times what is done with it.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._next: list[Callable[[], None]] = []

    def add(self, look: Callable[[], None]) -> None:
        """Call `look` in the next round."""
        if not self._next:
            self._loop.call_later(ROUND, self._go)
        self._next.append(look)

    def _go(self) -> None:
        looks, self._next = self._next, []
        for look in looks:
            look()


def _write(data: memoryview) -> None:
    """Write what a worker has written, to where this process writes now."""
    stream = sys.stderr if data[0] == 2 else sys.stdout
    try:
        stream.write(bytes(data[1:]).decode("utf-8", "replace"))
        stream.flush()
    except Exception:  # there is none, it is closed, nobody reads it: that is the run's affair no more than a print's
        pass


def _started(work: socket.socket, line: socket.socket) -> subprocess.Popen[bytes]:
    """Start an interpreter that is a worker. Ctrl-C does not reach it before it has said what that means to it."""
    home = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    flags: list[str] = subprocess._args_from_interpreter_flags()  # type: ignore[attr-defined] # pyright: ignore
    told = (str(number) for number in (work.fileno(), line.fileno(), os.getpid()))
    command: list[str] = [sys.executable, *flags, "-P", "-c", BOOT, home, *told]
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, pass_fds=(work.fileno(), line.fileno()))
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
