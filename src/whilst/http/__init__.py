"""A small HTTP client, blocking and async, with a pool of connections: `get_json`, `get_text`, `get_bytes`, `request`.

The functions here block. Those in `whilst.http.aio` are the same for async code. You can map both as they are:
`whilst.map(whilst.http.get_json, urls)` or `whilst.map(whilst.http.aio.get_json, urls)`. A call raises an `HTTPError`
if the answer is not 2xx, not complete, or not what you asked for. No message of such an error contains a secret.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

try:
    from . import aio
except ModuleNotFoundError as _missing:
    if (_missing.name or "").partition(".")[0] != "pyreqwest":
        raise
    raise ModuleNotFoundError(
        "whilst.http needs pyreqwest, which is not installed\n  try: pip install 'whilst[http]'", name="pyreqwest"
    ) from None

from .blocking import get_bytes, get_json, get_text, request
from .errors import (
    BadAnswer,
    CertificateError,
    ConnectError,
    Headers,
    HTTPError,
    InvalidURL,
    NotJSON,
    RequestTimeout,
    SizeExceeded,
    StatusError,
    TooManyRedirects,
    TruncatedError,
    UnknownHost,
)

if TYPE_CHECKING:
    from .response import Response

__all__ = [
    "BadAnswer",
    "CertificateError",
    "ConnectError",
    "HTTPError",
    "Headers",
    "InvalidURL",
    "NotJSON",
    "RequestTimeout",
    "Response",
    "SizeExceeded",
    "StatusError",
    "TooManyRedirects",
    "TruncatedError",
    "UnknownHost",
    "aio",
    "get_bytes",
    "get_json",
    "get_text",
    "request",
]

_ELSEWHERE = {
    **dict.fromkeys(("get", "fetch", "urlopen"), "whilst.http.get_json(url), get_text(url), get_bytes(url)"),
    **{name: f'whilst.http.request("{name.upper()}", url, …)' for name in ("head", "post", "put", "patch", "delete")},
    **dict.fromkeys(("Session", "Client", "ClientSession"), "whilst.http.get_json(url): all calls share one pool"),
    **dict.fromkeys(("AsyncClient", "AsyncSession"), "await whilst.http.aio.get_json(url): all calls share one pool"),
}

if not TYPE_CHECKING:  # a type checker would take any name for one of ours

    def __getattr__(name: str) -> Any:
        """Load what an answer is at its first use: it takes as long as all the rest."""
        if name != "Response":
            said = f"module {__name__!r} has no attribute {name!r}"
            said = f"{said}\n  try: {_ELSEWHERE[name]}" if name in _ELSEWHERE else said
            raise AttributeError(said, name=name, obj=sys.modules[__name__])
        from .response import Response

        return Response


def __dir__() -> list[str]:
    """List the public names, loaded or not."""
    return sorted({*globals(), *__all__})
