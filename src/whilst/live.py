"""`whilst.watch()`: the runs of this process in a browser while they go on."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any

from .core.check import answered, whole
from .core.plan import Plan
from .core.summary import Summary
from .lanes.clock import clock_of
from .run import watchers

if TYPE_CHECKING:
    from typing import Self

    from .engine.observer import Observer
    from .insight.live import Live


MOST_PORT = 65535
NEEDS = ("..reporting", "..insight.live", "..insight.recorder")


class Watch:
    """Shows every run of this process that begins while it is open; see `watch`.

    Attributes:
        url: the address of the page, with a token that works once.
    """

    def __init__(self, port: int = 0) -> None:
        from .insight.serving import Server

        self._guard = Lock()
        self._live: Live | None = None
        self._server = Server(self._shown, port)
        self.url: str = self._server.url
        self._open = True
        self._pid = os.getpid()
        watchers[self._begin] = NEEDS

    def close(self) -> None:
        """Update the page a last time and stop serving it. Runs go on.

        >>> import whilst
        >>> page = whilst.watch(quiet=True)
        >>> page.close()
        """
        if self._open:
            self._open = False
            del watchers[self._begin]
            self._server.close()

    def __enter__(self) -> Self:
        """Close it at the end of the block."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it."""
        self.close()

    def __repr__(self) -> str:
        state = "" if self._open else ", closed"
        return f"<Watch on port {self._server.port}{state}>"  # the token is for who was told it

    def _shown(self) -> Live:
        """Return what is shown; a loop has loaded what it needs before a run begins on it."""
        from .insight.live import Live

        with self._guard:
            if self._live is None:
                self._live = Live()
            return self._live

    def _begin(self, plan: Plan, loop: asyncio.AbstractEventLoop, summary: Callable[[], Summary]) -> Observer | None:
        if os.getpid() != self._pid:
            return None  # a forked child has nobody who would answer
        from .insight.recorder import Recorder
        from .reporting import beginning_of

        shown: Any = self._shown().begin(beginning_of(plan), summary)
        return Recorder([shown], loop, clock_of(loop), summary, limits=plan.limits, concurrency=plan.concurrency)


@answered
def watch(*, port: int = 0, quiet: bool = False) -> Watch:
    """Serve a live page with the runs of this process, on this machine only.

    It is the page of `run.report()`, updated about once a second. The address is printed on stderr; its token works
    once, for the browser that opens it first. It listens only on 127.0.0.1, refuses requests for another host or from
    another origin, and allows no change. It costs a run as much as `trace=`, and at most a fiftieth of one processor
    for the viewers.

    Args:
        port: the port to listen on; 0: any free port.
        quiet: do not print the address.

    Returns:
        A `Watch`: its `url` is the address; `close()`, or the end of a `with` block, ends it.

    Raises:
        OSError: the port is taken.

    >>> import whilst
    >>> with whilst.watch(quiet=True) as page:
    ...     whilst.map(abs, [-1]).list()
    [1]
    >>> page.url.startswith("http://127.0.0.1:")
    True
    """
    if whole("port", port, least=0) > MOST_PORT:
        raise ValueError(f"port must be at most {MOST_PORT}, got {port}\n  try: port=0, for any that is free")
    found = Watch(port)
    if not quiet:
        print(f"watch: {found.url}", file=sys.stderr, flush=True)
    return found
