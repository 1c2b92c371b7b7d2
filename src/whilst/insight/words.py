"""How are numbers and foreign texts written in a page: short, and so that nothing in them acts?"""

from __future__ import annotations

import html
import re

from ..core.secrets import bounded

MOST = 300  # characters of a foreign text
_ACTS = r"[\x00-\x1f\x7f-\x9f\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ud800-\udfff\ufff0-\uffff]"


def inert(text: object, most: int = MOST) -> str:
    r"""Return a foreign text for HTML: bounded, without secrets, with marks that act on the page made visible.

    >>> inert("</script>\u202e")
    '&lt;/script&gt;\\u202e'
    """
    return html.escape(visible(bounded(str(text), most)))


def visible(text: str) -> str:
    r"""Make control characters, direction marks and halves of characters visible.

    >>> visible("a\x1b[2J")
    'a\\x1b[2J'
    """
    if text.isascii() and text.isprintable():
        return text
    return re.sub(_ACTS, lambda found: found[0].encode("unicode_escape").decode(), text)


def seconds(number: float) -> str:
    """Return a time in the unit that suits it.

    >>> seconds(0.0000021), seconds(0.0123), seconds(7.256), seconds(754), seconds(7300)
    ('2.1 µs', '12.3 ms', '7.26 s', '12 min 34 s', '2 h 1 min')
    """
    if number >= 3600:
        return f"{number // 3600:,.0f} h {number % 3600 // 60:.0f} min"
    if number >= 100:
        return f"{number // 60:.0f} min {number % 60:.0f} s"
    for unit, one in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if number >= one or unit == "µs":
            return f"{three(number / one)} {unit}"
    raise AssertionError


def share(part: float, whole: float) -> str:
    """Return a part in per cent; what is there is never 0 %, and what is missing never 100 %.

    >>> share(1, 3), share(1, 100_000), share(99_999, 100_000), share(0, 0)
    ('33 %', '<0.1 %', '>99.9 %', '–')
    """
    if not whole:
        return "–"
    percent = 100 * part / whole
    if 0 < percent < 0.1:
        return "<0.1 %"
    if 99.9 < percent < 100:
        return ">99.9 %"
    return f"{percent:.1f} %" if percent < 10 and percent else f"{percent:.0f} %"


def counted(number: int, one: str, many: str = "") -> str:
    """Return a number and what is counted.

    >>> counted(1, "call"), counted(1200, "call")
    ('1 call', '1,200 calls')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def three(number: float) -> str:
    """Return a number with three digits, or all of them before the point.

    >>> three(0.25), three(73.03), three(312_250.4)
    ('0.25', '73', '312,250')
    """
    return f"{number:.3g}" if number < 1000 else f"{number:,.0f}"
