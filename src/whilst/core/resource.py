"""What a call needs opened: a session, a connection; opened lazily, closed with what it was opened for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

from .check import answered, not_callable
from .colour import is_async, name_of
from .frozen import NamedTuple

Per = Literal["thread", "run", "process"]


class Resource(NamedTuple):
    """Something that `factory` opens once per thread or once per run; see `whilst.resource`, which makes one.

    Nothing in it is open, so one may be given to any number of runs, and read:

    >>> import io, whilst
    >>> log = whilst.resource(io.StringIO, per="thread")
    >>> log.factory, log.per
    (<class '_io.StringIO'>, 'thread')
    """

    factory: Callable[[], Any]
    per: Per = "run"
    check: Callable[[Any], Any] | None = None
    reopen: bool | Callable[[Exception], Any] = True


@answered
def resource(
    factory: Callable[[], Any],
    *,
    per: Per = "run",
    check: Callable[[Any], Any] | None = None,
    reopen: bool | Callable[[Exception], Any] = True,
) -> Resource:
    """Describe something that must be opened for calls; give it to them with `use={"session": …}`.

    Args:
        factory: opens it: a class, a function, a coroutine function, or a factory of context managers, async or not. A
            context manager is entered (calls get what `__enter__` returns) and left at the end. Anything else is closed
            with its `aclose` or `close`, if it has one.
        per: "thread": one for each thread, opened and closed on that thread, for things that must not be shared, such
            as requests.Session (blocking steps only). "run": one for all calls, such as aiohttp.ClientSession.
            "process": one for each worker process of `executor="process"`, opened and closed there; without worker
            processes, one for the run.
        check: a function that gets the opened object, after a call that used it has failed or was cancelled. If it
            returns false or raises, the object is opened again before the next call. For `per="run"` it may be async.
        reopen: after which failures of a call it is opened again. True: failures of the connection (lost, refused,
            timed out, closed), except for clients that make new connections by themselves, such as requests, httpx,
            aiohttp and redis. A function of the error decides it itself. False: never.

    Nothing is opened before the first call that needs it, and everything is closed at the end of the run, also after an
    error. Before it is opened again, the old object is closed, or when the last call that still uses it has ended. The
    call that failed is not made again; use `retry=` for that.

    Raises:
        TypeError, ValueError: if an argument is wrong.

    >>> import io, whilst
    >>> def count(text, log):
    ...     return log.write(text)
    >>> log = whilst.resource(io.StringIO, per="thread")
    >>> whilst.map(count, ["a", "bcd"], use={"log": log}).list()
    [1, 3]
    """
    if not callable(factory):
        raise TypeError(f"factory must be callable, got {factory!r}\n  try: whilst.resource(lambda: …)")
    if per not in get_args(Per):
        raise ValueError(f'per must be "thread", "run" or "process", got {per!r}')
    _check_judges(per, check, reopen)
    return Resource(factory, per, check, reopen)


def _check_judges(per: Per, check: Any, reopen: Any) -> None:
    if check is not None and not callable(check):
        raise TypeError(
            f"check {not_callable(check, of_run=False)}\n  try: check=lambda connection: connection.is_alive()"
        )
    if check is not None and per == "thread" and is_async(check):
        raise TypeError(
            f"check={name_of(check)} is async, but what is opened per thread is checked on that thread"
            '\n  try: a check that is not, or per="run"'
        )
    if not isinstance(reopen, bool) and (not callable(reopen) or is_async(reopen)):
        raise TypeError(
            f"reopen must be True, False or a function of the error that is not async, got {reopen!r}\n"
            "  try: reopen=lambda error: isinstance(error, ConnectionError)"
        )
