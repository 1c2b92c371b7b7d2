"""The consumer's side of a run: takes what is ready, counts it as delivered, waits when there is nothing.

The two functions are the same in two colours; they are all of this library that exists twice.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from ..core.outcome import Record
from .driver import Driver
from .handoff import LoopHandoff, ThreadHandoff

Unpack = Callable[[Record], Any]


def value_of(record: Record) -> Any:
    """Return the value; raise the failure, as it is."""
    if record[3] is None:
        return record[2]
    raise record[3]


async def consume(
    begin: Callable[[], tuple[Driver, LoopHandoff, Unpack]], end: Callable[[], None]
) -> AsyncGenerator[Any, None]:
    """Begin a run and give `unpack(record)` for each of its records, on the run's own loop; close it at the end."""
    driver, handoff, unpack = begin()
    take, window = handoff.ready.popleft, driver.window
    try:
        while True:
            try:
                record = take()
            except IndexError:
                if driver.finished:
                    break
                await handoff.wait()
                continue
            window.delivered = delivered = window.delivered + 1
            if delivered >= driver.nudge_at:
                driver.nudge()
            yield unpack(record)
            del record
    finally:
        await driver.close()
        end()
    if driver.error is not None:
        raise driver.error


def consume_plain(
    begin: Callable[[], tuple[Driver, ThreadHandoff, Unpack]], end: Callable[[], None]
) -> Generator[Any, None, None]:
    """Begin a run that another thread drives and give `unpack(record)` for each of its records; `end` closes it."""
    driver, handoff, unpack = begin()
    take, window = handoff.ready.popleft, driver.window
    try:
        while True:
            try:
                record = take()
            except IndexError:
                if driver.finished and not handoff.ready:
                    break
                handoff.wait(lambda: driver.finished)
                continue
            window.delivered = delivered = window.delivered + 1
            if delivered >= driver.nudge_at:
                driver.nudge()
            yield unpack(record)
            del record
    finally:
        end()
    if driver.error is not None:
        raise driver.error
