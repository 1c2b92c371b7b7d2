"""`executor="process"`: worker processes as a place where calls are made."""

from __future__ import annotations

import asyncio
import contextvars
import signal
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..core.check import answered, whole
from ..lanes.clock import processors
from ..remote.codec import Target, encoded_target
from .preparing import is_importing_main, preparation, variables_of

if TYPE_CHECKING:
    from ..lanes.port import Lanes, Port
    from ..remote.calls import RemoteCalls
    from ..remote.transport import Client, Worker
    from .link import Rounds


class Processes:
    """Worker processes of a run, for functions that compute.

    `executor="process"` is short for `executor=whilst.processes.Processes()`. Each run has its own: as many as
    `concurrency` says, else as many as there are processors that this process may use. They end with the run.

    Args:
        recycle: how many calls a worker makes before a new one takes its place, for functions that leak; None: a
            worker stays until the end of its run.

    Raises:
        TypeError, ValueError: when `recycle` cannot be meant.

    >>> import whilst, whilst.processes
    >>> workers = whilst.processes.Processes(recycle=1000)
    >>> whilst.map(abs, [-1, -2], executor=workers, concurrency=1).list()
    [1, 2]
    """

    __slots__ = ("_place",)

    @answered
    def __init__(self, *, recycle: int | None = None) -> None:
        self._place: WorkerProcesses = WorkerProcesses(None if recycle is None else whole("recycle", recycle, least=1))

    def __repr__(self) -> str:
        recycle = self._place.recycle
        return "Processes()" if recycle is None else f"Processes(recycle={recycle})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Processes) and other._place == self._place

    def __hash__(self) -> int:
        return hash(self._place)


class WorkerProcesses:
    """Where the calls of a run are made that was given `Processes`; see `lanes.port.Executor`, `core.plan.Place`."""

    name: str = "process"
    opens: frozenset[str] = frozenset({"process"})

    def __init__(self, recycle: int | None) -> None:
        self.recycle: int | None = recycle

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WorkerProcesses) and other.recycle == self.recycle

    def __hash__(self) -> int:
        return hash((WorkerProcesses, self.recycle))

    @property
    def default(self) -> int:
        """How many workers there are where nobody says: one for each processor."""
        return processors()

    def check(self, fn: Callable[..., Any], use: tuple[tuple[str, Any], ...] = ()) -> None:
        """Refuse, where it is written, what cannot be sent to a worker."""
        if not hasattr(signal, "pthread_sigmask"):
            raise RuntimeError('executor="process" needs a POSIX system\n  try: executor="thread", or WSL')
        encoded_target(Target(fn, True, use))

    def lanes(self, port: Port, fn: Callable[[Any], Any], concurrency: int, patience: float, *, name: str) -> Lanes:
        """Return lanes that are worker processes."""
        from ..remote.lanes import RemoteLanes

        return RemoteLanes(
            port,
            Workers(port.loop, port.clock, preparation(name, port.context, port.run_id()), name, port.started),
            concurrency,
            name=name,
            targets=[encoded_target(Target(fn))],
            recycle=self.recycle,
        )

    def calls(self, loop: asyncio.AbstractEventLoop, most: int, *, name: str) -> RemoteCalls:
        """Return at most so many worker processes that make single calls."""
        return self._calls(loop, most, name, None)

    def calls_of_loop(self) -> RemoteCalls:
        """Return those of the running loop, for one value through a flow; idle ones end after a while, and with it."""
        from ..lanes.calls import kept_for_loop

        return kept_for_loop(self, lambda loop: self._calls(loop, processors(), "whilst", IDLE))

    def _calls(self, loop: asyncio.AbstractEventLoop, most: int, name: str, patience: float | None) -> RemoteCalls:
        from ..lanes.clock import clock_of
        from ..remote.calls import RemoteCalls

        clock = clock_of(loop)
        workers = Workers(loop, clock, preparation(name, contextvars.Context()), name)
        return RemoteCalls(
            loop,
            clock,
            workers,
            most,
            name=name,
            recycle=self.recycle,
            patience=patience,
            sent_with=variables_of,
        )


IDLE = 10.0  # seconds that a worker of a loop stays for the next call


class Workers:
    """Starts workers for one run; see `remote.transport.Transport`."""

    def __init__(
        self, loop: asyncio.AbstractEventLoop, clock: Callable[[], float], told: bytes, name: str, began: float = 0.0
    ) -> None:
        self._loop = loop
        self._began = began
        self._clock = clock
        self._told = told
        self._name = name
        self._rounds: Rounds | None = None
        if "__main__" in sys.modules:
            sys.modules.setdefault("__mp_main__", sys.modules["__main__"])  # the name that a worker knows it by

    def start(self, client: Client) -> Worker:
        """Begin a worker."""
        if is_importing_main():
            raise RuntimeError(
                f"{self._name}: each worker imports the program, which starts workers again, without end\n"
                '  try: if __name__ == "__main__": around the code that runs, below the functions'
            )
        from .link import Link, Rounds

        if self._rounds is None:
            self._rounds = Rounds(self._loop)
        return Link(client, self._rounds, self._loop, self._clock, self._told, self._name, self._began)
