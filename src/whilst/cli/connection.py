"""How does `whilst get` connect? Certificates, a proxy: looked at before anything is asked."""

from __future__ import annotations

from .messages import Problem, say


def check_connection(cacert: str | None, insecure: bool, proxy: str | None) -> None:
    """Have the client connect as the flags say; Problem if they, or the environment, cannot be meant."""
    from ..http.clients import Connecting, check_told, connect_by
    from ..http.errors import HTTPError

    if cacert is not None and insecure:
        raise Problem("--insecure accepts any certificate, --cacert only some", remedy="leave out --insecure")
    try:
        check_told()
        certificates = _certificates(cacert)
    except HTTPError as error:
        text = str(error)
        fact, _, remedy = text.removesuffix(")").rpartition(" (") if text.endswith(")") else (text, "", "")
        raise Problem(fact, remedy=remedy) from None
    if proxy is not None:
        _check_proxy(proxy)
    if insecure:
        say("warning: --insecure: no certificate is checked, so others can read and change everything")
    if certificates is not None or insecure or proxy is not None:
        connect_by(Connecting(certificates, insecure, proxy))


def _certificates(path: str | None) -> bytes | None:
    if path is None:
        return None
    from ..http.proxies import check_certificates

    return check_certificates(path, "--cacert")


def _check_proxy(proxy: str) -> None:
    from ..http.proxies import why_no_proxy

    if "@" in proxy:
        raise Problem(
            "a proxy with a user and a password must not be an argument",
            "every process on this machine can read it, and the shell stores it",
            remedy="export HTTPS_PROXY=…, and no --proxy",
        )
    if reason := why_no_proxy(proxy):
        raise Problem(f"--proxy is not a proxy: {reason}", remedy="--proxy http://HOST:PORT")
