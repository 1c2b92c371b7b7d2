"""What the tests of functions as people have them call in worker processes."""

from __future__ import annotations

import os

import whilst


def pid() -> int:
    return os.getpid()


def pair(left: int, right: int = 0) -> tuple[int, int]:
    return left, right


@whilst.spread
def added(left: int, right: int) -> int:
    return left + right


@whilst.Retry(attempts=3, on=FileNotFoundError, base=0.0)
def third_time(folder: str) -> int:
    """Fail twice in a folder, in whichever processes."""
    made = len(os.listdir(folder))
    open(os.path.join(folder, str(made)), "w").close()
    if made < 2:
        raise FileNotFoundError(made)
    return made


def state(number: int) -> str:
    return "running" if number % 2 else "done"
