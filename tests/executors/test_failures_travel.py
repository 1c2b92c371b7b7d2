"""What a call elsewhere raises comes as what it is, as far as that can be.

What clients raise is looked at in tests/real/test_clients.py.
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable
from typing import Any

import pytest

import whilst
from whilst.remote.failures import Stayed, decoded_failure, encoded_failure


class Two(Exception):
    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body}")
        self.status = status


class Says(Exception):
    """Pickle makes it again, with other words."""

    def __init__(self, status: object) -> None:
        super().__init__(f"status {status}")


class Keyed(Exception):
    def __init__(self, *, why: str) -> None:
        super().__init__(why)
        self.why = why


class Path(OSError):
    def __init__(self, path: str) -> None:
        super().__init__(2, "no such row", path)


class Slotted(Exception):
    __slots__ = ("row",)

    def __init__(self, row: int, *, why: str) -> None:
        super().__init__(why)
        self.row = row


@dataclasses.dataclass(frozen=True)
class Frozen(Exception):
    row: int
    why: str = dataclasses.field(kw_only=True)


class Locked(Exception):
    def __init__(self) -> None:
        super().__init__("locked")
        self.lock = threading.Lock()
        self.rows = {"first": [1, (2, threading.Lock())]}


class Strict(Exception):
    """Answers only where it was made."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __str__(self) -> str:
        return f"locked: {self.lock.locked()}"


class Deaf(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


def travelled(error: BaseException) -> Any:
    try:
        raise error
    except BaseException as caught:
        return decoded_failure(encoded_failure(caught))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Two(503, "busy"), lambda: Says(503), lambda: Keyed(why="late"), lambda: Path("/rows/1"),
        lambda: Slotted(3, why="late"), lambda: Frozen(3, why="late"), lambda: KeyError("row"),
        lambda: UnicodeDecodeError("utf-8", b"x", 0, 1, "no"), lambda: SyntaxError("no", ("a", 1, 2, "b")),
        lambda: ImportError("no", name="rows", path="/rows"),
    ],
)  # fmt: skip
def test_an_exception_comes_with_all_that_it_holds(make: Callable[[], BaseException]) -> None:
    error = make()
    found = travelled(error)
    assert type(found) is type(error)
    assert (str(found), repr(found), found.args) == (str(error), repr(error), error.args)
    for name in ("status", "why", "row", "errno", "filename", "name", "path", "start", "lineno"):
        assert getattr(found, name, None) == getattr(error, name, None)
    [note] = found.__notes__
    assert note.startswith("whilst: raised in another process\n")
    assert "in travelled" in note


def test_what_cannot_be_sent_stays_behind_alone() -> None:
    found = travelled(Locked())
    assert (type(found), str(found)) == (Locked, "locked")
    assert isinstance(found.lock, Stayed)
    assert repr(found.rows) == "{'first': [1, (2, <a _thread.lock that stayed in the process of the call>)]}"


@pytest.mark.parametrize("make", [Strict, Deaf])
def test_one_whose_words_cannot_be_made_here_comes_as_what_it_said_there(make: Callable[[], BaseException]) -> None:
    found = travelled(make())
    assert isinstance(found, whilst.Recorded)
    assert found.class_name.endswith(f".{make.__name__}")
    assert found.message == ("locked: False" if make is Strict else "")


def test_what_exceptions_within_it_were_raised_from_comes_along() -> None:
    leaf = Two(429, "slower")
    leaf.__cause__ = ConnectionRefusedError(111, "refused")
    found = travelled(ExceptionGroup("of two", [ValueError("one"), ExceptionGroup("inner", [leaf])]))
    assert repr(found) == "ExceptionGroup('of two', [ValueError('one'), ExceptionGroup('inner', [Two('429: slower')])])"
    assert repr(found.exceptions[1].exceptions[0].__cause__) == "ConnectionRefusedError(111, 'refused')"


def test_one_that_holds_itself_or_very_much_ends() -> None:
    error = Locked()
    error.rows = {str(number): [threading.Lock(), error] for number in range(5000)}
    found = travelled(error)
    assert (type(found), str(found), len(found.rows)) == (Locked, "locked", 5000)
