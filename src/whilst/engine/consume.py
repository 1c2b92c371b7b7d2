"""The consumer's side of a run: takes what is ready, counts it as delivered, waits when there is nothing.

The first two functions are the same in two colours; they are all of this library that exists twice. The third is for a
consumer of our own, that can do with many records at once.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable, Generator, Iterator
from itertools import islice
from typing import Any

from ..core.outcome import Record, noted
from .driver import Driver
from .handoff import LoopHandoff, ThreadHandoff

Unpack = Callable[[Record], Any]

TOGETHER = 128  # records that count as delivered at once, at most: an eighth of the window of a run in full swing


def value_of(record: Record) -> Any:
    """Return the value; raise the failure, as it is."""
    if record[3] is None:
        return record[2]
    try:
        raise record[3]
    finally:
        del record  # or the error and its traceback would keep each other alive


def noted_value_of(record: Record) -> Any:
    """Return the value; raise the failure with a note that names the input."""
    if record[3] is None:
        return record[2]
    try:
        raise noted(record[3], record[0], record[1], record[6])
    finally:
        del record


_VALUES = (value_of, noted_value_of)  # what these give for a success is known here: 0.06 µs less an input


async def consume(
    begin: Callable[[], tuple[Driver, LoopHandoff, Unpack]], end: Callable[[], None]
) -> AsyncGenerator[Any, None]:
    """Begin a run and give `unpack(record)` for each of its records, on the run's own loop; close it at the end."""
    driver, handoff, unpack = begin()
    take, ahead, values = handoff.ready.popleft, driver.ahead, unpack in _VALUES
    window = ahead.window
    record: Record | None = None
    try:
        while True:
            try:
                record = take()
            except IndexError:
                if driver.finished:
                    break
                ahead.ran_dry()
                await handoff.wait()
                continue
            window.delivered = delivered = window.delivered + 1
            if delivered >= ahead.nudge_at:
                ahead.nudge()
            yield record[2] if values and record[3] is None else unpack(record)
            del record
    finally:
        record = None  # or the error and its traceback would keep each other alive
        await driver.close()
        driver.forget()
        end()
    _raise_end(driver)


def consume_plain(
    begin: Callable[[], tuple[Driver, ThreadHandoff, Unpack]], end: Callable[[], None]
) -> Generator[Any, None, None]:
    """Begin a run that another thread drives and give `unpack(record)` for each of its records; `end` closes it."""
    driver, handoff, unpack = begin()
    take, ahead, values = handoff.ready.popleft, driver.ahead, unpack in _VALUES
    window = ahead.window
    record: Record | None = None
    try:
        while True:
            try:
                record = take()
            except IndexError:
                if driver.finished and not handoff.ready:
                    break
                ahead.ran_dry()
                handoff.wait(lambda: driver.finished, window)
                continue
            window.delivered = delivered = window.delivered + 1
            if delivered >= ahead.nudge_at:
                ahead.nudge()
            yield record[2] if values and record[3] is None else unpack(record)
            del record
    finally:
        record = None  # or the error and its traceback would keep each other alive
        end()
        driver.forget()
    _raise_end(driver)


def consume_together(
    begin: Callable[[], tuple[Driver, ThreadHandoff, Unpack]], end: Callable[[], None]
) -> Generator[Iterator[Record], None, None]:
    """Do as `consume_plain`, but give as many records at once as are ready, each to be taken: 0.7 µs less a record."""
    driver, handoff, _ = begin()
    ready, ahead, window = handoff.ready, driver.ahead, driver.ahead.window
    taken = iter(ready.popleft, None)
    try:
        while True:
            count = min(len(ready), TOGETHER)
            if not count:
                if driver.finished and not ready:
                    break
                ahead.ran_dry()
                handoff.wait(lambda: driver.finished, window)
                continue
            window.delivered = delivered = window.delivered + count
            if delivered >= ahead.nudge_at:
                ahead.nudge()
            yield islice(taken, count)
    finally:
        end()
        driver.forget()
    _raise_end(driver)


def _raise_end(driver: Driver) -> None:
    """Raise what ended the run, if that was not the end of the inputs."""
    error, driver.error = driver.error, None
    if error is not None:
        try:
            raise error
        finally:
            del error, driver
