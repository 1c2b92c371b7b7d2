"""Does a failure say that the connection it was made over is no good any more?

It reads the same diagnosis as retries do, and besides what clients say of a connection that they know to be closed:
another attempt over that one would end the same way, so for a retry alone it is final.
"""

from __future__ import annotations

import re
from typing import Any, Final

from .diagnosis import Kind, diagnose
from .evidence import chain_of, is_plain_mistake, own_status, text_of
from .resource import Resource
from .verdicts import NO_ROOM

_KINDS: Final = frozenset({Kind.LOST, Kind.REFUSED, Kind.UNREACHABLE, Kind.TIMEOUT})

# What drivers call it that a connection is closed: psycopg2, asyncpg, sqlite3, MySQL's, oracledb.
_CLASSES: Final = frozenset(
    {"InterfaceError", "OperationalError", "ProgrammingError", "InternalError", "DatabaseError"}
)
_CLOSED: Final = (
    r"(?:connection|database|cursor|pool|channel)\b.{0,40}\b(?:closed|lost)|closed (?:connection|database|cursor)|"
    r"lost connection|not connected|gone away"
)

# Clients that make a connection when they need one, and another when it has broken: to open them again would only lose
# the connections that are well.
_SELF_HEALING: Final = frozenset(
    {"requests", "httpx", "httpx2", "aiohttp", "urllib3", "pyreqwest", "openai", "anthropic", "botocore", "boto3"}
    | {"redis", "grpc", "psycopg_pool", "whilst"}
)


def is_broken(wanted: Resource, value: Any, error: Exception) -> bool:
    """Whether what was opened is to be opened again, after a call that failed so.

    A judge of the user's that raises has not said no, and to open once too often loses nothing.
    """
    if wanted.reopen is False:
        return False
    if wanted.reopen is True:
        return speaks_of_connection(error) and not heals_itself(value)
    try:
        return bool(wanted.reopen(error))
    except Exception:
        return True


def speaks_of_connection(error: BaseException) -> bool:
    """Whether a failure is about the connection: lost, refused, unreachable, silent, or closed before.

    >>> speaks_of_connection(ConnectionResetError()), speaks_of_connection(KeyError("id"))
    (True, False)
    """
    if is_plain_mistake(error):
        return False
    if any(_says_closed(it) for it in chain_of(error)):
        return True
    found = diagnose(error)
    answered = own_status(found.error) is not None  # over a connection that is well
    return found.kind in _KINDS and found.reason != NO_ROOM[1] and not answered


def heals_itself(value: Any) -> bool:
    """Whether what was opened is a client that sees to its connections by itself.

    >>> heals_itself(object())
    False
    """
    return any(str(cls.__module__).partition(".")[0] in _SELF_HEALING for cls in type(value).__mro__)


def _says_closed(error: BaseException) -> bool:
    named = any(cls.__name__ in _CLASSES for cls in type(error).__mro__)
    return named and re.search(_CLOSED, text_of(error), re.IGNORECASE) is not None
