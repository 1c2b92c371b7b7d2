"""What do the flags for pace and patience take? A value that cannot be meant is refused with one that can.

They stand for parameters of `whilst.map`, whose messages speak of Python; here the same facts are said in flags.
"""

from __future__ import annotations

import builtins
import functools
import re
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, cast

import click

from .messages import Problem, short

if TYPE_CHECKING:
    from ..core.summary import Summary
    from ..limit.limit import Limit

    _ParamType = click.ParamType[int | float | str]
else:  # before click 8.4 it takes no type
    _ParamType = click.ParamType

_KIND = r"[45]\d\d|[A-Za-z_][\w.]*"  # of failures: patterns, which `re` compiles at their first use
NUMBER = r"-?\d+(\.\d+)?|-?inf|nan"


class Concurrency(_ParamType):
    """A number of calls, or `adaptive`."""

    name = "N|adaptive"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | str:
        """Read it."""
        if value == "adaptive":
            return "adaptive"
        count = _whole(value)
        if count is None:
            digits = str(value).lstrip("=")
            example = digits if digits.isdecimal() else "adaptive" if str(value).strip()[:1] in ("a", "A") else "32"
            _refuse("--concurrency", "must be a whole number or adaptive", value, f"-j {example}")
        if count < 1:
            _refuse("--concurrency", "must be at least 1", value, "-j 1")
        return count


class Attempts(_ParamType):
    """How many attempts an input has."""

    name = "N"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Read it."""
        count = _whole(value)
        if count is None:
            _refuse("--retry", "must be a number of attempts", value, "--retry 3")
        if count < 1:
            _refuse("--retry", "must be at least 1 attempt (the first call counts)", value, "--retry 3")
        return count


class Seconds(_ParamType):
    """A number of seconds, more than 0."""

    name = "S"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it."""
        flag = param.opts[-1] if param is not None else "it"
        try:
            seconds = float(value)
        except ValueError:
            from ..core.meant import in_seconds

            _refuse(flag, "must be a number of seconds", value, f"{flag} {in_seconds(value) or 30:g}")
        if not 0 < seconds < float("inf"):
            _refuse(flag, "must be more than 0 seconds and finite", value, f"{flag} 30, or leave {flag} out")
        return seconds


class Share(_ParamType):
    """A share of the calls, or `none` for no bound, which is infinite."""

    name = "P%|none"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Read it: 50% and 0.5 are the same."""
        text = str(value).strip().lower()
        if text == "none":
            return float("inf")
        found = re.fullmatch(r"(\d+(?:\.\d+)?|\.\d+)(%?)", text)
        share = float(found[1]) / (100 if found[2] else 1) if found else -1.0
        if not 0 <= share <= 10:  # or a number of retries is meant
            _refuse("--retry-budget", "must be a share of the calls, or none", value, "--retry-budget 50%")
        return share


class StopAfter(_ParamType):
    """A number of failures, or a share of the rows."""

    name = "N|P%"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Check it; the run reads it."""
        from ..core.failures import StopAfter as Policy

        try:
            Policy.parse(value)
        except ValueError:
            from ..core.meant import percent

            meant = f"--stop-after {percent(value)}"
            _refuse("--stop-after", "must be at least 1, or a share up to 100%", value, meant)
        return str(value)


