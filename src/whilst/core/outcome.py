"""What became of one input: a value or an error, and when."""

from __future__ import annotations

from typing import Any, Final, Generic, TypeAlias, TypeVar, cast

I_co = TypeVar("I_co", covariant=True)
T_co = TypeVar("T_co", covariant=True)

# What lanes hand on: (index, input, value, error, started, took, attempts). A plain tuple costs 0.05 µs where
# an Outcome costs 0.4, and most consumers want the value alone; an Outcome is made only when one is asked for.
Record: TypeAlias = "tuple[int, Any, Any, BaseException | None, float, float, int]"


class Outcome(Generic[I_co, T_co]):
    """One input and what became of it.

    Attributes:
        index: the input's place in the source, from 0.
        input: the input itself, so that nothing is lost by failing.
        error: the function's own exception, or None.
        attempts: how many times the function was called for it.
        started: seconds from the start of the run to the (last) call.
        took: seconds the (last) call took.

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
        started: float,
        took: float,
        attempts: int = 1,
    ) -> None:
        self.index: Final[int] = index
        self.input: Final[I_co] = input
        self._value = value
        self.error: Final[BaseException | None] = error
        self.started: Final[float] = started
        self.took: Final[float] = took
        self.attempts: Final[int] = attempts

    @property
    def ok(self) -> bool:
        """Whether the call returned (its value may well be None)."""
        return self.error is None

    @property
    def value(self) -> T_co:
        """What the call returned; None when it failed (see `unwrap` for the strict way)."""
        return cast("T_co", self._value)

    def unwrap(self) -> T_co:
        """Return the value, or raise the function's own exception with a note that names the input."""
        if self.error is not None:
            raise noted(self.error, self.index, self.input, self.attempts)
        return self.value

    def __repr__(self) -> str:
        what = f"value={short(self._value)}" if self.ok else f"error={short(self.error)}"
        return f"<Outcome {self.index} of {short(self.input)}: {what}, {self.took:.3f} s>"


def noted(error: BaseException, index: int, input: object, attempts: int) -> BaseException:
    """Add the note that names the input, unless the exception carries one already; best effort."""
    try:
        if not any(note.startswith("whilst: input ") for note in getattr(error, "__notes__", ())):
            error.add_note(f"whilst: input {index} was {short(input)}, attempt {attempts}")
    except Exception:  # an exception class may forbid attributes; a missing note must not hide the error
        pass
    return error


def noted_retry(error: BaseException, broken: Exception) -> None:
    """Add the note that the judge of a retry raised, once, for inputs may share an exception; best effort."""
    note = f"whilst: no further attempt, because Retry(on=…) itself raised {short(broken)}"
    try:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)
    except Exception:  # as above
        pass


def short(thing: object, limit: int = 120) -> str:
    """Return a one-line repr of at most `limit` characters, whatever `thing.__repr__` does."""
    try:
        text = repr(thing)
    except Exception as error:
        text = f"<{type(thing).__name__} whose repr raises {type(error).__name__}>"
    text = " ".join(text.split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"
