"""How is what a run needs loaded without holding up the loop? On a thread, which is awaited, the first time."""

from __future__ import annotations

import asyncio
import threading
from contextlib import suppress
from importlib import import_module

_loaded: set[str] = set()


class _Loading:
    """The loading of some modules, on a thread of its own: those of the loop may all be at work."""

    def __init__(self, names: tuple[str, ...], loop: asyncio.AbstractEventLoop) -> None:
        self._names = names
        self._loop = loop
        self.done: asyncio.Future[None] = loop.create_future()
        threading.Thread(target=self._load, name="whilst-loading", daemon=True).start()

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
