"""What a run is to do: the checked arguments of one map."""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from .failures import StopAfter

Executor = Literal["auto", "thread"]


@dataclass(frozen=True, slots=True)
class Plan:
    """A map before it runs; see `whilst.map` for what each field means."""

    fn: Callable[[Any], Any]
    inputs: Any
    concurrency: int
    timeout: float | None
    deadline: float | None
    ordered: bool
    stop_after: StopAfter | None
    on_threads: bool
    total: int | None
    progress: bool | None
    name: str
    context: contextvars.Context
