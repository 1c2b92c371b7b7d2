"""What became of one input: a value or an error, and when."""

from __future__ import annotations

from math import nan
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Generic, NoReturn, TypeAlias, TypeVar, cast

from .secrets import bounded

I_co = TypeVar("I_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)

_PACKAGE: Final = __name__.partition(".")[0]
# What asyncio, aiohttp and anyio say of an object that another loop made.
_OF_ANOTHER_LOOP = (
    "attached to a different loop",
    "bound to a different event loop",
    "Timeout context manager should be used inside a task",
    "Event loop is closed",
)
_LOOP_NOTE = (
    "whilst: a plain run makes its calls on a loop of its own, and something that they use (a session, a lock) belongs"
    " to another loop, such as that of a notebook's cells\n"
    "  try: await whilst.map(…), which calls on the loop that you are on, or have the run open it:"
    ' use={"session": whilst.resource(aiohttp.ClientSession, per="run")}'
)
LOOKED_AT = 4000  # characters of a repr that is cut: a secret that the cut would hit is found first

# What lanes hand on: (index, input, value, error, started, took, attempts). A plain tuple costs 0.05 µs where
# an Outcome costs 0.4, and most consumers want the value alone; an Outcome is made only when one is asked for.
# `started` is a moment of the clock of the run's loop; of what no call of this run made it is `ELSEWHEN`.
Record: TypeAlias = "tuple[int, Any, Any, BaseException | None, float, float, int]"

ELSEWHEN: Final = nan  # when a call was made whose outcome came from a journal: no moment of this run's clock


class Outcome(Generic[I_co, T_co]):
    """One input, and the value or error of its call.

    Attributes:
        index: the position of the input, from 0.
        input: the input itself, also if the call failed.
        error: the function's own exception, or None.
        attempts: how many times the function was called for it; 0 if it shared the call of an equal input, or if it
            could not be called.
        started: seconds from the start of the run to the (last) call; None if the outcome came from a journal.
        took: seconds that the (last) call took, also if it was made in an earlier run.

    >>> import whilst
    >>> good, bad = whilst.map(int, ["7", "seven"]).outcomes()
    >>> good.ok, good.value, bad.ok, bad.input, type(bad.error).__name__
    (True, 7, False, 'seven', 'ValueError')
    """

    __slots__ = ("_value", "attempts", "error", "index", "input", "started", "took")

    def __init__(
        self,
        index: int,
        input: I_co,
        value: T_co | None,
        error: BaseException | None,
        started: float | None,
        took: float,
        attempts: int = 1,
    ) -> None:
        self.index: Final[int] = index
        self.input: Final[I_co] = input
        self._value = value
        self.error: Final[BaseException | None] = error
        self.started: Final[float | None] = started
        self.took: Final[float] = took
        self.attempts: Final[int] = attempts

    @property
    def ok(self) -> bool:
        """Whether the call succeeded (its value may be None)."""
        return self.error is None

    @property
    def recalled(self) -> bool:
        """Whether it came from the journal, instead of a call of this run."""
        return self.started is None

    @property
    def value(self) -> T_co:
        """What the call returned; None if it failed (`unwrap` raises instead)."""
        return cast("T_co", self._value)

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dict; the error as text without secrets, input and value as they are.

        >>> import whilst
        >>> bad, = whilst.map(int, ["seven"]).outcomes()
        >>> bad.to_dict()["error"]
        "ValueError: invalid literal for int() with base 10: 'seven'"
        """
        from .described import described

        return {
            "index": self.index,
            "input": self.input,
            "ok": self.ok,
            "value": self._value,
            "error": None if self.error is None else described(self.error),
            "attempts": self.attempts,
            "started": self.started,
            "took": self.took,
            "recalled": self.recalled,
        }

    def unwrap(self) -> T_co:
        """Return the value, or raise the function's own exception with a note that names the input."""
        __tracebackhide__ = True
        if self.error is not None:
            raise noted(self.error, self.index, self.input, self.attempts)
        return self.value

    if not TYPE_CHECKING:  # for people without a type checker: the line that works

        def __getattr__(self, name: str) -> None:
            from .habits import unknown_attribute

            raise unknown_attribute("Outcome", name)

        def __iter__(self) -> NoReturn:
            raise TypeError(
                "an outcome is one thing, not a pair and not a row\n"
                "  try: outcome.ok, outcome.value, outcome.error, or outcome.to_dict() for a row of a table"
            )

        def __getitem__(self, name: Any) -> NoReturn:
            said = f"outcome.{name}" if isinstance(name, str) and name.isidentifier() else "outcome.value"
            raise TypeError(f"an outcome has attributes, not items\n  try: {said}, or outcome.to_dict()")

    def __repr__(self) -> str:
        what = f"value={short(self._value)}" if self.ok else f"error={short(self.error)}"
        return f"<Outcome {self.index} of {short(self.input)}: {what}, {self.took:.3f} s>"


def is_recalled(record: Record) -> bool:
    """Whether a record came from a journal."""
    return record[4] != record[4]


def noted(error: BaseException, index: int, input: object, attempts: int) -> BaseException:
    """Add the note that names the input, unless the exception carries one already; best effort.

    Its traceback begins with the user's own code: neither what led to the call here nor an earlier raise is in it.
    """
    try:
        error.__traceback__ = _users_own(error.__traceback__)
        if not any(note.startswith("whilst: input ") for note in getattr(error, "__notes__", ())):
            made = f"attempt {attempts}" if attempts else "without a call of its own"
            error.add_note(f"whilst: input {index} was {short(input)}, {made}")
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass
    return error


def _users_own(trace: TracebackType | None) -> TracebackType | None:
    """Return the calls from the first one on that is not this library's; all of them, if there is none."""
    first = trace
    while first is not None and first.tb_frame.f_globals.get("__name__", "").partition(".")[0] == _PACKAGE:
        first = first.tb_next
    return trace if first is None else first


def noted_loop(error: BaseException) -> None:
    """Add the note that a call of a plain run used what belongs to another loop than the run's own; best effort."""
    try:
        if _is_of_another_loop(error) and _LOOP_NOTE not in getattr(error, "__notes__", ()):
            error.add_note(_LOOP_NOTE)
    except Exception:  # as above
        pass


def _is_of_another_loop(error: BaseException) -> bool:
    cause: BaseException | None = error
    for _ in range(5):
        if cause is None:
            break
        if isinstance(cause, RuntimeError) and any(words in str(cause) for words in _OF_ANOTHER_LOOP):
            return True
        cause = cause.__cause__ or cause.__context__
    return False


def noted_item(error: BaseException, item: object, where: str) -> None:
    """Add the note that names the item of a stage, by the stage's path, once for each stage; best effort."""
    try:
        begin = f"whilst: item of {where} was "
        if not any(note.startswith(begin) for note in getattr(error, "__notes__", ())):
            error.add_note(begin + short(item))
    except Exception:  # as above
        pass


def noted_retry(error: BaseException, broken: Exception) -> None:
    """Add the note that the judge of a retry raised, once, for inputs may share an exception; best effort."""
    note = f"whilst: no further attempt, because Retry(on=…) itself raised {short(broken)}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # as above
        pass


def an(word: str) -> str:
    """Return a word with its article.

    >>> an("ndarray"), an("int"), an("Place"), an("NoneType")
    ('an ndarray', 'an int', 'a Place', 'a NoneType')
    """
    return f"an {word}" if word[:1].lower() in "aeio" or word[:2] in ("nd", "un", "Un") else f"a {word}"


def short(thing: object, limit: int = 120) -> str:
    """Return a one-line repr of at most `limit` characters, without secrets, whatever `thing.__repr__` does."""
    try:
        text = repr(thing)
    except Exception as error:
        text = f"<{type(thing).__name__} whose repr raises {type(error).__name__}>"
    text = " ".join(text[: max(limit, LOOKED_AT)].split())
    text = bounded(text, limit + 1)
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
