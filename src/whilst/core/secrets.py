"""Where in a text are credentials? In URLs: before the host and behind the question mark."""

from __future__ import annotations

import re

_USER_INFO = re.compile(r"(\b[a-zA-Z][\w+.-]{1,20}://)[^/\s@'\"<>]+@")
_QUERY = re.compile(r"(\b[a-zA-Z][\w+.-]{1,20}://[^\s?'\"<>]{1,2000}\?)[^\s'\"<>)\]]+")


def without_secrets(text: str) -> str:
    """Leave out user-info and query of the URLs in a text.

    >>> without_secrets("no route to https://me:secret@host/path?key=secret")
    'no route to https://…@host/path?…'
    """
    if "://" not in text:
        return text
    return _QUERY.sub(r"\1…", _USER_INFO.sub(r"\1…@", text))
