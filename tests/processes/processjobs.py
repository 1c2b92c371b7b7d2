"""What the tests have worker processes do: functions that a worker can import."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import pickle
import random
import signal
import sys
import threading
import time
from typing import Any

import whilst

COLOUR: contextvars.ContextVar[str] = contextvars.ContextVar("COLOUR", default="none")
LIMIT = whilst.Limit(concurrency=1)


class Odd(Exception):
    """Takes other arguments than it keeps, as many do: it cannot be unpickled."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(f"{code}: {text}")
        self.code = code


class Usual(Exception):
    """One of the user's own."""


def same(x: Any) -> Any:
    return x


def square(x: int) -> int:
    return x * x


def pid(_: Any) -> int:
    return os.getpid()


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def spin(seconds: float) -> float:
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        pass
    return seconds


def fail(x: int) -> int:
    if x == 3:
        error = Usual("three")
        error.add_note("a note of its own")
        raise error from KeyError("cause")
    if x == 5:
        raise Odd(5, "five")
    if x == 6:

        class Hidden(Exception):
            held = threading.Lock()  # so cloudpickle cannot send it either

        raise Hidden("six")
    return x


def end(how: str) -> str:
    if how == "exit":
        os._exit(7)
    if how == "segfault":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    return how


def place(_: Any) -> dict[str, Any]:
    return {
        "path": sys.path,
        "cwd": os.getcwd(),
        "argv": sys.argv,
        "environment": os.environ.get("WHILST_TEST_HERE"),
        "colour": COLOUR.get(),
        "random": random.random(),
        "pid": os.getpid(),
        "stdin": sys.stdin.read(),
    }


def colour(x: int) -> str:
    before = COLOUR.get()
    COLOUR.set(f"of {x}")
    return before


def say(x: int) -> int:
    print(f"printed {x}")
    print(f"wrong {x}", file=sys.stderr)
    logging.getLogger("processjobs.logger").warning("logged %s", x, extra={"row": x})
    return x


class OnlyThere:
    """Can be sent, and made again in the process that sent it alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_in, (os.getpid(),)


def _only_in(pid: int) -> OnlyThere:
    if os.getpid() != pid:
        raise LookupError("it cannot be made here")
    return OnlyThere()


def log_odd(x: int) -> int:
    """Log what the parent cannot make, in one call."""
    logging.getLogger("processjobs.logger").warning("logged %s", x, extra={"row": OnlyThere() if x == 3 else x})
    return x


def by_word(word: str) -> str:
    """Ask to be left alone for a while, or end this process, if that is the word."""
    if word == "slower":
        raise whilst.Throttled("slower", retry_after=1.0)
    if word == "die":
        os._exit(3)
    return word


def use_limit(x: int) -> int:
    with LIMIT:
        return x


def own_limit(x: int) -> int:
    with whilst.Limit(concurrency=1):
        return x


def unsendable(x: int) -> Any:
    return threading.Lock() if x == 2 else x


def throttled(x: int) -> int:
    if x == 20 and not os.path.exists(os.environ["WHILST_TEST_FLAG"]):
        with open(os.environ["WHILST_TEST_FLAG"], "w"):
            pass
        raise whilst.Throttled("slower", retry_after=0.3)
    return x


class Opened:
    """A resource that tells in a file when it is opened and closed."""

    def __init__(self) -> None:
        self.pid = os.getpid()
        self._tell("opened")

    def close(self) -> None:
        self._tell("closed")

    def _tell(self, what: str) -> None:
        with open(os.environ["WHILST_TEST_FLAG"], "a") as file:
            file.write(f"{what} {self.pid}\n")


def with_opened(x: int, opened: Opened) -> tuple[int, int]:
    return x, opened.pid


class Leaves:
    """Ends whoever writes it, or makes it again."""

    def __init__(self, kind: type[BaseException], *, written: bool) -> None:
        self.kind, self.written = kind, written

    def __reduce__(self) -> Any:
        if self.written:
            raise self.kind
        return leave, (self.kind,)


def leave(kind: type[BaseException]) -> None:
    raise kind


def leaving(told: tuple[int, str, bool]) -> Any:
    number, kind, written = told
    kinds = {"exit": SystemExit, "interrupt": KeyboardInterrupt, "cancel": asyncio.CancelledError}
    return Leaves(kinds[kind], written=written) if number == 1 else number


class NotSent:
    """An input that cannot be pickled."""

    def __reduce__(self) -> Any:
        raise TypeError("not this one")


class NotMade:
    """An input that cannot be made from its pickle."""

    def __reduce__(self) -> Any:
        return explode, ()


def explode() -> None:
    raise ValueError("it exploded")


def meet(told: tuple[str, int]) -> int:
    """Return this process when so many have come here."""
    folder, count = told
    with open(os.path.join(folder, str(os.getpid())), "w"):
        pass
    ends = time.monotonic() + 20
    while len(os.listdir(folder)) < count:
        assert time.monotonic() < ends
        time.sleep(0.005)
    return os.getpid()


def wait_for(path: str) -> str:
    """Return when there is such a file; at once where none is named."""
    ends = time.monotonic() + 20
    while path and not os.path.exists(path):
        assert time.monotonic() < ends
        time.sleep(0.005)
    return path


def call_of(x: int) -> tuple[Any, ...]:
    call = whilst.current_call()
    assert call is not None
    if x == 3 and call.attempt < 3:
        raise ConnectionError("again")
    return call.index, call.path, call.attempt, call.key, 0.0 <= call.started < 60.0


def no_call(x: int) -> Any:
    return whilst.current_call()


def span(_: Any) -> tuple[float, float]:
    began = time.monotonic()
    time.sleep(0.02)
    return began, time.monotonic()


def counted(x: int) -> int:
    """Tell in a file, in one step, that the call has begun."""
    file = os.open(os.environ["WHILST_TEST_CALLS"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(file, f"{x} {os.getpid()}\n".encode())
    os.close(file)
    time.sleep(0.0005 * (x % 4))
    return 2 * x


class Block:
    """Holds its bytes as arrays do: beside the pickle."""

    def __init__(self, content: Any) -> None:
        self.content = content

    def __reduce_ex__(self, protocol: Any) -> Any:
        return Block, (pickle.PickleBuffer(self.content),)


def doubled(block: Block) -> Block:
    return Block(bytearray(bytes(block.content) * 2))


def inner_map(x: int) -> int:
    return sum(whilst.map(square, range(x), executor="process", concurrency=1))


def first_word(line: str) -> str:
    sys.stdout.write(line)  # no line end
    sys.stdout.flush()
    return line
