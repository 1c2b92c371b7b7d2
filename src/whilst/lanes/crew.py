"""A crew: daemon threads that serve one queue of jobs, started when needed, parked when idle.

Whoever appends a job calls `wake`; each woken thread that leaves jobs in the queue wakes the next. Threads are
started by one spawner thread, because `Thread.start()` waits for the thread: 0.1 ms idle, 2 ms with 200 busy.

What a thread works on stands in its `Member.job`. The thread alone takes a job off when it is done, others alone
`retire` a member that is stuck in one; both under the member's `guard`, so whichever comes first holds.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

# When the threads took more than a job each, and more than a few, while one more was started (0.1 to 0.3 ms), the jobs
# do not wait for anything and more threads would only fight for the interpreter: the spawner takes a breath.
SPREE = 4
BREATH = 0.0005  # seconds


class Member:
    """One thread of a crew, as others see it."""

    __slots__ = ("at_end", "gate", "guard", "job", "retired", "state", "thread")

    def __init__(self) -> None:
        self.job: Any = None  # what the thread works on now
        self.retired: bool = False  # given up in the middle of a job; the thread ends when that returns
        self.state: Any = None  # for the crew's owner
        self.thread: int = 0  # its identity, once it has started
        self.at_end: list[Callable[[], object]] = []  # called on the thread itself before it ends
        self.guard: threading.Lock = threading.Lock()
        self.gate: threading.Lock = threading.Lock()  # an idle thread waits here
        self.gate.acquire()

    def finish(self) -> bool:
        """Say, on the thread itself, that its job is done; False if it was given up before."""
        with self.guard:
            self.job = None
            return not self.retired


class Crew:
    """At most `most` threads that call `serve(member, job)` for each job in `queue`.

    Args:
        queue: jobs, taken from the left.
        serve: called on a crew's thread; it must call `member.finish()` before it lets the result out, and end
            there if that is False. It raises nothing.
        most: how many threads at most; a retired one does not count.
        patience: seconds an idle thread stays; None: until `close`.
        on_gone: called, on some thread, when a closed crew's last thread that was not retired has ended.
        on_stuck: called, on some thread, when there are jobs and no thread, and none can be started.
    """

    def __init__(
        self,
        queue: deque[Any],
        serve: Callable[[Member, Any], None],
        most: int,
        *,
        name: str = "whilst",
        patience: float | None = None,
        on_gone: Callable[[], object] | None = None,
        on_stuck: Callable[[RuntimeError], object] | None = None,
    ) -> None:
        self.members: set[Member] = set()
        self.retired: set[Member] = set()
        self.closing: bool = False
        self._queue = queue
        self._serve = serve
        self._most = most
        self._name = name
        self._patience = -1 if patience is None else patience
        self._on_gone = on_gone
        self._on_stuck = on_stuck
        self._parked: deque[Member] = deque()
        self._ending = False  # whether threads without work go home
        self._taken = 0  # jobs so far
        self._waking = False  # whether a woken thread has not come to the queue yet
        self._spawner: threading.Thread | None = None
        self._spawner_guard = threading.Lock()
        self._spawn_gate = threading.Lock()
        self._spawn_gate.acquire()

    @property
    def idle(self) -> bool:
        """Whether a thread stands ready, or could be started."""
        return bool(self._parked) or len(self.members) < self._most

    @property
    def gone(self) -> bool:
        """Whether every thread that was not retired has ended."""
        return not self.members and self._spawner is None

    def at_work(self, waiting: int = 0) -> bool:
        """Whether a thread is in a job or about to take one; `waiting` of them wait for the loop themselves."""
        if len(self.members) - len(self._parked) > waiting or (self.closing and not self.gone):
            return True
        return bool(self._queue) and not self.closing and waiting < self._most

    def wake(self) -> None:
        """Put one more thread to work, unless one is on its way already: it wakes the next. From any thread."""
        if self._waking:
            return
        self._waking = True  # cleared by the thread that comes, before it looks at what the queue still holds
        try:
            self._parked.pop().gate.release()
        except IndexError:
            if len(self.members) >= self._most or not self._ask_spawner():
                self._waking = False  # all are busy, and each looks at the queue when it is done

    def retire(self, member: Member, job: object, noted: Callable[[], None] | None = None) -> bool:
        """Leave a thread behind in `job`; False if that has ended meanwhile. Another may take its place.

        `noted` is called if it is left, before the thread can see it.
        """
        with member.guard:
            if member.job is not job or member.retired:
                return False
            if noted is not None:
                noted()
            member.retired = True
            self.retired.add(member)  # under the guard, or the thread could end before it is listed
        self.members.discard(member)
        return True

    def no_more(self) -> None:
        """Let threads go home as soon as the queue is empty, which spares waking them for it at the end."""
        self._ending = True
        self._rouse()

    def close(self) -> None:
        """Send idle threads home; the busy ones follow when their job is done."""
        self.closing = True
        self._rouse()
        _open(self._spawn_gate)

    def _rouse(self) -> None:
        try:
            while True:
                self._parked.pop().gate.release()
        except IndexError:
            pass  # nobody is idle

    # -- on the crew's threads --------------------------------------------------------------------------------

    def _work(self, member: Member) -> None:
        take, serve, queue = self._queue.popleft, self._serve, self._queue
        woken, member.thread = True, threading.get_ident()
        try:
            while not (self.closing or member.retired):
                try:
                    member.job = job = take()
                except IndexError:
                    if woken:
                        self._waking = False
                    if self._ending or not self._park(member):
                        return
                    woken = True
                    continue
                if woken:
                    woken = self._waking = False
                    if queue:
                        self.wake()
                self._taken += 1  # racy, and good enough for what it is for
                serve(member, job)
                del job  # an idle thread must not keep an input alive
        finally:
            self._end(member)

    def _park(self, member: Member) -> bool:
        """Wait for a wake-up; False when patience ended first."""
        self._parked.append(member)
        if (self._queue or self.closing or self._ending) and self._unpark(member):
            return True  # somebody may have looked for idle threads just before
        if member.gate.acquire(timeout=self._patience):
            return True
        if self._unpark(member):
            return False
        member.gate.acquire()  # being woken in this very moment
        return True

    def _unpark(self, member: Member) -> bool:
        try:
            self._parked.remove(member)
        except ValueError:
            return False
        return True

    def _end(self, member: Member) -> None:
        try:
            while member.at_end:
                member.at_end.pop()()
        finally:  # should an action raise, the thread still counts as gone
            self.members.discard(member)
            self.retired.discard(member)
            if self._queue and not self.closing:
                self.wake()  # a job may have come while this thread was leaving
            self._tell_if_gone()

    def _tell_if_gone(self) -> None:
        if self.closing and self.gone and self._on_gone is not None:
            self._on_gone()

    # -- on the spawner's thread ------------------------------------------------------------------------------

    def _ask_spawner(self) -> bool:
        with self._spawner_guard:
            if self.closing:
                return False
            if not self.members:  # the first one directly: a flow whose blocking steps follow each other needs no more
                return self._start()
            if self._spawner is None:
                spawner = threading.Thread(target=self._spawn, name=f"{self._name}-spawner", daemon=True)
                try:
                    spawner.start()
                except RuntimeError:
                    return False  # the system gives no more threads; those there are go on
                self._spawner = spawner
        _open(self._spawn_gate)
        return True

    def _spawn(self) -> None:
        while self._spawn_gate.acquire(timeout=self._patience) and not self.closing:
            self._waking = False
            while self._queue and not self._parked and len(self.members) < self._most and not self.closing:
                taken = self._taken
                if not self._start():
                    break
                if self._taken - taken > max(SPREE, len(self.members)):
                    time.sleep(BREATH)
            else:
                if self._queue:
                    self.wake()  # whoever parked meanwhile
        with self._spawner_guard:
            self._spawner = None
            self._waking = False
        if self._queue and not self.closing:
            self.wake()
        self._tell_if_gone()

    def _start(self) -> bool:
        member = Member()
        self.members.add(member)
        try:
            threading.Thread(target=self._work, args=(member,), name=f"{self._name}-lane", daemon=True).start()
        except RuntimeError as error:  # the system gives no more threads; those there are go on
            self.members.discard(member)
            self._stuck(error)
            return False
        return True

    def _stuck(self, error: RuntimeError) -> None:
        if not self.members and self._on_stuck is not None:
            self._on_stuck(error)


def _open(gate: threading.Lock) -> None:
    try:
        gate.release()
    except RuntimeError:
        pass  # open already
