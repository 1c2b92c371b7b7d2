"""Which call is this? What the code inside a call may know of it."""

from __future__ import annotations

from _blake2 import blake2b  # hashlib brings OpenSSL: a loop stood 4 ms longer at the first use of a journal
from collections.abc import Callable, Hashable
from typing import Any, Final, Protocol

from .frozen import NamedTuple
from .grown import check_key

KEY_BYTES = 16


class Host(Protocol):
    """The run that makes a call."""

    def run_id(self) -> bytes:
        """Return what tells this run from all others; with a journal it is the same after a resume."""
        ...

    def correct(self, call: Any, cost: float) -> bool | None:
        """Count what a call cost indeed; False if no limit weighs it, None if it is over. From any thread.

        A call of an input is known by index and attempt: one that was given up may still run beside the next one.
        """
        ...

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Take one more input when the call of an input has ended well; `by`: its attempt, or the call of a step."""


class Step(NamedTuple):
    """A call of a step among all that are made for one input: what its leaf knows it by, and where it is."""

    call: Any
    path: str
    place: int
    identity: tuple[Any, ...] | None

    def is_of(self, failed: Step) -> bool:
        """Whether it is the call that failed, or was made inside it."""
        if self.path != failed.path:
            inside = not failed.path or self.path.startswith((f"{failed.path}.", f"{failed.path}["))
            around = failed.identity or ()
            return inside and (self.identity or ())[: len(around)] == around
        return self.call is failed.call or (self.call is None and self[1:] == failed[1:])


SPENT, ADDS = "spent", "adds"
"""What a call says to its run, as words on the way there."""


class Elsewhere:
    """The run, as it is known where it has only its calls made.

    Args:
        run: what tells it from others.
        tell: tells it, in words and in what belongs to them, what a call says; it hears of that before the answer.
    """

    def __init__(self, run: bytes, tell: Callable[..., None]) -> None:
        self._run = run
        self._tell = tell

    def run_id(self) -> bytes:
        """Return what tells it from others."""
        return self._run

    def correct(self, call: Any, cost: float) -> bool | None:
        """Tell it what the call cost; what speaks against that becomes the call's failure there."""
        self._tell(SPENT, cost)
        return True

    def add_later(self, index: int, by: object, item: Any, key: Any) -> None:
        """Tell it to take one more input; what speaks against that becomes the call's failure there."""
        self._tell(ADDS, item, key)


class Call:
    """One call of a function, as the code inside it sees it; `whilst.current_call()` gives it.

    Attributes:
        index: the position of the input, from 0; inside `each`, of the stage's item.
        path: of the step in its flow; "" in a plain map.
        attempt: the number of this attempt, from 1.
        started: seconds from the start of the run to the call.
    """

    __slots__ = ("_host", "_identity", "_of", "_root", "attempt", "index", "path", "started")

    def __init__(
        self,
        host: Host,
        index: int,
        path: str,
        attempt: int,
        started: float,
        identity: tuple[Any, ...] | None = None,
        root: int | None = None,
        of: Any = None,
    ) -> None:
        self._host = host
        self._of = of  # what the host knows the call by; None: its index
        self._root = root  # the index of the run's input, where this is an item inside it
        self._identity = identity  # of the input, and the places of the items inside it; None: its index
        self.index: Final[int] = index
        self.path: Final[str] = path
        self.attempt: Final[int] = attempt
        self.started: Final[float] = started

    @property
    def key(self) -> str:
        """An idempotency key for the API: 32 hex digits, the same for all attempts of the input.

        With a journal it is also the same after a resume, because it is made from the content of the input, not from
        its position. Another run, or a journal that was started afresh, has other keys. It is computed when you read
        it.

        >>> import whilst
        >>> def pay(order):
        ...     return whilst.current_call().key  # for the header Idempotency-Key, say
        >>> first, second = whilst.map(pay, ["order 1", "order 2"])
        >>> len(first), first != second
        (32, True)
        """
        digest = blake2b(self._host.run_id(), digest_size=KEY_BYTES)
        identity = (self.index,) if self._identity is None else self._identity
        for part in (*identity, self.path):
            told = part if isinstance(part, bytes) else str(part).encode("utf-8", "surrogatepass")
            digest.update(len(told).to_bytes(8, "little") + told)
        return digest.hexdigest()

    def spent(self, cost: float) -> None:
        """Report what this call really cost, instead of the estimate of `weight=`.

        From any thread. It counts for each limit of the call that has a `weight`. If the call cost less, the rest goes
        to waiting calls; if it cost more, later calls wait longer. The limit corrects the next estimates. If you report
        again, the last number counts.

        Raises:
            RuntimeError: no limit of the call has a `weight`, or the call is over.

        >>> import whilst
        >>> tokens = whilst.Limit(rate="90000/min", weight=lambda prompt: 40 + len(prompt) // 3)
        >>> def ask(prompt):
        ...     whilst.current_call().spent(12)  # as the answer says
        ...     return prompt.upper()
        >>> whilst.map(ask, ["one", "two"], limit=tokens).list()
        ['ONE', 'TWO']
        """
        counted = self._host.correct((self.index, self.attempt) if self._of is None else self._of, cost)
        if counted is False:
            raise RuntimeError(
                "no limit of this call has a weight=, so nothing counts what it has spent\n"
                '  try: limit=whilst.Limit(rate="90000/min", weight=lambda item: …)'
            )
        if counted is None:
            raise RuntimeError(
                "this call is over, so it is too late to report what it has spent\n"
                "  try: call spent() before the function returns"
            )

    def add(self, item: Any, *, key: Hashable = None) -> None:
        """Add an input to the run, when this call has returned; see `run.add`.

        A call that fails adds nothing; its next attempt adds again. With a journal, what a call has added is kept with
        its value, and added again when the value is recalled.

        Raises:
            RuntimeError: the run has ended, or it takes no inputs (a flow that was called, a stream).
            TypeError: the key cannot be hashed.

        >>> import whilst
        >>> def half(n):
        ...     if n > 1:
        ...         whilst.current_call().add(n // 2)
        ...     return n
        >>> whilst.map(half, [20]).list()
        [20, 10, 5, 2, 1]
        """
        check_key(key)
        index = self.index if self._root is None else self._root
        by: object = self.attempt
        if self.path != "":
            by = Step(self._of, self.path, self.index, self._identity)
        self._host.add_later(index, by, item, key)

    def _told(self) -> tuple[Any, ...]:
        """Return what tells another process of this call; see `_of_told`."""
        return self.index, self.path, self.attempt, self.started, self._identity, self._host.run_id()

    @classmethod
    def _of_told(cls, told: tuple[Any, ...], tell: Callable[..., None]) -> Call:
        """Return the call that another process has told of."""
        index, path, attempt, started, identity, run = told
        return cls(Elsewhere(run, tell), index, path, attempt, started, identity)

    def _heard(self, what: str, more: tuple[Any, ...]) -> None:
        """Act on what was said where the call is made."""
        if what == SPENT:
            self.spent(*more)
        else:
            self.add(more[0], key=more[1])

    def __repr__(self) -> str:
        at = f" at {self.path}" if self.path else ""
        return f"<Call for input {self.index}{at}, attempt {self.attempt}>"
