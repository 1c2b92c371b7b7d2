"""What kind of trouble is behind an exception: is the other side busy, gone, slow, or is the call itself wrong?

One place for all that judges failures (`pushback_of`, `transient`), so that they cannot disagree. What an exception
was raised from is looked through from the nearest on: the first that says something definite decides; what merely
says "some connection failed" is remembered for the case that nothing more definite follows.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final

from ..errors import Throttled, WhilstError
from .evidence import (
    called,
    chain_of,
    described_status,
    error_code_of,
    headers_of,
    is_a,
    is_plain_mistake,
    leaves_of,
    own_status,
    peek,
    text_of,
    wait_of,
)
from .frozen import NamedTuple
from .headers import Advice, advice_of, capped
from .retry_info import told_delay
from .verdicts import (
    BAD_TLS,
    BROKEN,
    BUILTINS,
    DEFINITE,
    ERRNOS,
    GRPC_CODES,
    LIMITING,
    NO_HOST,
    NO_SUCH_HOST,
    PACKAGES,
    PHRASES,
    SERVICE_CODES,
    SQLSTATES,
    TLS,
    VAGUE,
    Kind,
    Verdict,
    verdict_of_status,
)

__all__ = ["Diagnosis", "Kind", "diagnose"]


class Diagnosis(NamedTuple):
    """The trouble, how to say it in a summary, and the exception that told."""

    kind: Kind
    reason: str
    error: BaseException


def diagnose(error: BaseException) -> Diagnosis:
    """Find the trouble behind an exception of any client; what is not known is final.

    >>> diagnose(ConnectionRefusedError()).kind, diagnose(KeyError("x")).kind
    (<Kind.REFUSED: 'nobody takes the connection'>, <Kind.FINAL: 'another attempt would end the same way'>)
    """
    if is_plain_mistake(error):
        return Diagnosis(*_final(error), error)
    if not is_a(error, Exception) and not is_a(error, BaseExceptionGroup):  # an interrupt is not about a call
        return Diagnosis(*_final(error), error)
    vague: Diagnosis | None = None
    for it in chain_of(error):
        if is_a(it, BaseExceptionGroup):
            return _diagnose_group(it)
        for judge in JUDGES:
            if verdict := judge(it):
                return Diagnosis(*verdict, it)
        if vague is None and (verdict := _by_vague_name(it)):
            vague = Diagnosis(*verdict, it)
    return vague or Diagnosis(*_final(error), error)


def asked_by(error: BaseException, now: float) -> Advice:
    """Read all that an exception says of waiting; where headers say how long, that counts.

    `now` is as in `advice_of`.

    >>> import whilst
    >>> asked_by(whilst.Throttled(retry_after=2), now=0.0).retry_after
    2.0
    """
    own = wait_of(error)
    if is_a(error, Throttled):  # what it was raised from has been judged by who raised it
        advice, what = Advice(), "retry_after"
    else:
        headers = headers_of(error)
        advice = advice_of(headers, now) if headers else Advice()
        if advice.retry_after is not None:
            return advice
        delay = told_delay(error, headers)
        own, what = (own, "retry_after") if delay is None else (delay, "RetryInfo")
    if own is None:
        return advice
    told = [advice.absurd] if advice.absurd else []
    return advice._replace(retry_after=capped(own, what, told), absurd="; ".join(told))


def _final(error: BaseException) -> Verdict:
    return Kind.FINAL, type(error).__name__


def _diagnose_group(group: BaseException) -> Diagnosis:
    """Judge a group by its members: what fails for good fails the whole, else the first speaks for it."""
    each = [diagnose(it) for it in leaves_of(group)]
    return next((it for it in each if it.kind is Kind.FINAL), each[0] if each else Diagnosis(*_final(group), group))


def _by_own_word(error: BaseException) -> Verdict | None:
    """Judge this library's own errors; but for the one that says "slower" they are about a run."""
    if is_a(error, Throttled):
        return Kind.THROTTLED, text_of(error) or "Throttled"
    return _final(error) if is_a(error, WhilstError) else None


