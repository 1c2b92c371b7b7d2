"""What a call needs opened: a session, a connection; opened lazily, closed with what it was opened for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple, get_args

Per = Literal["thread", "run"]


class Resource(NamedTuple):
    """Something that `factory` opens once per thread or once per run; see `whilst.resource`."""

    factory: Callable[[], Any]
    per: Per = "run"


def resource(factory: Callable[[], Any], *, per: Per = "run") -> Resource:
    """Describe something that calls need opened; give it to them with `use={"session": …}`.

    Args:
        factory: opens it: a class, a function, a coroutine function, or a context-manager factory of either colour.
            A context manager is entered (calls get what `__enter__` gives) and left at the end; anything else is
            closed by its `aclose` or `close`, if it has one.
        per: "thread": one for each thread that calls, opened and closed on that thread, for what must not be shared,
            such as requests.Session (blocking steps only). "run": one for all calls, such as aiohttp.ClientSession.

    Nothing is opened before the first call that needs it, and everything is closed at the end of the run, in
    whatever way that comes.

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
        raise ValueError(f'per must be "thread" or "run", got {per!r}')
    return Resource(factory, per)
