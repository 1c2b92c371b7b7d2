"""Limits: how much may happen at once, and how fast, over everything that shares one."""

from .claim import Claim
from .feedback import Report, report_of
from .hold import Hold
from .limit import Limit
from .statistics import LimitStatistics
from .turn import holding

__all__ = ["Claim", "Hold", "Limit", "LimitStatistics", "Report", "holding", "report_of"]