def _by_status(error: BaseException) -> Verdict | None:
    """Judge by the HTTP status, and before that by the service's own code for the error."""
    status, code = own_status(error), error_code_of(error)
    if code in SERVICE_CODES:
        return SERVICE_CODES[code][0], code if status is None else f"{status} {code}"
    if status is None:
        return None
    limited = status in LIMITING and asked_by(error, now=0.0).retry_after is not None
    return Kind.THROTTLED if limited else verdict_of_status(status), described_status(status)


def _by_own_wait(error: BaseException) -> Verdict | None:
    """Judge by an exception's own wish for a wait, as clients have it that tell no status."""
    return None if wait_of(error) is None else (Kind.THROTTLED, type(error).__name__)


def _by_grpc_code(error: BaseException) -> Verdict | None:
    """Judge by the code of a gRPC call; only what looks like such a call is asked for it."""
    if not callable(peek(error, "code")) or not callable(peek(error, "details")):
        return None
    name = peek(called(error, "code"), "name")
    return (GRPC_CODES.get(name, Kind.FINAL), name[:40]) if is_a(name, str) else None


def _by_database_code(error: BaseException) -> Verdict | None:
    """Judge by SQLSTATE, or by SQLite's own name for the error."""
    for name in ("sqlstate", "pgcode"):
        state = peek(error, name)
        if is_a(state, str) and len(state) == 5:
            known = SQLSTATES.get(state) or SQLSTATES.get(state[:2]) or _final(error)
            return known[0], f"{known[1]} ({state})"
    name = peek(error, "sqlite_errorname")
    busy = is_a(name, str) and name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED"))
    return (Kind.FAILED, "the database is locked") if busy else None


def _by_name(error: BaseException) -> Verdict | None:
    """Judge by a client's class that can mean one thing only."""
    name = _known_name(error)
    if name == "BadStatusLine":  # nothing at all where an answer should begin, as http.client quotes it, or no HTTP
        return BROKEN if peek(error, "line") in ("", "''") else None
    return DEFINITE.get(name)


def _by_operating_system(error: BaseException) -> Verdict | None:
    """Judge builtin exceptions by class, and whatever keeps an errno by that."""
    if not is_a(error, OSError):
        return None
    number, module, name = peek(error, "errno"), type(error).__module__, type(error).__name__
    if name == "gaierror":
        return NO_HOST if is_a(number, int) and number in NO_SUCH_HOST else (Kind.UNREACHABLE, "name resolution failed")
    if module == "ssl":
        return TLS.get(name, BAD_TLS)
    if is_a(number, int) and number in ERRNOS:
        return ERRNOS[number]
    if builtin := next((verdict for cls, verdict in BUILTINS if is_a(error, cls)), None):
        return builtin
    # A full disk or a missing file has nothing to do with what was being handled when it happened.
    return _final(error) if module == "builtins" and is_a(number, int) else None


def _by_vague_name(error: BaseException) -> Verdict | None:
    """Judge by a class that says little, and by the words of its message where its client has no better."""
    verdict = VAGUE.get(_known_name(error))
    if verdict is None:
        return None
    words = text_of(error)
    return next((said for phrase, said in PHRASES if re.search(phrase, words, re.IGNORECASE)), verdict)


def _known_name(error: BaseException) -> str:
    """Return the nearest class, the error's own or a parent's, that the tables know; "" for none."""
    for cls in type(error).__mro__:
        known = cls.__name__ in DEFINITE or cls.__name__ in VAGUE
        if known and str(cls.__module__).partition(".")[0] in PACKAGES:
            return cls.__name__
    return ""


JUDGES: Final[tuple[Callable[[BaseException], Verdict | None], ...]] = (
    *(_by_own_word, _by_status, _by_own_wait, _by_grpc_code, _by_database_code, _by_name, _by_operating_system),
)
