"""Which value was meant by one of another type: `"8"` for a number, `"5s"` for seconds, `"20%"` for a share?

Most of it is asked when something is refused, for the line that works.
"""

from __future__ import annotations

import re
from typing import Any

_NUMBER = r"\d+(?:\.\d+)?|\.\d+"


def try_whole(parameter: str, value: object) -> str:
    """Return the line with the whole number that was meant.

    >>> try_whole("concurrency", "8"), try_whole("total", 2.5)
    ('\\n  try: concurrency=8', '')
    """
    text = str(value).strip()
    if isinstance(value, bool) or not re.fullmatch(_NUMBER, text) or float(text) % 1 or not float(text):
        return ""
    return _line(parameter, int(float(text)))


def try_seconds(parameter: str, value: object) -> str:
    """Return the line with the seconds that were meant.

    >>> import datetime
    >>> try_seconds("timeout", "1.5 min"), try_seconds("deadline", datetime.timedelta(hours=1))
    ('\\n  try: timeout=90', '\\n  try: deadline=3600')
    """
    told: Any = getattr(value, "total_seconds", None)  # of a timedelta
    found = in_seconds(str(value)) if told is None else float(told())
    return _line(parameter, found) if found and found > 0 else ""


def try_flag(parameter: str, value: object) -> str:
    """Return the line with the True or False that was meant.

    >>> try_flag("ordered", "no"), try_flag("progress", "bar")
    ('\\n  try: ordered=False', '\\n  try: progress=True')
    """
    return _line(parameter, str(value).strip().lower() not in ("0", "no", "n", "false", "off", "never", "none", ""))


def try_share(parameter: str, value: object) -> str:
    """Return the line with the share that was meant.

    >>> try_share("budget", "20%")
    '\\n  try: budget=0.2'
    """
    share = _share(value)
    return "" if share is None else _line(parameter, share)


def percent(value: object) -> str:
    """Return the share that was meant, in percent, or an example.

    >>> percent(0.1), percent("5 %"), percent("many")
    ('10%', '5%', '5%')
    """
    hundred = f"{(_share(value) or 0.0) * 100:g}"
    return f"{hundred}%" if 0 < float(hundred) <= 100 and "." not in hundred else "5%"


def rate(value: object) -> str:
    """Return the rate that was meant, or nothing.

    >>> rate("5 per second"), rate("100"), rate("1,000/h"), rate("fast")
    ('5/s', '100/s', '1000/h', '')
    """
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", str(value).strip().lower())
    found = re.fullmatch(rf"({_NUMBER})\s*(?:(?:/|per|a|p|x/|calls?/|req\w*/)\s*([a-z]+)|)", text)
    if found is None or not float(found[1]):
        return ""
    unit = _unit(found[2] or "s")
    return f"{found[1]}/{unit}" if unit else ""


def in_seconds(text: str) -> float | None:
    """Read `5s` or `2 min`, to say what it would be in seconds.

    >>> in_seconds("100 ms"), in_seconds("2h"), in_seconds("7"), in_seconds("soon")
    (0.1, 7200.0, 7.0, None)
    """
    found = re.fullmatch(rf"({_NUMBER})\s*([a-z]*)", text.strip().lower())
    if found is None:
        return None
    from .rates import SECONDS

    unit = _unit(found[2] or "s")
    return float(found[1]) * SECONDS[unit] if unit and float(found[1]) else None


def _share(value: object) -> float | None:
    found = re.fullmatch(rf"({_NUMBER})\s*(%?)", str(value).strip())
    return float(found[1]) / (100 if found[2] else 1) if found else None


def _unit(word: str) -> str:
    """Return the unit of time of that name, in the singular or plural, or nothing."""
    from .rates import NAMES, SECONDS

    known = (NAMES.get(it, it) for it in (word, word.removesuffix("s")))
    return next((it for it in known if it in SECONDS), "")


def _line(parameter: str, number: float) -> str:
    shown: Any = f"{number:g}" if isinstance(number, float) and float(f"{number:g}") == number else number
    return f"\n  try: {parameter}={shown}"
