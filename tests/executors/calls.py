"""What the contract of executors has called, in both colours: functions that any place of calls can import."""

from __future__ import annotations

import asyncio
import contextvars
import os
import threading
import time
import warnings
from pathlib import Path
from typing import Any

import whilst

TENANT: contextvars.ContextVar[str] = contextvars.ContextVar("TENANT", default="nobody")


class Refused(Exception):
    """A class of the user's own, which takes other arguments than it keeps, and holds what cannot be sent."""

    def __init__(self, x: int, *, why: str) -> None:
        super().__init__(f"{why} {x}")
        self.x = x
        self.lock = threading.Lock()


def same(x: Any) -> Any:
    return x


async def same_async(x: Any) -> Any:
    return x


def old(x: int) -> int:
    warnings.warn("old", DeprecationWarning, stacklevel=1)
    return x


async def old_async(x: int) -> int:
    return old(x)


def refuse(x: int) -> int:
    if x % 5 == 3:
        error = Refused(x, why="no")
        error.add_note("the user's note")
        raise error
    return x


async def refuse_async(x: int) -> int:
    return refuse(x)


def reveal(secret: str) -> str:
    """Say it in a failure, or give it back if it is in capitals."""
    if secret.islower():
        raise ConnectionError(f"refused: {secret}")
    return secret


def nap(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


async def nap_async(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


def tenant(x: int) -> str:
    found = TENANT.get()
    TENANT.set(f"of {x}")
    return found


async def tenant_async(x: int) -> str:
    return tenant(x)


def third_time(told: tuple[str, int]) -> int:
    """Go well at the third attempt, of which a file beside keeps count."""
    folder, x = told
    with open(Path(folder) / f"{x}", "a") as file:
        file.write("x")
        if file.tell() < 3:
            raise ConnectionError(f"attempt {file.tell()}")
    return x


async def third_time_async(told: tuple[str, int]) -> int:
    return third_time(told)


def slower_once(told: tuple[str, int]) -> int:
    """Ask once to be left alone for a while."""
    folder, x = told
    if x == 10:
        try:
            os.close(os.open(Path(folder) / "asked", os.O_CREAT | os.O_EXCL))
        except FileExistsError:
            pass
        else:
            raise whilst.Throttled("slower", retry_after=0.3)
    return x


async def slower_once_async(told: tuple[str, int]) -> int:
    return slower_once(told)


def span(seconds: float) -> tuple[float, float]:
    began = time.monotonic()
    time.sleep(seconds)
    return began, time.monotonic()


async def span_async(seconds: float) -> tuple[float, float]:
    began = time.monotonic()
    await asyncio.sleep(seconds)
    return began, time.monotonic()


def which(told: tuple[str, int]) -> tuple[int, int, str]:
    """Say which call this is; fail once."""
    _, x = told
    call = whilst.current_call()
    assert call is not None
    if x == 2 and call.attempt == 1:
        raise ConnectionError("once")
    return call.index, call.attempt, call.key


async def which_async(told: tuple[str, int]) -> tuple[int, int, str]:
    return which(told)


def half(n: int) -> int:
    """Add one more input, as long as there is something to halve."""
    call = whilst.current_call()
    assert call is not None
    if n > 1:
        call.add(n // 2)
    return n


async def half_async(n: int) -> int:
    return half(n)


def spend(cost: float) -> float:
    call = whilst.current_call()
    assert call is not None
    call.spent(cost)
    return cost


async def spend_async(cost: float) -> float:
    return spend(cost)


def learn(x: int) -> float:
    """Have an answer say, in the middle of one call, that there may be no more for a while; say when it was made."""
    if x == 0:
        whilst.learn_from({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2"})
        time.sleep(0.3)
    return time.monotonic()


async def learn_async(x: int) -> float:
    if x == 0:
        whilst.learn_from({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "2"})
        await asyncio.sleep(0.3)
    return time.monotonic()


def wait_for(path: str) -> str:
    """Return when there is such a file; at once where none is named."""
    ends = time.monotonic() + 30
    while path and not os.path.exists(path):
        assert time.monotonic() < ends
        time.sleep(0.005)
    return path


class OnlyThere:
    """Can be sent, and made again in the process that sent it alone."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _only_in, (os.getpid(),)


def _only_in(pid: int) -> OnlyThere:
    if os.getpid() != pid:
        raise LookupError("it cannot be made here")
    return OnlyThere()


def add_odd(x: int) -> int:
    """Add what the parent cannot make, in one call."""
    call = whilst.current_call()
    assert call is not None
    if x == 1:
        call.add(OnlyThere())
    return x


async def add_odd_async(x: int) -> int:
    return add_odd(x)


def add_and_wait(path: str) -> str:
    """Add one more input, and return when there is such a file."""
    call = whilst.current_call()
    assert call is not None
    if path:
        call.add("")
    return wait_for(path)


def count_and_die(told: tuple[str, int]) -> int:
    """Count the calls of an input in a file; at the first call of one, end this process."""
    folder, x = told
    with open(Path(folder) / f"{x}", "a") as file:
        file.write("x")
        attempt = file.tell()
    if x == 150 and attempt == 1:
        os._exit(1)
    return x


def slow_at_first(told: tuple[str, int]) -> int:
    """Take too long at the first attempt; say which one it was."""
    folder, x = told
    with open(Path(folder) / f"slow {x}", "a") as file:
        file.write("x")
        attempt = file.tell()
    time.sleep(2.3 if attempt == 1 else 0.6)
    return attempt


def odd(told: tuple[str, int]) -> int:
    """Add inputs, be late, be refused, or fail: each only at the first attempt."""
    time.sleep(_late_by(told[1]))
    return _odd(told[1])


async def odd_async(told: tuple[str, int]) -> int:
    await asyncio.sleep(_late_by(told[1]))
    return _odd(told[1])


def _late_by(x: int) -> float:
    """Return seconds that are about as much as the timeout, at the first attempt of some."""
    call = whilst.current_call()
    return 0.09 + 0.004 * (x % 5) if call is not None and call.attempt == 1 and x % 3 == 1 else 0.0


def _odd(x: int) -> int:
    call = whilst.current_call()
    assert call is not None
    if x % 7 == 0 and x < 100:
        call.add(("", 100 + x))
    if call.attempt == 1:
        if x % 13 == 6:
            raise ConnectionError("once")
        if x == 30:
            raise whilst.Throttled("slower", retry_after=0.05)
    return x


LARGE = 60_000_000


def large(mark: str) -> bytes:
    """Return much, and leave a mark when that is made."""
    found = os.urandom(1000) * (LARGE // 1000)
    Path(mark).touch()
    return found


class Opened:
    """Tells in a file that it was opened, and closed."""

    def __init__(self) -> None:
        self.tell("opened")

    def close(self) -> None:
        self.tell("closed")

    def tell(self, what: str) -> None:
        with open(os.environ["WHILST_TEST_OPENED"], "a") as file:
            file.write(f"{what}\n")


def with_opened(x: int, opened: Opened) -> bool:
    return isinstance(opened, Opened)


async def with_opened_async(x: int, opened: Opened) -> bool:
    return isinstance(opened, Opened)


async def where(seconds: float) -> int:
    """Say in which process it is made."""
    await asyncio.sleep(seconds)
    return os.getpid()
