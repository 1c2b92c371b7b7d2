"""What does the end of a call tell a limit?"""

from __future__ import annotations

import time
from typing import NamedTuple

from ..core.throttle import Verdict


class Report(NamedTuple):
    """How a call ended, in the words of `Claim.finished`."""

    verdict: Verdict
    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None


OK = Report("ok")
FAILED = Report("failed")


def report_of(error: BaseException | None) -> Report | None:
    """Return what a call tells that raised `error`, or returned; None for one that was cancelled or interrupted."""
    if error is None:
        return OK
    if not isinstance(error, Exception):
        return None
    from ..core.pushback import pushback_of  # loaded when used

    said = pushback_of(error, time.time())
    return FAILED if said is None else Report("rejected", said.retry_after, said.rate, said.window)