def rates(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> list[str] | None:
    """Check what all `--rate` say together."""
    if not given:
        return None
    from ..core.rates import parse_rates

    try:
        parse_rates(given)
    except ValueError as error:
        fact, more = [*str(error).split("\n  try: "), ""][:2]
        text = more if "smaller" in more else f"--rate {_rate_like(given)}"
        raise Problem(fact.replace("rate", "--rate", 1), remedy=text) from None
    return list(given)


class Limited(Protocol):
    """The options that say what a limit holds to, and for what."""

    @property
    def concurrency(self) -> Any:
        """What `-j` said."""
        ...

    @property
    def rate(self) -> list[str] | None:
        """What `--rate` said."""
        ...

    @property
    def limit_by(self) -> str | None:
        """What `--limit-by` said."""
        ...


def retry_of(attempts: int | None, on: tuple[str, ...], budget: float | None) -> Any:
    """Return what `--retry`, `--retry-on` and `--retry-budget` say together; Problem if it cannot be meant."""
    if not on and budget is None:
        return attempts
    if attempts is None:
        flag, example = ("--retry-on", short(on[0], 40)) if on else ("--retry-budget", "50%")
        raise Problem(f"{flag} needs --retry, which says how often", remedy=f"--retry 3 {flag} {example}")
    from ..retrying import Retry

    of_budget: dict[str, Any] = {} if budget is None else {"budget": budget if budget < float("inf") else None}
    return Retry(attempts=attempts, on=_judge(frozenset(on or ("transient",))), **of_budget)


def _retried_on(given: str) -> str:
    """Return flags for several kinds that were given as one."""
    kinds = [it for it in re.split(r"[,\s]+", given) if re.fullmatch(_KIND, it)]
    return " ".join(f"--retry-on {it}" for it in (kinds if len(kinds) > 1 else ("transient", "404")))


def _judge(names: frozenset[str]) -> Any:
    """Return whether a failure is one of those named: by its class or one above it, or by its HTTP status."""
    from ..core.evidence import status_of
    from ..core.transient import transient

    if names == frozenset({"transient"}):
        return transient
    if "all" in names:
        return Exception
    kinds = _known_kinds()
    for name in names - {"transient"}:
        if (meant := kinds.get(name.lower(), name)) != name:
            raise Problem(f"--retry-on {name} is no kind of failure, but {meant} is", remedy=f"--retry-on {meant}")
        if not re.fullmatch(_KIND, name):
            raise Problem(
                f"--retry-on {short(name, 40)} is not a kind of failure",
                "a kind is transient, all, an exception (KeyError, requests.ConnectionError) or an HTTP status (404)",
                remedy=_retried_on(name),
            )

    def judge(error: BaseException) -> bool:
        if "transient" in names and transient(error):
            return True
        return str(status_of(error)) in names or any(_goes_by(it, names) for it in type(error).__mro__)

    return judge


def _known_kinds() -> dict[str, str]:
    """Return the kinds that there are anyhow, by their names in small letters; an IOError is an OSError.

    >>> [_known_kinds()[name] for name in ("all", "keyerror", "ioerror")]
    ['all', 'KeyError', 'OSError']
    """
    found = {name.lower(): it.__name__ for name, it in vars(builtins).items() if isinstance(it, type)}
    return {**found, "transient": "transient", "all": "all"}


def _goes_by(kind: type, names: frozenset[str]) -> bool:
    """Whether one of the names is its own, alone or behind its module or a package around that.

    >>> from json import JSONDecodeError
    >>> [_goes_by(JSONDecodeError, frozenset([it])) for it in ("JSONDecodeError", "json.JSONDecodeError", "js.Error")]
    [True, True, False]
    """
    parts = kind.__module__.split(".")
    packages = [".".join(parts[:count]) for count in range(1, len(parts) + 1)]
    return not names.isdisjoint({kind.__name__, *(f"{it}.{kind.__qualname__}" for it in packages)})


def unmatched(on: tuple[str, ...], now: Summary) -> str:
    """Say that what `--retry-on` names has not failed; "" if it has, or names no class.

    A class is known by its name alone, so one that is misspelt is noticed here at the earliest.
    """
    names = [name for name in on if name not in ("transient", "all")]
    if not names or len(names) < len(on) or now.retried or not now.failures:
        return ""
    return f"nothing was tried again: no failure was of --retry-on {', '.join(names)}"


def limit_of(options: Limited) -> Limit:
    """Return the limit that `--limit-by` makes of `-j` and `--rate`."""
    from ..limit.limit import Limit

    by = functools.partial(_key, options.limit_by or "")
    return Limit(concurrency=options.concurrency, rate=options.rate, by=by)


def check_limit_by(options: Limited, first: Any, source_name: str) -> None:
    """Refuse a field that the first row has not: most likely none has."""
    name = options.limit_by
    if name is None:
        return
    if options.concurrency is None and options.rate is None:
        raise Problem(
            "--limit-by needs a limit: -j or --rate",
            remedy=f"--limit-by {name} --rate 10/s, or -j 2",
        )
    if not hasattr(first, "value"):  # no row, or a rejected one
        return
    try:
        _key(name, first)
    except LookupError:
        raise no_such_field("--limit-by", name, first, source_name) from None


def in_flags(error: Exception, names: Iterable[str], command: str) -> Problem:
    """Say in flags what an error says of a parameter that is one of `names`.

    >>> print(in_flags(ValueError("stop_after must be at least 1, got 0"), ["stop_after"], "whilst map"))
    error: --stop-after must be at least 1, got 0
      try: whilst map --help
    >>> print(in_flags(ValueError("rate=3 is few\\n  try: rate=\\"5/s\\""), ["rate"], "whilst map"))
    error: --rate 3 is few
      try: --rate 5/s
    """
    names = "|".join(names)
    text = re.sub(rf'\b({names})="?([^",\s]+)"?', lambda found: f"{_flag(found[1])} {found[2]}", str(error))
    text = re.sub(rf"^({names})\b", lambda found: _flag(found[0]), text)
    fact, *evidence = (line.strip() for line in text.split("\n"))
    remedy = evidence.pop().removeprefix("try: ") if evidence and evidence[-1].startswith("try: ") else ""
    return Problem(fact, *evidence, remedy=remedy or f"{command} --help")


def _flag(parameter: str) -> str:
    return "--" + parameter.replace("_", "-")


def _refuse(flag: str, wanted: str, given: object, remedy: str) -> NoReturn:
    text = short(str(given), 60)
    raise Problem(f"{flag} {wanted}, got {text if re.fullmatch(NUMBER, text) else repr(text)}", remedy=remedy)


def _whole(value: object) -> int | None:
    try:
        return int(str(value))
    except ValueError:
        return None


def _rate_like(given: tuple[str, ...]) -> str:
    """Return a rate, or rates, close to what was given, that can be read."""
    from ..core.meant import rate
    from ..core.rates import parse_rates

    guesses = (*(text.replace(",", " --rate ") for text in given), *map(rate, given))
    for guess in guesses:
        parts = [part.strip() for part in guess.split("--rate")]
        try:
            parse_rates(parts)
        except ValueError:
            continue
        if len(parts) > 1 or guess not in given:
            return " --rate ".join(parts)
    return "100/s, 30/min, 5000/h or 1000/10s"


def _key(name: str, row: Any) -> Any:
    """Return what a row has in the field that limits are kept by; the host of a row that is a URL."""
    if not hasattr(row, "value"):
        return None  # a rejected row, which is never called
    value: Any = row.value
    if isinstance(value, dict) and name in value:
        found: Any = cast("dict[str, Any]", value)[name]
        return found
    if name == "host" and isinstance(value, str) and "://" in value:
        from urllib.parse import urlsplit

        return urlsplit(value).hostname
    raise LookupError(f"the row has no {name!r}, which --limit-by names")


def no_such_field(flag: str, name: str, row: Any, source_name: str) -> Problem:
    """Return what to say of a flag that names a field which a row has not."""
    shown = name or repr(name)
    fact = f"row {row.line} of {source_name} has no field {shown}, which {flag} names"
    value: Any = row.value
    if not isinstance(value, dict):
        hosts = ", or host, of rows that are URLs" if flag == "--limit-by" else ""
        return Problem(fact, f"it is {short(repr(value), 60)}", remedy=f"rows with fields (.jsonl, .csv){hosts}")
    from ..io.refusal import closest

    fields = [str(field) for field in cast("dict[str, Any]", value)]
    close = closest(name, fields)
    return Problem(fact, f"it has {short(', '.join(fields), 100)}", remedy=f"{flag} {close}" if close else "")
