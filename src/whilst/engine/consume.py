"""The consumer's side of a run: takes what is ready, counts it as delivered, waits when there is nothing.

The first two functions are the same in two colours, and so are the others, which are for a consumer of our own that can
do with many records at once; they are all of this library that exists twice.
"""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any, Protocol

from ..core.outcome import Record, noted, noted_loop
from .handoff import Failed

if TYPE_CHECKING:
    from typing import Self

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
    __tracebackhide__ = True
    try:
        raise noted(record[3], record[0], record[1], record[6])
    finally:
        del record


def beside_value_of(record: Record) -> Any:
    """Do the same for plain code, whose calls are on another loop than that of a notebook's cells, for example."""
    if record[3] is None:
        return record[2]
    __tracebackhide__ = True
    noted_loop(record[3])
    try:
        return noted_value_of(record)
    finally:
        del record


class Ending(Protocol):
    """What may have ended with an error."""

    error: BaseException | None


class EndOf:
    """Raises, behind a block that takes what comes, what that has ended with.

    Who leaves the block in another way does not hear of it, nor is it kept: its frames keep what it is of.

    Attributes:
        of: what it is that ends, from when it has begun.
    """

    def __init__(self, of: Ending | None = None) -> None:
        self.of: Ending | None = of

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, caught: object, trace: object) -> None:
        __tracebackhide__ = True
        of, self.of = self.of, None
        if of is None:
            return
        error, of.error = of.error, None
        if kind is None and error is not None:
            try:
                raise error
            finally:
                del error, of, self


_NOTHING = object()  # is ready


async def consume(
    begin: Callable[[], Awaitable[tuple[Driver, LoopHandoff, Unpack]]],
    end: Callable[[], Awaitable[None]] | None = None,
) -> AsyncGenerator[Any, None]:
    """Begin a run and give `unpack(record)` for each of its records, on the run's own loop; close it at the end."""
    __tracebackhide__ = True
    driver, handoff, unpack = await begin()
    take, ahead, values = handoff.ready.popleft, driver.ahead, handoff.values
    window = ahead.window
    given: Any = None
    with EndOf(driver):
        try:
            while True:
                try:
                    given = take()
                except IndexError:
                    given = _NOTHING  # and no waiting in here, where whatever comes would be told of this first
                if given is _NOTHING:
                    if driver.finished or (driver.additions.quiet and driver.additions.is_over() and not driver.keeps):
                        break
                    if driver.additions.quiet:
                        driver.end_quietly()
                        if handoff.ready:
                            continue
                    ahead.ran_dry()
                    await handoff.wait()
                    continue
                window.delivered = delivered = window.delivered + 1
                if delivered >= ahead.nudge_at:
                    ahead.nudge()
                yield given if values and type(given) is not Failed else unpack(given)
                del given
        finally:
            given = None  # or the error and its traceback would keep each other alive
            try:
                await driver.close()
            finally:  # who is cancelled meanwhile has it closed all the same
                driver.forget()
                if end is not None:
                    await end()


def consume_plain(
    claim: Callable[[], None], begin: Callable[[], tuple[Driver, ThreadHandoff, Unpack]], end: Callable[[], None]
) -> Generator[Any, None, None]:
    """Begin a run that another thread drives and give `unpack(record)` for each of its records; `end` closes it.

    `claim` raises if the run may not begin. A Ctrl-C comes at any moment after that, also before `begin` returns.
    """
    __tracebackhide__ = True
    claim()
    driver: Driver | None = None
    given: Any = None
    asked = False  # whether the driver was told that nothing more is added

    def over() -> bool:
        assert driver is not None
        return driver.finished or (driver.additions.quiet and not asked)

    with EndOf() as ending:
        try:
            driver, handoff, unpack = begin()
            ending.of = driver
            take, ahead, values = handoff.ready.popleft, driver.ahead, handoff.values
            window = ahead.window
            while True:
                try:
                    given = take()
                except IndexError:
                    given = _NOTHING  # as above
                if given is _NOTHING:
                    if driver.finished and not handoff.ready:
                        break
                    if driver.additions.quiet and not (asked or handoff.ready) and driver.additions.is_over():
                        if not driver.keeps:
                            break
                        asked = True
                        handoff.call(driver.end_quietly)
                    ahead.ran_dry()
                    handoff.wait(over, window)
                    continue
                window.delivered = delivered = window.delivered + 1
                if delivered >= ahead.nudge_at:
                    ahead.nudge()
                yield given if values and type(given) is not Failed else unpack(given)
                del given
        finally:
            given = None  # or the error and its traceback would keep each other alive
            try:
                end()
            except KeyboardInterrupt:  # in there: it goes on with what it had not come to
                end()
                raise
            finally:
                if driver is not None:
                    driver.forget()


def consume_together(
    claim: Callable[[], None],
    begin: Callable[[], tuple[Driver, ThreadHandoff, Unpack]],
    end: Callable[[], None],
    rest: Callable[[list[Record]], object] = len,
) -> Generator[Iterator[Record], None, None]:
    """Do as `consume_plain`, but give as many records at once as are ready, each to be taken: 0.7 µs less a record.

    `rest` gets those that are there when the consumer leaves early, of calls that had ended.
    """
    claim()
    driver: Driver | None = None
    ready: deque[Record] = deque()

    def over() -> bool:
        assert driver is not None
        return driver.finished

    with EndOf() as ending:
        try:
            driver, handoff, _ = begin()
            ending.of = driver
            ready, ahead, window = handoff.ready, driver.ahead, driver.ahead.window
            taken = iter(ready.popleft, None)
            while True:
                count = min(len(ready), TOGETHER)
                if not count:
                    if driver.finished and not ready:
                        break
                    ahead.ran_dry()
                    handoff.wait(over, window)
                    continue
                window.delivered = delivered = window.delivered + count
                if delivered >= ahead.nudge_at:
                    ahead.nudge()
                yield islice(taken, count)
        finally:
            try:
                end()
            except KeyboardInterrupt:
                end()
                raise
            finally:
                rest([*ready])
                if driver is not None:
                    driver.forget()


async def consume_together_aio(
    begin: Callable[[], Awaitable[tuple[Driver, LoopHandoff, Unpack]]],
    end: Callable[[], Awaitable[None]],
    rest: Callable[[list[Record]], object] = len,
) -> AsyncGenerator[list[Record], None]:
    """Do as `consume`, but give as many records at once as are ready; `rest` gets those that are left, as above."""
    driver, handoff, _ = await begin()
    ready, ahead, window = handoff.ready, driver.ahead, driver.ahead.window
    with EndOf(driver):
        try:
            while True:
                count = min(len(ready), TOGETHER)
                if not count:
                    if driver.finished:
                        break
                    ahead.ran_dry()
                    await handoff.wait()
                    continue
                window.delivered = delivered = window.delivered + count
                if delivered >= ahead.nudge_at:
                    ahead.nudge()
                yield [ready.popleft() for _ in range(count)]
        finally:
            try:
                await driver.close()
            finally:
                rest([*ready])
                driver.forget()
                await end()
