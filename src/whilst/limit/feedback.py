"""What does the end of a call tell a limit?"""

from __future__ import annotations

import time
from math import inf, isfinite
from typing import TYPE_CHECKING

from ..core.frozen import NamedTuple
from ..core.throttle import Throttle, Verdict
from ..core.waits import waits
from ..lanes.chance import draw

if TYPE_CHECKING:
    from ..core.headers import Left
    from ..core.pushback import Limits

LONGEST_PAUSE = 86_400.0  # seconds; whoever asks for more than a day has sent something else than seconds
JITTER, MOST_JITTER = 0.05, 0.1  # share of a pause, and seconds, by which it is longer at most: what was stopped at
# once on many machines shall not start at once


class Report(NamedTuple):
    """How a call ended.

    Attributes:
        verdict: "ok", "failed" for reasons of its own, or "rejected" by the other side.
        retry_after: seconds for which the key pauses.
        rate: calls a second that the other side asked for, for the next `window` seconds.
        window: see `rate`.
        limits: whether a refusal says that there were too many calls, and not that the other side is ill.
    """

    verdict: Verdict
    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None
    limits: Limits = ""


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
    return FAILED if said is None else Report("rejected", said.retry_after, said.rate, said.window, said.limits)


def told_to(throttle: Throttle, started: float, now: float, report: Report, *, meant: bool) -> None:
    """Tell one key of a limit how a call went; unless it is `meant`, nothing that was asked for."""
    verdict, _, rate, window, limits = report
    asked = _sane(report.retry_after) if meant else None
    if meant and limits and asked is None and report.retry_after != 0 and rate is None:  # 0: there is nothing to find
        throttle.find_out(started, now, sure=limits == "surely")
    if asked is not None:
        _pause(throttle, asked, now)
    throttle.learn(started, now, verdict, asked)
    if meant and rate is not None and window is not None and 0 <= rate < inf and 0 < window < inf:
        throttle.advise(rate, min(window, LONGEST_PAUSE), now)


def allowed(throttle: Throttle, left: Left, now: float) -> None:
    """Tell one key of a limit how many calls are left."""
    if waits.off:
        return
    throttle.allow(left.calls, left.seconds, now, left.refill)
    if left.calls < 1 and not left.refill and (seconds := _sane(left.seconds)):
        _pause(throttle, seconds, now)


def _pause(throttle: Throttle, seconds: float, now: float) -> None:
    """Pause for so long and a little longer, which is drawn once for all refusals that ask for the same pause."""
    if now + seconds > throttle.pause_until:
        throttle.pause(now + seconds + min(MOST_JITTER, JITTER * seconds) * draw())


def _sane(retry_after: float | None) -> float | None:
    """Return the seconds to pause; nonsense asks for none."""
    if retry_after is None or not isfinite(retry_after) or retry_after <= 0:
        return None
    return min(retry_after, LONGEST_PAUSE)
