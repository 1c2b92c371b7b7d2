"""The keywords of `map`, `step`, `each` and `filter`, for type checkers, once for all overloads of each.

The functions say what each means; a test holds this and their signatures together. Nothing imports it at runtime.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Hashable, Sequence
from typing import Any, Literal, TypedDict

from .core.plan import Executor
from .journal import Journal
from .limit.limit import Limit
from .retrying import Retry


class MapOptions(TypedDict, total=False):
    """What `whilst.map` takes by keyword, but for `use`."""

    concurrency: int | Literal["adaptive"] | None
    rate: str | Sequence[str] | None
    limit: Limit | Sequence[Limit] | None
    retry: int | Retry | None
    timeout: float | None
    deadline: float | None
    ordered: bool
    share: bool | Callable[[Any], Hashable]
    stop_after: int | str | None
    journal: str | os.PathLike[str] | Journal | None
    executor: Executor
    total: int | None
    progress: bool | None
    name: str | None
    trace: str | os.PathLike[str] | None


class CallOptions(TypedDict, total=False):
    """What `step`, `each` and `filter` take by keyword, each."""

    executor: Executor
    timeout: float | None
    limit: Limit | Sequence[Limit] | None
    retry: int | Retry | None
    hedge: bool
    concurrency: int | Literal["adaptive"] | None
    rate: str | Sequence[str] | None


class StepOptions(CallOptions, total=False):
    """What `whilst.step` takes by keyword, but for `use`."""

    name: str | None


class StageOptions(CallOptions, total=False):
    """What `whilst.each` and `whilst.filter` take by keyword, but for `use`, and `failures` of the former."""

    ordered: bool
