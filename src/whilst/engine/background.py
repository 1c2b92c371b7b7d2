"""Where do runs of plain code live, and how is what a run needs loaded without holding up a loop?

The engine has a loop of its own, in one daemon thread a process, for callers that have no running loop. On a caller's
loop the engine is loaded the first time on a thread, which is awaited.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from importlib import import_module

from ..lanes.clock import monotonic
from ..lanes.interrupted import start

EXIT_WAIT = 1.0  # seconds that a normal exit waits for runs that are still going to close what they opened


class Background:
    """A loop in a thread, started at first use."""

    def __init__(self) -> None:
        self.loop: asyncio.AbstractEventLoop = _new_loop()
        self._stopped = False
        self.thread: threading.Thread = threading.Thread(target=self._run, name="whilst-engine", daemon=True)
        try:
            start(self.thread)
        except BaseException:  # Ctrl-C, mostly: nobody will know of this one
            self._stopped = True
            self.loop.call_soon_threadsafe(self.loop.stop)
            raise

    def _run(self) -> None:
        asyncio.set_event_loop(self.loop)
        while not self._stopped:
            try:
                self.loop.run_forever()
            except (KeyboardInterrupt, SystemExit):
                pass  # asyncio lets those of a task out of the loop; whoever awaits the task gets them, and it goes on

    def stop(self) -> None:
        """Cancel what runs and end the thread; who maps after that, at exit, gets a new one or an error."""
        global _current
        if _current is self:
            _current = None
        self.loop.call_soon_threadsafe(self._cancel_all)
        self.thread.join(EXIT_WAIT)
        if not self.thread.is_alive():
            self.loop.close()

    def _cancel_all(self) -> None:
        tasks = asyncio.all_tasks(self.loop)
        for task in tasks:
            task.cancel()
        closing = asyncio.gather(*tasks, return_exceptions=True)
        closing.add_done_callback(lambda _: self._stop())

    def _stop(self) -> None:
        self._stopped = True
        self.loop.stop()


_current: Background | None = None
_guard = threading.Lock()
_parents: list[Background] = []  # kept alive in a forked child: closing their loop would disturb the parent's epoll


def background() -> Background:
    """Return this process's engine, starting it when there is none."""
    global _current
    with _guard:
        if _current is None:
            _current = Background()
            atexit.register(_current.stop)
        return _current


def is_engine_thread() -> bool:
    """Whether the caller itself runs on the engine's loop, where waiting for the engine would be for ever."""
    return _current is not None and threading.current_thread() is _current.thread


def is_engine(loop: asyncio.AbstractEventLoop) -> bool:
    """Whether it is the engine's: not that of one which was stopped, nor of the process that was forked."""
    return _current is not None and _current.loop is loop


def _new_loop() -> asyncio.AbstractEventLoop:
    if os.environ.get("WHILST_LOOP") == "uvloop":
        import uvloop

        return uvloop.new_event_loop()
    loop = asyncio.new_event_loop()
    setattr(loop, "time", monotonic)  # noqa: B010 - a frozen clock stops no timers: see `monotonic`
    return loop


def _after_fork() -> None:
    """Forget the parent's engine: its thread does not exist in the child."""
    global _current, _guard
    if _current is not None:
        atexit.unregister(_current.stop)
        _parents.append(_current)
    _current, _guard = None, threading.Lock()


def on_fork(callback: Callable[[], None]) -> None:
    """Have `callback` called in the child after each fork, where the system has forks."""
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=callback)


on_fork(_after_fork)


_loaded: set[str] = set()


class _Loading:
    """The loading of some modules, on a thread of its own: those of the loop may all be at work."""

    def __init__(self, names: tuple[str, ...], loop: asyncio.AbstractEventLoop) -> None:
        self._names = names
        self._loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        start(threading.Thread(target=self._load, name="whilst-loading", daemon=True))

    def _load(self) -> None:
        with suppress(Exception):  # whoever imports it on the loop hears of it
            for name in self._names:
                import_module(name, __package__)
        with suppress(RuntimeError):  # the loop is closed: nobody waits
            self._loop.call_soon_threadsafe(self._end)

    def _end(self) -> None:
        if not self.done.done():
            self.done.set_result(None)


async def loaded(*names: str) -> None:
    """Return when these modules, by their names in `engine` (`.driver`), can be imported at once.

    On virtual time they are loaded here: a thread would take time from the real clock, and nobody waits on such a loop.
    """
    if _loaded.issuperset(names):
        return
    loop = asyncio.get_running_loop()
    if hasattr(loop, "virtual_clock"):
        for name in names:
            import_module(name, __package__)
    else:
        await _Loading(names, loop).done
    _loaded.update(names)
