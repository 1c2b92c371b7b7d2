"""Where in a text are credentials? In URLs: before the host and behind the question mark."""

from __future__ import annotations

import re

_USER_INFO = r"(\b[a-zA-Z][\w+.-]{1,20}://)[^/\s@'\"<>]+@"  # patterns, which `re` compiles at their first use
_QUERY = r"(\b[a-zA-Z][\w+.-]{1,20}://[^\s?'\"<>]{1,2000}\?)[^\s'\"<>)\]]+"


def without_secrets(text: str) -> str:
    """Leave out user-info and query of the URLs in a text.

    >>> without_secrets("no route to https://me:secret@host/path?key=secret")
    'no route to https://…@host/path?…'
    """
    if "://" not in text:
        return text
    return re.sub(_QUERY, r"\1…", re.sub(_USER_INFO, r"\1…@", text))
