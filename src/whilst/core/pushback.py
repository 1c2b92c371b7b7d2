"""STUB until merge."""
from __future__ import annotations
from dataclasses import dataclass
from typing import Any
@dataclass(frozen=True, slots=True)
class Pushback:
    reason: str
    retry_after: float | None = None
    rate: float | None = None
    window: float | None = None
    absurd: str = ""
    timeout: bool = False
    @property
    def pauses(self) -> bool: return self.retry_after is not None or self.rate is not None
def status_of(error: Any) -> int | None:
    for holder in (error, getattr(error, "response", None)):
        for name in ("status_code", "status"):
            status = getattr(holder, name, None)
            if isinstance(status, int) and not isinstance(status, bool) and 400 <= status <= 599:
                return status
    return None
def host_of(error: BaseException) -> str: return ""
def described_status(s: int) -> str: return str(s)
def pushback_of(error: BaseException, now: float) -> Pushback | None:
    s = status_of(error)
    if s in (429, 503): return Pushback(str(s), getattr(error, "retry_after", None))
    if isinstance(error, TimeoutError): return Pushback("timeout", timeout=True)
    return None
