"""Limits: how much may happen at once, and how fast, over everything that shares one."""

from .acquirer import Acquirer, LimitSet, keys_of
from .context import Permit, check_cost, in_order
from .feedback import FAILED, OK, Report, report_of
from .holders import (
    Holder,
    Inside,
    Link,
    ask_around,
    callers_context,
    held,
    holding,
    inside_of,
    inside_of_run,
)
from .limit import Limit, state_of
from .queue import unrest
from .state import LimitState, LimitStatistics, paused_by, unwatch, watch

__all__ = [
    "FAILED",
    "OK",
    "Acquirer",
    "Holder",
    "Inside",
    "Limit",
    "LimitSet",
    "LimitState",
    "LimitStatistics",
    "Link",
    "Permit",
    "Report",
    "ask_around",
    "callers_context",
    "check_cost",
    "held",
    "holding",
    "in_order",
    "inside_of",
    "inside_of_run",
    "keys_of",
    "paused_by",
    "report_of",
    "state_of",
    "unrest",
    "unwatch",
    "watch",
]
