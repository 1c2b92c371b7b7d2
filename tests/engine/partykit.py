"""A party at limits, as runs and steps are: told on its loop how many permits it got."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

import whilst
from whilst.limit.acquirer import Acquirer
from whilst.limit.limit import state_of
from whilst.limit.state import LimitState, in_order


def party(
    limits: Iterable[whilst.Limit | LimitState],
    item: Any,
    *,
    loop: asyncio.AbstractEventLoop | None,
    granted: Callable[[int], Any],
) -> Acquirer:
    """Return one that collects what it gets as soon as it is woken, and passes the number on."""

    def wake() -> None:
        if count := acquirer.collect():
            granted(count)

    acquirer = Acquirer(states(limits), item, loop=loop, wake=wake)
    return acquirer


def states(limits: Iterable[whilst.Limit | LimitState]) -> tuple[LimitState, ...]:
    """Return what runs know of limits, in the order in which they are taken."""
    return in_order(limit if isinstance(limit, LimitState) else state_of(limit) for limit in limits)
