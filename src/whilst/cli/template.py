"""Which URLs does a template stand for? `{1..151}` and `{a,b}` in an argument; `{name}` filled from each row.

Nothing is held: a template of a billion URLs is counted and read one by one.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, cast

import msgspec

from .messages import Problem, short

_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = r"(-?\d{1,18})\.\.(-?\d{1,18})(?:\.\.(\d{1,18}))?"


class Unfillable(ValueError):
    """A row that has no value, or none that may be part of a URL, for a field of the template."""


class Numbers(Sequence[str]):
    """The numbers of a range, as text of at least `width` digits."""

    __slots__ = ("_numbers", "_width")

    def __init__(self, numbers: range, width: int) -> None:
        self._numbers = numbers
        self._width = width

    def __len__(self) -> int:
        return len(self._numbers)

    def __getitem__(self, index: Any) -> Any:
        number = cast(int, self._numbers[index])
        return f"{number:0{self._width + (number < 0)}d}"


class Expansion(msgspec.Struct, frozen=True):
    """What an argument stands for: texts, and between each two of them the choices of a pair of braces."""

    texts: tuple[str, ...]
    choices: tuple[Sequence[str], ...]

    @property
    def count(self) -> int:
        """How many URLs these are."""
        return math.prod(len(it) for it in self.choices)

    def __iter__(self) -> Iterator[str]:
        """Give each URL; the last braces change fastest."""
        if not self.choices:
            yield self.texts[0]
            return
        for chosen in _product(self.choices):
            yield self.texts[0] + "".join(part for pair in zip(chosen, self.texts[1:], strict=True) for part in pair)


def expand(template: str) -> Expansion:
    """Read an argument; Problem if its braces cannot be meant.

    >>> list(expand("/{a,b}/{08..10}"))
    ['/a/08', '/a/09', '/a/10', '/b/08', '/b/09', '/b/10']
    >>> expand("/{1..1000000000}").count
    1000000000
    """
    texts = _BRACES.split(template)
    if not have_ends(template):
        raise Problem(
            f"the braces of {short(template, 80)} do not match",
            "write %7B or %7D for a brace in the URL itself",
            remedy="{1..151} or {a,b}",
        )
    return Expansion(tuple(texts[::2]), tuple(_choices(inside, template) for inside in texts[1::2]))


def have_ends(template: str) -> bool:
    """Whether each brace of a template is one of a pair.

    >>> have_ends("/{a}/{b}"), have_ends("/{a")
    (True, False)
    """
    return not any("{" in text or "}" in text for text in _BRACES.split(template)[::2])


def fields_of(template: str) -> list[str]:
    """Return the fields that a template for rows names; the empty one is the row itself.

    >>> fields_of("https://example.com/{kind}/{id}?of={kind}")
    ['kind', 'id']
    """
    return list(dict.fromkeys(_BRACES.findall(template)))


def fill(template: str, value: Any) -> str:
    """Return the URL of a row: each field percent-encoded, so that a value cannot change what the URL means.

    >>> fill("https://example.com/{name}?q={}", {"name": "a/b", "": "&"})
    'https://example.com/a%2Fb?q=%26'
    """
    from urllib.parse import quote  # loaded when used

    def field(found: re.Match[str]) -> str:
        return quote(_text(found[1], value), safe="")

    return _BRACES.sub(field, template)


def _choices(inside: str, template: str) -> Sequence[str]:
    if "," in inside:
        return inside.split(",")
    if not (found := re.fullmatch(_RANGE, inside)):
        name = inside or "…"
        raise Problem(
            f"{{{short(inside, 40)}}} is neither a range nor a list",
            f"in {short(template, 80)}",
            remedy=f"{{1..151}} or {{a,b}}; fields of rows: whilst get rows.csv --url '…/{{{short(name, 40)}}}'",
        )
    first, last, step = int(found[1]), int(found[2]), int(found[3] or 1)
    if not step:
        raise Problem(f"{{{inside}}} has a step of 0", remedy=f"{{{first}..{last}}}")
    padded = any(it.lstrip("-").startswith("0") and len(it.lstrip("-")) > 1 for it in found.groups()[:2])
    width = max(len(it.lstrip("-")) for it in found.groups()[:2]) if padded else 0
    return Numbers(range(first, last + 1, step) if last >= first else range(first, last - 1, -step), width)


def _product(choices: Sequence[Sequence[str]]) -> Iterator[tuple[str, ...]]:
    """Give every combination; unlike itertools.product it does not first read all that there is to choose from."""
    first, *rest = choices
    if not rest:
        yield from ((it,) for it in first)
        return
    yield from itertools.chain.from_iterable(((it, *others) for others in _product(rest)) for it in first)


def _text(name: str, value: Any) -> str:
    """Return a field of a row as text."""
    if not name and not isinstance(value, dict):
        found: Any = value
    elif not isinstance(value, dict):
        raise Unfillable(f"the row is {short(repr(value), 60)} and has no field {name!r}")
    elif name not in value:
        raise Unfillable(f"the row has no field {name!r}")
    else:
        found = cast("dict[str, Any]", value)[name]
    what = repr(name) if name else "the row"
    if isinstance(found, bool):
        return "true" if found else "false"
    if not isinstance(found, str | int | float):
        raise Unfillable(f"{what} is {short(repr(found), 60)}, which cannot be part of a URL")
    text = str(found)
    if text in ("", ".", ".."):  # the URL would be that of something else, such as of all users instead of one
        raise Unfillable(f"{what} is {text!r}, which would change what the URL means")
    return text
