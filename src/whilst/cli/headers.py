"""Which headers does a command line ask for? Secrets come from the environment or a file, never from a flag.

A flag's value is seen by every process of the machine (`ps`), and kept by the shell's history.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence

from ..io.refusal import closest
from .messages import Problem

MOST = 64 * 1024  # bytes of a file that holds a header; whoever names a larger one means another file
_NAME = r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"  # patterns, which `re` compiles at their first use
_SECRET = r"authorization|cookie|auth|token|secret|password|passwd|credential|signature|session|(^|[-_])key$|api-?key"


def read_headers(plain: Sequence[str], from_env: Sequence[str], from_file: Sequence[str]) -> dict[str, str]:
    """Return the headers of `--header`, `--header-env` and `--header-file`; Problem if one cannot be meant.

    No message shows a value.
    """
    headers: dict[str, str] = {}
    for name, value in (
        *(_plain(it) for it in plain),
        *(_from_env(it) for it in from_env),
        *(_from_file(it) for it in from_file),
    ):
        if name.lower() in (it.lower() for it in headers):
            raise Problem(f"the header {name} is given twice", remedy="leave out one of them")
        if any(ord(it) < 32 and it != "\t" for it in value):
            raise Problem(f"the value of the header {name} contains a line end or another control character")
        headers[name] = value
    return headers


def is_secret(name: str) -> bool:
    """Whether a header of this name holds a secret.

    >>> [it for it in ("Accept", "Authorization", "X-Api-Key", "x-monkey") if is_secret(it)]
    ['Authorization', 'X-Api-Key']
    """
    return re.search(_SECRET, name, re.IGNORECASE) is not None


def _plain(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    name = name.strip()
    if not colon or not re.fullmatch(_NAME, name):
        raise Problem("a --header must be a name, a colon and a value", remedy="--header 'Accept: application/json'")
    if is_secret(name):
        variable = re.sub(r"\W", "_", name).upper()
        raise Problem(
            f"--header {name} looks like a secret, and secrets must not be in a flag",
            "every process on this machine can read a flag, and the shell stores it",
            remedy=f"--header-env {name}={variable}, with the whole value in the variable {variable}; "
            f"or --header-file {name}=FILE",
        )
    return name, value.strip()


def _from_env(given: str) -> tuple[str, str]:
    name, variable = _pair(given, "--header-env", "VARIABLE")
    value = os.environ.get(variable, "").strip()
    if not value:
        state = "is empty" if variable in os.environ else "is not set"
        close = closest(variable, os.environ)
        raise Problem(
            f"the environment variable {variable} {state}" if _is_variable(variable) else "no variable has that name",
            f"--header-env {name} takes its value from it" if _is_variable(variable) else f"--header-env {name}=…",
            remedy=f"--header-env {name}={close}" if close else f"export {_is_variable(variable) or 'API_TOKEN'}=…",
        )
    return name, value


def _from_file(given: str) -> tuple[str, str]:
    name, path = _pair(given, "--header-file", "FILE")
    try:
        with open(path, "rb") as file:
            data = file.read(MOST + 1)
    except OSError as error:
        raise Problem(f"the file of --header-file {name} cannot be read: {error.strerror}", path) from None
    if len(data) > MOST:
        raise Problem(f"the file of --header-file {name} has more than {MOST:,} bytes", path)
    try:
        value = data.decode().strip()
    except UnicodeDecodeError:
        raise Problem(f"the file of --header-file {name} is not UTF-8 text", path) from None
    if not value:
        raise Problem(f"the file of --header-file {name} is empty", path)
    return name, value


def _pair(given: str, flag: str, what: str) -> tuple[str, str]:
    name, equals, value = given.partition("=")
    if not equals or not value or not re.fullmatch(_NAME, name):
        raise Problem(f"{flag} is NAME={what}", remedy=f"{flag} Authorization={what}")
    return name, value


def _is_variable(text: str) -> str:
    """Return the text if it may be the name of a variable; else nothing: it may be the secret itself."""
    return text if re.fullmatch(r"[A-Za-z_]\w{0,63}", text) else ""
