"""There is one of each limit: what would make a second one is refused, with the way that works."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from collections.abc import Callable
from typing import Any

import pytest

import whilst


@dataclasses.dataclass
class Settings:
    name: str
    limit: whilst.Limit


class Named(whilst.Limit):
    """One with a name."""


limit = Named(concurrency=2)


def wait(error: BaseException, limit: whilst.Limit = limit) -> bool:
    return True


def entered() -> whilst.Limit:
    other = whilst.Limit(concurrency=1)
    with other:
        pass
    return other


def judge(error: BaseException) -> bool:
    with limit:
        return True


class Judge:
    def __init__(self) -> None:
        self.limit = limit

    def __call__(self, error: BaseException) -> bool:
        return True


HOLDING: dict[str, Callable[[], Any]] = {
    "a limit": lambda: whilst.Limit(concurrency=1),
    "one of a class of its own": lambda: limit,
    "one that was used": entered,
    "one with keys": lambda: whilst.Limit(rate="1/s", by=str),
    "a permit": lambda: limit.of(1),
    "a dataclass": lambda: Settings("api", limit),
    "a dict": lambda: {"api": limit},
    "a step": lambda: whilst.step(len, limit=limit),
    "a step with a rate": lambda: whilst.step(len, rate="1/s"),
    "a flow": lambda: whilst.sequence(str.split, whilst.each(len, limit=limit)),
    "a retry": lambda: whilst.Retry(on=Judge()),
}


@pytest.mark.parametrize("make", [copy.deepcopy, *(lambda x, n=n: pickle.dumps(x, n) for n in range(6))])
@pytest.mark.parametrize("what", HOLDING)
def test_what_holds_a_limit_is_not_copied_deeply_nor_pickled(what: str, make: Callable[[Any], Any]) -> None:
    with pytest.raises(TypeError, match=r"(?s)would be another limit.*try: use the same object.*limit=limit"):
        make(HOLDING[what]())


@pytest.mark.parametrize("what", ["a limit", "one of a class of its own", "one that was used", "a permit"])
def test_a_limit_is_not_copied(what: str) -> None:
    with pytest.raises(TypeError, match="would be another limit"):
        copy.copy(HOLDING[what]())


def test_a_shallow_copy_of_what_holds_a_limit_shares_it() -> None:
    settings = Settings("api", limit)
    assert copy.copy(settings).limit is limit
    assert dataclasses.replace(settings, name="other").limit is limit
    flow = whilst.step(len, limit=limit)
    assert copy.copy(flow) == flow
    with pytest.raises(TypeError, match="would be another limit"):
        dataclasses.asdict(settings)
