"""What do Ctrl-C and `kill` do to a run? The first starts nothing new, the second ends it.

The interpreter writes the signal's number into a socket, whatever the main thread is doing; a thread of its own reads
it and acts. So it works also while the main thread is stuck in a write to a pipe that nobody reads, even if the signal
came just before that write began, when no handler would run any more.
"""

from __future__ import annotations

import os
import select
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from math import inf
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, cast

if TYPE_CHECKING:
    from typing import Self

    from ..core.summary import Summary

PATIENCE = 10.0  # seconds that a polite SIGTERM lets calls in flight go on
HEARD = 0.5  # seconds in which a run should have heard that it is to drain
END_WITHIN = 1.5  # seconds from the second signal that the process has to end by itself
GLANCE = 0.1  # seconds between two looks for a signal while something is waited for
RESCUE = 0.25  # seconds then, to give unfinished files their names, before it is ended


T = TypeVar("T")


class Controlled(Protocol):
    """What of a run the signals need."""

    def drain(self) -> None:
        """Start nothing new, finish what is in flight."""

    def cancel(self) -> None:
        """Cancel what is in flight."""

    def summary(self) -> Summary:
        """Return the counts."""
        ...


class Interrupted(BaseException):
    """A signal came before there was a run to drain; not an Exception, so that nothing swallows it."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.number = number


class Signals:
    """The signals of one command; a context manager that puts the handlers back."""

    def __init__(self, *, patience: float = PATIENCE) -> None:
        self._first: int | None = None
        self._said = threading.Event()  # what it leads to
        """The signal that ended the run, if one did."""
        self.cut_short: bool = False
        """Whether calls in flight were not waited for."""
        self.in_flight: int = 0
        """How many those were."""
        self._patience = patience
        self._numbers, self._wakeup = socket.socketpair()
        self._wakeup_before = -1
        self._before: dict[int, Any] = {}
        self._run: Controlled | None = None
        self._rescues: Sequence[Callable[[], object]] = ()
        self._over = False
        self._holding = False
        self._held: int | None = None
        self._early: int | None = None

    def __enter__(self) -> Self:
        """Install the handlers; what the parent had us ignore (nohup, a background job) stays ignored."""
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        self._wakeup.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the handlers back, unless the process is being ended in haste."""
        self._over = True
        if not self.cut_short:
            for number, handler in self._before.items():
                signal.signal(number, handler)
            signal.set_wakeup_fd(self._wakeup_before)
            self._wakeup.close()  # which ends the thread
            if self._run is None:
                self._numbers.close()

    @property
    def first(self) -> int | None:
        """The signal by which the run was told to end; what comes next has been said by now."""
        if self._first is not None:
            self._said.wait(2 * HEARD)
        return self._first

    @contextmanager
    def held(self) -> Generator[None, None, None]:
        """Keep a signal back until the end of the block, so that what the block opens has an owner by then."""
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
        if self._held is not None:
            raise Interrupted(self._held)

    def check(self) -> None:
        """Raise what came before there was a run, once more: it may have been raised where exceptions are dropped."""
        if self._early is not None:
            raise Interrupted(self._early)

    def wait(self, action: Callable[[], T]) -> T:
        """Return what `action` returns, called on a thread, so that a signal ends the wait at any instant.

        A blocking read on the main thread would not see a signal that came just before the system call.
        """
        done: list[tuple[T | None, BaseException | None]] = []

        def act() -> None:
            try:
                done.append((action(), None))
            except BaseException as error:  # whatever it is, the caller raises it
                done.append((None, error))

        thread = threading.Thread(target=act, name="whilst-first-row", daemon=True)
        thread.start()
        while thread.is_alive():
            thread.join(GLANCE)
            self.check()
        value, error = done[0]
        if error is not None:
            raise error
        return cast("T", value)

    def attach(self, run: Controlled, rescues: Sequence[Callable[[], object]]) -> None:
        """From now on signals drain `run`; `rescues` save what there is if the process must be ended by force."""
        self.check()
        self._rescues = rescues
        self._run = run
        threading.Thread(target=self._watch, args=(run,), name="whilst-signals", daemon=True).start()

    def _handle(self, number: int, _: FrameType | None) -> None:
        if self._holding:
            self._held = number
            return
        if self._run is None and not self._over:
            self._early = number
            raise Interrupted(number)

    def _watch(self, run: Controlled) -> None:
        with self._numbers:
            self._act(run)

    def _act(self, run: Controlled) -> None:
        number = self._next(inf)
        if number is None:
            return
        self._first = number
        run.drain()
        _tell(run, number, self._patience)
        self._said.set()
        ends = inf if number == signal.SIGINT else time.monotonic() + self._patience
        while True:
            try:
                number = self._next(ends)
            except TimeoutError:
                break
            if number is None:
                return
            if number == signal.SIGINT:
                break
            ends = min(ends, time.monotonic() + self._patience)
        self._end(run)

    def _next(self, ends: float) -> int | None:
        """Return the next signal that is ours, None when the command is over; TimeoutError when that has not come."""
        while True:
            self._numbers.settimeout(None if ends == inf else max(0.001, ends - time.monotonic()))
            told = self._numbers.recv(1)
            if not told:
                return None
            if told[0] in self._before:
                return told[0]

    def _end(self, run: Controlled) -> None:
        """Cancel, and end the process even if the main thread is stuck."""
        assert self._first is not None
        self.cut_short, self.in_flight = True, run.summary().in_flight
        run.cancel()
        time.sleep(END_WITHIN)
        for rescue in self._rescues:  # each on its own: one may be stuck where the main thread is
            threading.Thread(target=rescue, daemon=True).start()
        time.sleep(RESCUE)
        os._exit(128 + self._first)


def _tell(run: Controlled, number: int, patience: float) -> None:
    """Say what happens next, unless stderr is a pipe that is full: this thread must not wait."""
    ends = time.monotonic() + HEARD
    while not (now := run.summary()).stopping and time.monotonic() < ends:
        time.sleep(0.005)  # its loop hears of it in its next round; one that is blocked does not
    flying = now.in_flight
    waiting = f"waiting for {flying:,} in flight" if flying else "finishing"
    if number == signal.SIGINT:
        text = f"interrupted: nothing new is started, {waiting}\n  a second Ctrl-C ends within 2 s"
    else:
        text = f"{signal.Signals(number).name}: nothing new is started, {waiting} for at most {patience:g} s"
    start = "\r\x1b[K" if sys.stderr is not None and sys.stderr.isatty() else ""
    try:
        if select.select([], [2], [], 0)[1]:
            os.write(2, f"{start}{text}\n".encode())
    except (OSError, ValueError):
        pass
