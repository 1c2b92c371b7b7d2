"""Does a failure say "slower": for how long, and how fast instead?"""

from __future__ import annotations

from typing import Final, Literal

from .diagnosis import Diagnosis, Kind, asked_by, diagnose
from .evidence import described_status, host_of, leaves_of, status_of
from .frozen import NamedTuple
from .headers import CAP
from .verdicts import BUSY, SERVICE_CODES
from .waits import waits

__all__ = ["CAP", "Pushback", "described_status", "host_of", "pushback_of", "status_of"]

Limits = Literal["surely", "perhaps", ""]


class Pushback(NamedTuple):
    """What the other side wants, as read from one failure.

    Attributes:
        reason: what a summary calls it: "429 Too Many Requests", "connection refused", "RESOURCE_EXHAUSTED".
        retry_after: seconds from now for which nothing is to be sent, 0 to `CAP`; None when it did not say. A date
            that has passed is 0.
        rate: calls a second that its headers advise, the tightest where they name several.
        window: seconds for which that rate is advised, at most `CAP`.
        absurd: what was capped or could not be read, for the summary; "" when nothing.
        timeout: nobody said anything: the answer did not come in time. A sign of load, not the server's word.
    """

    reason: str
    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None
    absurd: str = ""
    timeout: bool = False

    @property
    def pauses(self) -> bool:
        """Whether it tells how long, or how fast, so that others can keep to it."""
        return self.retry_after is not None or self.rate is not None

    def concerns_others(self, *, retried: bool) -> bool:
        """Whether it is to hold up other calls of the function, too.

        Args:
            retried: whether refused calls are made again; then refusals teach a rate even if they tell none.

        >>> refusal = Pushback("429 Too Many Requests")
        >>> refusal.concerns_others(retried=True), refusal.concerns_others(retried=False)
        (True, False)
        """
        return self.pauses or (retried and bool(self.limits))

    @property
    def limits(self) -> Limits:
        """Whether it says that there were too many calls (429, SlowDown); a 503 may say that the other side is ill."""
        if self.reason.startswith("429") or self.reason.rpartition(" ")[2] in LIMITING_WORDS:
            return "surely"
        return "perhaps" if self.reason.startswith(BUSY_PERHAPS) else ""


BUSY_PERHAPS: Final = tuple(str(status) for status in sorted(BUSY - {429}))
LIMITING_WORDS: Final = frozenset(
    {"RESOURCE_EXHAUSTED", *(code for code, verdict in SERVICE_CODES.items() if verdict[0] is Kind.THROTTLED)}
)
PUSHING: Final = frozenset({Kind.THROTTLED, Kind.REFUSED, Kind.TIMEOUT})


def pushback_of(error: BaseException, now: float) -> Pushback | None:
    """Read an exception of any client as a wish for less; None when it is none.

    Args:
        error: what a call raised, or a group of such.
        now: the wall clock, in seconds since 1970. It matters only for a Retry-After date from a server that does not
            send its own clock along, so a wrong local clock harms nothing.

    Never raises, whatever the exception's attributes do. Of a group the longest wait counts.

    >>> import whilst
    >>> pushback_of(whilst.Throttled("queue is full", retry_after=2), now=0.0)
    Pushback(reason='queue is full', retry_after=2.0, rate=None, window=None, absurd='', timeout=False)
    >>> pushback_of(ValueError("no"), now=0.0) is None
    True
    """
    found = (_pushback(diagnose(leaf), now) for leaf in leaves_of(error))
    most = max((it for it in found if it is not None), key=_weight, default=None)
    if waits.off and most is not None and most.pauses:
        return most._replace(retry_after=0.0, rate=None, window=None)
    return most


def _weight(pushback: Pushback) -> tuple[bool, float]:
    return not pushback.timeout, -1.0 if pushback.retry_after is None else pushback.retry_after


def _pushback(trouble: Diagnosis, now: float) -> Pushback | None:
    if trouble.kind not in PUSHING and trouble.kind is not Kind.FAILED:
        return None
    advice = asked_by(trouble.error, now)
    if trouble.kind is Kind.FAILED and advice.retry_after is None:  # a 500 says "slower" only if it says how long
        return None
    silent = trouble.kind is Kind.TIMEOUT and advice.retry_after is None
    return Pushback(trouble.reason, advice.retry_after, advice.rate, advice.window, advice.absurd, timeout=silent)
