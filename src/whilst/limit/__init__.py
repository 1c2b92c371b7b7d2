"""Limits: how much may happen at once, and how fast, over everything that shares one."""

from .claim import Claim
from .feedback import FAILED, OK, Report, report_of
from .hold import Hold
from .limit import Limit
from .line import unrest
from .places import keys_of
from .statistics import LimitStatistics
from .turn import holding

__all__ = [
    "FAILED",
    "OK",
    "Claim",
    "Hold",
    "Limit",
    "LimitStatistics",
    "Report",
    "holding",
    "keys_of",
    "report_of",
    "unrest",
]
