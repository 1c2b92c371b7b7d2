"""What was `whilst get` asked for, and do its options go together?"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from .messages import Problem, short

_METHOD = r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,50}"


class Asked(msgspec.Struct, frozen=True):
    """The command line's own part, as click read it."""

    url: str | None
    method: str | None
    plain: tuple[str, ...]
    from_env: tuple[str, ...]
    from_file: tuple[str, ...]
    json_fields: tuple[str, ...]
    body_field: str | None
    form: Any
    items: str | None
    next_field: str | None
    follow: str | None
    max_pages: int | None
    next_param: str | None
    until: str | None
    cacert: str | None
    insecure: bool
    proxy: str | None
    yes: bool
    save: str | None
    max_size: int | None
    max_memory: int | None


def with_method(asked: Asked) -> Asked:
    """Return it with the name of the method as servers know it."""
    method = asked.method
    if method is None:
        return asked
    if not re.fullmatch(_METHOD, method) or method.upper() == "CONNECT":
        raise Problem(f"--method {short(method, 40)} is not an HTTP method", remedy="--method PROPFIND")
    from ..http.body import method_of

    return msgspec.structs.replace(asked, method=method_of(method))


def check_asked(asked: Asked) -> None:
    """Refuse options that do not go together."""
    if asked.body_field and asked.json_fields:
        raise Problem("--body-field and --json-field both make the body", remedy="leave out one of them")
    if (asked.body_field or asked.json_fields) and asked.method in ("GET", "HEAD"):
        raise Problem(f"a {asked.method} has no body", remedy="--method POST")
    if asked.next_field and asked.follow:
        raise Problem("--next and --follow both say where the next page is", remedy="leave out one of them")
    if asked.next_param and not asked.next_field:
        raise Problem("--next-param needs --next, which names the cursor", remedy="--next FIELD --next-param PARAM")
    if asked.until and not asked.next_field:
        raise Problem("--until needs --next, which names the next page", remedy="--next FIELD --until FIELD=VALUE")
    if asked.until:
        from .paging import until_of

        try:
            until_of(asked.until)
        except ValueError:
            raise Problem(
                f"--until {short(asked.until, 40)} is not FIELD=VALUE", remedy="--until has_more=false"
            ) from None
    if asked.save and (asked.form != "json" or asked.items or has_pages(asked)):
        flag = "--items" if asked.items else "--next and --follow" if has_pages(asked) else f"--as {asked.form}"
        raise Problem(
            f"--save writes answers to files without reading them, and {flag} needs to read them",
            remedy="one of the two",
        )
    if asked.save and asked.max_memory:
        raise Problem(
            "--max-memory is for answers in memory, and --save keeps none there", remedy="leave out --max-memory"
        )
    if asked.max_pages and not has_pages(asked):
        raise Problem(
            "--max-pages needs --next or --follow, which say where the next page is",
            remedy="--next FIELD or --follow link",
        )
    if asked.form in ("text", "bytes", "response") and (asked.items or asked.next_field):
        flag = "--items" if asked.items else "--next"
        raise Problem(f"{flag} reads JSON, but --as is {asked.form}", remedy="--as json")


def has_pages(asked: Asked) -> bool:
    """Whether an answer may lead to further ones."""
    return asked.next_field is not None or asked.follow is not None


def row_flag(asked: Asked) -> str:
    """Return a flag that was given and speaks of rows."""
    flags = {"--url": asked.url, "--body-field": asked.body_field, "--json-field": asked.json_fields}
    return next((flag for flag, given in flags.items() if given), "")
