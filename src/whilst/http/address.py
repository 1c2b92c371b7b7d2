"""What of a URL may be shown, and what in it is secret?

URLs are read as the client reads them: to another reader `https:/me:pw@host/` has no user-info.
"""

from __future__ import annotations

import re
from binascii import a2b_base64, b2a_base64

from pyreqwest.http import Url

_START = re.compile(r"https?://[^/?#\\\s]", re.IGNORECASE)
SHOWN = 300  # characters of a URL that a message shows


def shown_url(url: str) -> str:
    """Return the URL as messages show it: no user-info, no values of the query, no fragment.

    >>> shown_url("https://me:pw@example.com/a?key=abc&page=2#top")
    'https://example.com/a?key=…&page=…'
    """
    try:
        parsed = Url(url)
    except ValueError:
        return _cut(url.partition("?")[0].rpartition("@")[2])
    start = f"{parsed.scheme}://{_host(parsed)}{parsed.path}"
    if parsed.query_string is None:
        return _cut(start)
    pairs = [pair.partition("=") for pair in parsed.query_string.split("&")]
    # What has no name is a value, as in `?abc`: it may be a token.
    return _cut(start + "?" + "&".join(f"{name}=…" if equals else "…" for name, equals, _ in pairs))


def why_no_url(text: str) -> str | None:
    """Say why this cannot be asked; None if it can.

    >>> why_no_url("example.com/a"), why_no_url("http://example.com:99999/")
    ('it has no http:// or https:// at its start', 'it is not a URL: invalid port number')
    >>> why_no_url("https://"), why_no_url("http:///path")
    ('it has no host', 'it has no host')
    """
    if not _START.match(text):
        if text.lower().startswith(("http://", "https://")):
            return "it has no host"
        return "it has no http:// or https:// at its start" if text else "it is empty"
    if Url.is_valid(text):
        return None
    try:
        Url(text)
    except ValueError as error:
        return f"it is not a URL: {error}"
    return None


def host_of(url: str) -> str:
    """Return the host, with the port if it is not the usual one.

    >>> host_of("https://me:pw@example.com:8443/a")
    'example.com:8443'
    """
    try:
        return _host(Url(url))
    except ValueError:
        return "no host"


def secrets_of(url: str) -> list[str]:
    """Return what is secret in a URL: user-info and the values of its query, as written and decoded.

    >>> secrets_of("https://me:p%40w@example.com/?key=abc")
    ['me', 'p%40w', 'p@w', 'me:p@w', 'bWU6cEB3', 'abc']
    """
    from urllib.parse import unquote, unquote_plus  # loaded when used: it takes 3 ms

    try:
        parsed = Url(url)
    except ValueError:
        return []
    written = [parsed.username, parsed.password or ""]
    if parsed.username or parsed.password:  # is sent as such, and may be repeated as such
        login = f"{unquote(parsed.username)}:{unquote(parsed.password or '')}"
        written += [login, b2a_base64(login.encode(), newline=False).decode()]
    written += [pair.partition("=")[2] or pair for pair in (parsed.query_string or "").split("&")]
    return list(dict.fromkeys(it for text in written if text for it in (text, unquote_plus(text))))


def parts_of(value: str) -> list[str]:
    """Return what is secret in the value of a header: all of it, its words, and what a Basic authorization says.

    >>> parts_of("Basic bWU6cGFzcw==")
    ['Basic bWU6cGFzcw==', 'bWU6cGFzcw==', 'me:pass', 'me', 'pass']
    """
    scheme, _, rest = value.partition(" ")
    words = [it for it in value.split() if it != value and it.lower() not in ("basic", "bearer", "digest", "token")]
    if scheme.lower() != "basic":
        return [value, *words]
    try:
        login = a2b_base64(rest.encode()).decode()
    except ValueError:  # not base64, or no text
        return [value, *words]
    user, _, password = login.partition(":")
    return [value, *words, login, user, password]


def _host(parsed: Url) -> str:
    return (parsed.host_str or "") + (f":{parsed.port}" if parsed.port is not None else "")


def _cut(text: str) -> str:
    return text if len(text) <= SHOWN else text[: SHOWN - 1] + "…"
