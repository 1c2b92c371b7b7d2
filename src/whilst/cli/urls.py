"""What are the arguments of `whilst get`: URLs, or the name of a file of rows?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator

import msgspec

from ..http.address import shown_url, why_no_url
from ..io.open import Manner
from ..io.refusal import closest
from ..io.rows import Rejected, Row
from .inputs import Source, open_source
from .messages import Problem, short
from .template import Expansion, expand

_FILE = r"\.(txt|jsonl|ndjson|csv|parquet)(\.\w+)?$"  # patterns, which `re` compiles at their first use
_HOST = r"([\w-]+\.)+[a-z]{2,}(:\d+)?(/|$)|localhost\b|\d+(\.\d+){3}"


class Nothing:
    """What is not read from a file: nothing of it can be shown as progress."""

    size: int | None = None
    consumed: int = 0


class Arguments(msgspec.Struct, frozen=True):
    """The URLs of the command line, as a source of rows."""

    expansions: tuple[Expansion, ...]
    name: str = "the URLs given"
    format: str = "text"
    is_table: bool = False
    source: Nothing = msgspec.field(default_factory=Nothing)

    @property
    def total(self) -> int:
        """How many URLs these are."""
        return sum(it.count for it in self.expansions)

    def rows(self) -> Iterator[Row | Rejected]:
        """Give each URL as a row."""
        encode = msgspec.json.Encoder().encode
        number = 0
        for expansion in self.expansions:
            for url in expansion:
                number += 1
                yield Row(number, url, encode(url))


def open_targets(targets: tuple[str, ...], format: str | None, manner: Manner, row_flag: str) -> Source:
    """Open what is to be fetched; Problem if it cannot be meant.

    `row_flag` is a flag that was given and makes sense for rows only, or nothing.
    """
    urls = [it for it in targets if re.match(r"https?:", it, re.IGNORECASE)]
    files = [it for it in targets if it not in urls] or ([] if urls else ["-"])
    if not urls:
        if len(files) > 1:
            raise Problem(f"one FILE at a time, got {', '.join(short(it, 40) for it in files[:3])}", remedy=files[0])
        _check_file(files[0])
        return open_source(files[0], format, manner)
    if files:
        _check_file(files[0])
        raise Problem(
            "URLs and a FILE cannot be given together",
            f"{short(files[0], 60)} is not a URL",
            remedy=_proposed(files[0]),
        )
    if row_flag:
        raise Problem(
            f"{row_flag} is for the rows of a FILE, but URLs were given", remedy="whilst get FILE --url TEMPLATE"
        )
    return Arguments(tuple(_expansion(it) for it in urls))


def _expansion(url: str) -> Expansion:
    if re.match(r"[^/?#]*//[^/?#]*@", url):
        raise Problem(
            "a URL with a user and a password must not be an argument",
            "every process on this machine can read it, and the shell stores it",
            remedy="--header-env Authorization=VARIABLE, or a FILE of URLs",
        )
    expansion = expand(url)
    first = next(iter(expansion), "")
    if reason := why_no_url(first):
        raise Problem(f"{short(shown_url(first), 80)} cannot be fetched: {reason}", remedy="https://HOST/PATH")
    return expansion


def _check_file(name: str) -> None:
    """Problem if what is to be a file was likely meant as a URL."""
    if name == "-" or os.path.exists(name):
        return
    scheme = re.match(r"([A-Za-z][\w+.-]*):/", name)
    likely = closest(scheme[1].lower(), ["http", "https"]) if scheme else ""
    if likely:
        assert scheme is not None
        rest = name[scheme.end() :].lstrip("/").rpartition("@")[2]
        raise Problem(
            f"{scheme[1]}: is not a scheme of a URL", remedy=f"{likely}://{short(rest.partition('?')[0], 80)}"
        )
    if not re.search(_FILE, name, re.IGNORECASE) and re.match(_HOST, name, re.IGNORECASE):
        raise Problem(f"there is no file {short(name.partition('?')[0], 80)}", remedy=_proposed(name))


def _proposed(name: str) -> str:
    return f"https://{short(name.partition('?')[0].rpartition('@')[2], 80)}"
