"""What do Ctrl-C and `kill` do to a run? The first starts nothing new, the second ends it.

The interpreter writes the signal's number into a socket, whatever the main thread is doing; a thread of its own reads
it and acts. So it works also while the main thread is stuck in a write to a pipe that nobody reads, even if the signal
came just before that write began, when no handler would run any more. SIGUSR1 has the status said. Ctrl-Z (SIGTSTP)
pauses the run before the process stops, so that after `fg` no rate makes up for that time.

A process that the function forks has nothing of this: its signals do what they did before, and no number of its own
arrives here. Otherwise the workers of a `multiprocessing.Pool` could not be terminated, and would end the run instead.
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

from .messages import descriptor, emit, is_terminal, say

if TYPE_CHECKING:
    from typing import Self

    from ..core.summary import Summary

PATIENCE = 10.0  # seconds that a polite SIGTERM lets calls in flight go on
HEARD = 0.5  # seconds in which a run should have heard that it is to drain
END_WITHIN = 1.5  # seconds from the second signal that the process has to end by itself
GLANCE = 0.1  # seconds between two looks for a signal while something is waited for
RESCUE = 0.25  # seconds then, to give unfinished files their names, before it is ended


T = TypeVar("T")
STATUS = getattr(signal, "SIGUSR1", None)
STOP = getattr(signal, "SIGTSTP", None)
ENDING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))
HANDLED: tuple[int, ...] = (*ENDING, *(it for it in (STATUS, STOP) if it is not None))


class Controlled(Protocol):
    """What of a run the signals need."""

    def drain(self) -> None:
        """Start nothing new, finish what is in flight."""

    def cancel(self) -> None:
        """Cancel what is in flight."""

    def pause(self) -> None:
        """Start nothing until `resume`."""

    def resume(self) -> None:
        """Go on."""

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
        for number in HANDLED:
            if number == STATUS or signal.getsignal(number) is not signal.SIG_IGN:
                self._before[number] = signal.signal(number, self._handle)
        self._wakeup.setblocking(False)
        self._wakeup_before = signal.set_wakeup_fd(self._wakeup.fileno(), warn_on_full_buffer=False)
        _forks.signals = self
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Put the handlers back, unless the process is being ended in haste."""
        self._over = True
        _forks.signals = None
        if not self.cut_short:
            self.put_back()
            self._wakeup.close()  # which ends the thread
            if self._run is None:
                self._numbers.close()

    def put_back(self) -> None:
        """Let signals do what they did before."""
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._wakeup_before)

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
        number = self._held if self._early is None else self._early
        if number is not None:
            raise Interrupted(number)

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
        if number == STATUS:
            if self._run is None:
                say("starting: nothing was called yet")
            return
        if number == STOP:
            if self._run is None:
                _stop_process()
            return
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
            if told[0] == STATUS and self._run is not None:
                say(f"status: {self._run.summary().line}")
            elif told[0] == STOP:
                if self._run is not None:
                    _stop(self._run)
            elif told[0] in self._before:
                return told[0]

    def _end(self, run: Controlled) -> None:
        """Cancel, and end the process even if the main thread is stuck."""
        assert self._first is not None
        self.cut_short, self.in_flight = True, run.summary().in_flight
        run.cancel()
        time.sleep(END_WITHIN)
        for rescue in (*self._rescues, _end_children):  # each on its own: one may be stuck where the main thread is
            threading.Thread(target=rescue, daemon=True).start()
        time.sleep(RESCUE)
        os._exit(128 + self._first)


class _Forks:
    """What a fork has to know: whose signals are in force, and which were held back for that instant."""

    signals: Signals | None = None

    def __init__(self) -> None:
        self._masks = threading.local()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(
                before=self._hold_back, after_in_parent=self._let_through, after_in_child=self._begin_in_child
            )

    def _hold_back(self) -> None:
        """Have no signal arrive in a child that is not yet rid of our handlers."""
        if self.signals is not None:
            self._masks.before = signal.pthread_sigmask(signal.SIG_BLOCK, HANDLED)

    def _let_through(self) -> None:
        before = self._masks.__dict__.pop("before", None)
        if before is not None:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _begin_in_child(self) -> None:
        if self.signals is not None:
            self.signals.put_back()
            if STATUS is not None and signal.getsignal(STATUS) is signal.SIG_IGN:  # by us, see `entry`
                signal.signal(STATUS, signal.SIG_DFL)
            self.signals = None
        self._let_through()


_forks = _Forks()


def _end_children() -> None:
    """End the processes that functions started through multiprocessing: nobody else will, once this one has gone."""
    multiprocessing = sys.modules.get("multiprocessing")
    if multiprocessing is not None:
        for child in multiprocessing.active_children():
            child.terminate()


def _stop(run: Controlled) -> None:
    """Stop the process, with its run paused for as long as it stands still."""
    try:
        run.pause()
    except RuntimeError:  # it has just ended
        _stop_process()
        return
    ends = time.monotonic() + HEARD
    while not run.summary().held and time.monotonic() < ends:
        time.sleep(0.005)  # as in `_tell`
    _stop_process()
    run.resume()


def _stop_process() -> None:
    """Do what Ctrl-Z does where nobody handles it, and return after `fg`."""
    os.kill(os.getpid(), signal.SIGSTOP)


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
    try:
        if not select.select([], [descriptor()], [], 0)[1]:
            return
        if is_terminal():  # where progress may be shown, of which the stream knows
            teller = threading.Thread(target=emit, args=(f"{text}\n",), name="whilst-signals", daemon=True)
            teller.start()
            teller.join(HEARD)
        else:
            os.write(descriptor(), f"{text}\n".encode())
    except (OSError, ValueError):
        pass
