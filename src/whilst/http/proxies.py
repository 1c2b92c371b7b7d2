"""Which proxy do requests go through, and do the variables that say so mean one?

The client reads the same variables; one that it does not understand it would pass over without a word.
"""

from __future__ import annotations

import os
import re

from pyreqwest.http import Url

from .errors import CertificateError, InvalidURL

VARIABLES = ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY")
_SCHEMES = ("http", "https", "socks4", "socks4a", "socks5", "socks5h")
_HOST = r"(?:[^\s/@]*@)?(?:\[[0-9a-fA-F:.]+\]|[\w.-]+)(?::\d{1,5})?/?"
_PEM = b"-----BEGIN CERTIFICATE-----"


def why_no_proxy(value: str) -> str:
    """Say why a text names no proxy; nothing if it does.

    >>> why_no_proxy("proxy:3128"), why_no_proxy("http://proxy:3128"), why_no_proxy("htp://proxy")
    ('', '', 'it begins with htp:, and a proxy is http, https or socks5')
    """
    scheme, separator, rest = value.partition("://")
    if not separator:
        scheme, rest = "http", value
    if scheme.lower() not in _SCHEMES:
        return f"it begins with {scheme[:20]}:, and a proxy is http, https or socks5"
    if not re.fullmatch(_HOST, rest) or not Url.is_valid(f"http://{rest}"):
        return "it is neither HOST:PORT nor http://HOST:PORT"
    return ""


def check_environment() -> None:
    """Refuse variables that name no proxy or no certificates: the client passes over them in silence.

    InvalidURL or CertificateError; the value of a proxy, which may have a password, is not shown.
    """
    for name in VARIABLES:
        if (value := os.environ.get(name, "").strip()) and (reason := why_no_proxy(value)):
            raise InvalidURL(f"the variable {name} is not a proxy: {reason} (unset or correct {name})")
    file, folder = os.environ.get("SSL_CERT_FILE", ""), os.environ.get("SSL_CERT_DIR", "")
    if file:
        check_certificates(file, "SSL_CERT_FILE")
    elif folder and not any(map(os.path.isdir, folder.split(os.pathsep))):
        raise CertificateError(f"SSL_CERT_DIR names {folder}, which is not a directory (unset or correct it)")


def check_certificates(path: str, name: str) -> bytes:
    """Return what a file of certificates has; CertificateError if it is none."""
    try:
        with open(path, "rb") as file:
            content = file.read(1 << 24)
    except OSError as error:
        raise CertificateError(f"{name} names {path}, which cannot be read: {error.strerror}") from None
    if _PEM not in content:
        raise CertificateError(
            f"{name} names {path}, which has no certificate in PEM form: no line is -----BEGIN CERTIFICATE----- "
            "(openssl x509 -inform der -in FILE -out ca.pem, if it is one in binary form)"
        )
    return content


def proxy_of(url: str, given: str | None) -> str:
    """Return the proxy that a URL is asked through, as messages show it: `proxy:3128 (HTTPS_PROXY)`; or nothing."""
    try:
        parsed = Url(url)
    except ValueError:
        return ""
    if given is not None:
        return f"{_shown(given)} (--proxy)"
    own = ("https_proxy", "HTTPS_PROXY") if parsed.scheme == "https" else ("http_proxy", "HTTP_PROXY")
    for name in (*own, "all_proxy", "ALL_PROXY"):
        if value := os.environ.get(name, "").strip():
            return "" if _is_exempt(parsed.host_str or "") else f"{_shown(value)} ({name})"
    return ""


def _shown(proxy: str) -> str:
    return proxy.rpartition("://")[2].rpartition("@")[2].rstrip("/")


def _is_exempt(host: str) -> bool:
    """Whether NO_PROXY names a host: itself, a domain it is in, a network of its address, or all."""
    import ipaddress  # loaded when used

    listed = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    bare = host.strip("[]").lower()
    for entry in (it.strip().lower() for it in listed.split(",")):
        if not entry:
            continue
        if entry == "*" or bare == entry.lstrip(".") or bare.endswith(f".{entry.lstrip('.')}"):
            return True
        try:
            if ipaddress.ip_address(bare) in ipaddress.ip_network(entry, strict=False):
                return True
        except ValueError:  # one of them is a name
            pass
    return False
