"""What the tests of limits share."""

from __future__ import annotations

import functools
import threading
from collections.abc import Callable, Coroutine
from typing import Any

import whilst
from whilst import testing

ALREADY = "holds a permit of this limit already"


def idle(limit: whilst.Limit) -> bool:
    now = limit.statistics()
    return (now.in_flight, now.waiting) == (0, 0)


def virtually(main: Callable[..., Coroutine[Any, Any, Any]]) -> Callable[..., None]:
    """Make a test of an async function, on virtual time."""

    @functools.wraps(main)
    def test(*args: Any, **kwargs: Any) -> None:
        testing.run(main(*args, **kwargs))

    return test


def on_thread(call: Callable[[], Any]) -> Any:
    """Return what a call returns on a thread of its own; what it raises is raised."""
    found: list[Any] = []

    def run() -> None:
        try:
            found.append((call(), None))
        except BaseException as error:
            found.append((None, error))

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    thread.join(20)
    assert not thread.is_alive(), "it hangs"
    value, error = found[0]
    if error is not None:
        raise error
    return value
