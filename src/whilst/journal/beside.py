"""How is a journal opened without holding up a loop? On a thread of its own, which also loads what it takes."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..errors import JournalError
from ..lanes.awaiting import ended
from ..lanes.clock import announce
from ..lanes.interrupted import start
from ..lanes.results import tell

if TYPE_CHECKING:
    from .ledger import Ledger


class GoingOn:
    """Whether an opening is still wanted, and whether it is under way."""

    def __init__(self) -> None:
        self.wanted: bool = True
        self.under_way: bool = True

    def at_work(self) -> bool:
        """Tell virtual time to stand back; see `whilst.testing`."""
        return self.under_way

    def check(self) -> None:
        """End the opening if nobody wants it any more."""
        if not self.wanted:
            raise JournalError("the journal was not opened: the run was cancelled meanwhile")


async def opened_beside(open_it: Callable[[GoingOn], Ledger], loop: asyncio.AbstractEventLoop) -> Ledger:
    """Open a journal on a thread of its own. A cancellation goes on when that has ended, with nothing left open."""
    __tracebackhide__ = True
    found: list[Ledger] = []
    going_on, done = GoingOn(), loop.create_future()

    def open_or_fail() -> None:
        __tracebackhide__ = True
        error: BaseException | None = None
        try:
            found.append(open_it(going_on))
        except BaseException as caught:  # whatever it is, it is the caller's
            error = caught
        if not tell(loop, _told, going_on, done, error) and found:  # the loop is gone, and nobody wants it
            found.pop().close_now()

    announce(going_on, loop)
    thread = threading.Thread(target=open_or_fail, name="whilst-journal", daemon=True)
    start(thread)
    try:
        await asyncio.wait([done])
    except asyncio.CancelledError:
        going_on.wanted = False
        await ended([done])
        if found:
            announce(found[0], loop)  # virtual time stands back for its closing, too
            await found.pop().close()
        else:
            done.exception()  # it is not wanted either
        raise
    done.result()
    announce(found[0], loop)  # it may be closed before a run has it
    return found.pop()


def _told(going_on: GoingOn, done: asyncio.Future[None], error: BaseException | None) -> None:
    going_on.under_way = False
    if error is None:
        done.set_result(None)
    else:
        done.set_exception(error)
