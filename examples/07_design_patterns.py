"""Learn: a strategy, a factory and a command queue stay what they are when some of their members are async.

In plain Python an async member changes everyone who calls it: a strategy has to be awaited or not, depending on
which one it is, and a blocking one must not be called on the loop. Here the colour of a function is found, never
asked for, so members of either colour stand for each other.
"""

import asyncio
import inspect
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import whilst


@dataclass(frozen=True)
class Parcel:
    number: int
    grams: int
    carrier: str


PARCELS = [Parcel(1, 300, "post"), Parcel(2, 4000, "drone"), Parcel(3, 900, "post"), Parcel(4, 50, "drone")]


# Strategy: three ways to find a price ------------------------------------------------------------------------


def by_weight(parcel: Parcel) -> int:
    return 200 + parcel.grams // 10


def ask_blocking(parcel: Parcel) -> int:
    time.sleep(0.1)  # requests.get(…)
    return by_weight(parcel)


async def ask_async(parcel: Parcel) -> int:
    await asyncio.sleep(0.1)  # await session.get(…)
    return by_weight(parcel)


async def prices_by_hand(strategy: Callable[[Parcel], Any]) -> list[int]:
    """The pattern has gone: the caller asks what it was given, and each new colour is a new branch."""
    if inspect.iscoroutinefunction(strategy):
        return list(await asyncio.gather(*[strategy(parcel) for parcel in PARCELS]))
    return list(await asyncio.gather(*[asyncio.to_thread(strategy, parcel) for parcel in PARCELS]))


def prices(strategy: Callable[[Parcel], Any]) -> list[int]:
    return whilst.map(strategy, PARCELS).list()


# Factory: what it makes is blocking or async ------------------------------------------------------------------


class Carrier(Protocol):
    def ship(self, parcel: Parcel) -> Any: ...


class Post:
    def ship(self, parcel: Parcel) -> str:
        time.sleep(0.1)
        return f"{parcel.number} by post"


class Drone:
    async def ship(self, parcel: Parcel) -> str:
        await asyncio.sleep(0.1)
        return f"{parcel.number} by drone"


def make_carrier(kind: str) -> Carrier:
    return Post() if kind == "post" else Drone()


def ship(parcel: Parcel) -> Any:
    return make_carrier(parcel.carrier).ship(parcel)  # a value, or something to await: both are fine


# Commands: objects that wait in a queue -----------------------------------------------------------------------


@dataclass(frozen=True)
class Charge:
    amount: int

    def __call__(self) -> str:
        time.sleep(0.1)
        return f"charged {self.amount}"


@dataclass(frozen=True)
class Mail:
    address: str

    async def __call__(self) -> str:
        await asyncio.sleep(0.1)
        return f"mailed {self.address}"


QUEUE: list[Callable[[], Any]] = [Charge(230), Mail("ann@example.com"), Charge(600), Mail("ben@example.com")]


def timed(what: str, call: Callable[[], Any]) -> None:
    start = time.perf_counter()
    print(f"{what:<32} {call()} {time.perf_counter() - start:.1f} s")


if __name__ == "__main__":
    for strategy in (by_weight, ask_blocking, ask_async):
        timed(f"by hand, strategy {strategy.__name__}", lambda: asyncio.run(prices_by_hand(strategy)))  # noqa: B023
        timed(f"whilst, strategy {strategy.__name__}", lambda: prices(strategy))  # noqa: B023
    timed("factory", lambda: whilst.map(ship, PARCELS).list())
    timed("commands, together", whilst.together(*QUEUE))
    timed("commands, one after another", whilst.sequence(*QUEUE))
