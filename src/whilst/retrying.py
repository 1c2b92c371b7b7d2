"""`whilst.Retry`: when a call is made again, given to a run or a step, or around a function of any colour."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NoReturn, ParamSpec, TypeVar

from .core import retry as core
from .core.check import not_callable
from .core.colour import is_generator_function, name_of

P = ParamSpec("P")
T = TypeVar("T")


class Retry(core.Retry):
    """Says which failed calls are made again, and when. An input that waits for its retry holds no permit, lane or
    thread.

    The wait before the k-th retry is random between 0 and min(cap, base * 2^k) ("full jitter", Brooker, AWS
    Architecture Blog 2015). A function that is decorated adds it to a Retry-After; in a run all calls wait for that
    together. If the other side says only "slower", waits start from 1 s. Other failures end at the first attempt.

    Args:
        attempts: at most so many calls for one input, with the first one.
        on: which failures are retried: exception types (a group matches if every member does), or a function of the
            exception that returns True, False (or None), or the seconds to wait. The default is `whilst.transient`:
            connections, timeouts, 408, 425, 429 and 5xx; never a programming error or a 401.
        base: seconds, the longest first wait.
        cap: seconds, the longest wait, unless the other side asks for more.
        total: seconds for one input, with all its attempts and waits, from the first call. After that the attempt in
            flight ends as with a `timeout`, and there is no other.
        budget: retries may be at most this share of the calls, plus 10 a second, over about ten seconds (the budget of
            Twitter's Finagle). Other retries wait. None: no budget. In a run a call whose refusal said when to come
            again does not count: it goes on at the learned rate.
        breaker: if fewer than one in ten of at least 20 calls within 10 s succeeded, and a retry could help the others,
            nothing is started for 2 s. Then one call is made as a test; each failed test doubles the pause, up to 60 s.
        on_value: a function that gets each value. True: there is another attempt, as after a failure. A number: another
            attempt after so many seconds. False or None: the value is accepted. When no attempt is left, the outcome
            fails with `UnwantedValue`, which has the value.
        on_retry: a function that is called before each retry, with an `AttemptFailed` (`input`, `error`, `attempt`,
            `kind`, `wait`, and where it was). If it raises, that is reported once, and it is not called again.

            `on`, `on_value` and `on_retry` are plain functions that return at once; in a run they are called on the
            event loop. A `Retry` is also a decorator for a function, see `Retry.__call__`:

    >>> import whilst
    >>> @whilst.Retry(attempts=3, on=ValueError, base=0.0)
    ... def guess(numbers=iter(["one", "2"])):
    ...     return int(next(numbers))
    >>> guess()
    2

    Raises:
        TypeError, ValueError: at construction, if an argument is wrong.

    >>> import whilst
    >>> tries = iter([ConnectionError("reset"), "fine"])
    >>> def fetch(_):
    ...     answer = next(tries)
    ...     if isinstance(answer, Exception):
    ...         raise answer
    ...     return answer
    >>> [outcome] = whilst.map(fetch, ["page"], retry=whilst.Retry(attempts=3, base=0.001)).outcomes()
    >>> outcome.value, outcome.attempts
    ('fine', 2)
    """

    __slots__ = ()

    def __call__(self, fn: Callable[P, T], /) -> Callable[P, T]:
        """Return `fn` with retries: the decorator, for blocking and async functions and methods.

        All calls of the function share one budget and one breaker, on all threads and loops. If the other side asks to
        wait, all of them wait, but none longer than `total`. A blocking call sleeps on its own thread, and `total`
        cannot stop a blocking attempt. In a map or a flow use `retry=` instead: there a waiting input holds no thread.

        Raises:
            TypeError: for generator functions, classes, flows and `staticmethod` objects.
        """
        _check(fn)
        if isinstance(fn, type):
            raise TypeError(
                f"Retry is for functions, {fn.__name__} is a class\n  try: decorate its methods that make calls"
            )
        from .decorated import decorated

        return decorated(self, fn)

    if not TYPE_CHECKING:  # for people without a type checker: the line that works

        def __iter__(self) -> NoReturn:
            raise TypeError(
                "a Retry is no loop over attempts: it calls the function itself\n"
                "  try: @whilst.Retry(attempts=3) above the function, or whilst.Retry(attempts=3).call(fn, x)"
            )

        __aiter__ = __enter__ = __aenter__ = __iter__
        __exit__ = __aexit__ = None

    def call(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
        """Call `fn` with these arguments, with retries; if `fn` is async, await the result.

        There is no budget and no breaker here, because those look at many calls.

        >>> import whilst
        >>> whilst.Retry(attempts=3).call(int, "7")
        7
        """
        _check(fn)
        from .decorated import decorated

        return decorated(self, fn)(*args, **kwargs)


def _check(fn: Any) -> None:
    kind = type(fn).__name__
    if kind in ("staticmethod", "classmethod"):
        raise TypeError(
            f"Retry must be below {kind}, around the function\n  try: @{kind} in the line above @whilst.Retry(…)"
        )
    if not callable(fn):
        raise TypeError(f"Retry: fn {not_callable(fn, of_run=False)}")
    flow = getattr(sys.modules.get(f"{__package__}.flow"), "Flow", None)  # None, too, while another thread loads it
    if flow is not None and isinstance(fn, flow):
        raise TypeError(
            "Retry decorates functions, and this is a flow\n  try: whilst.step(flow, retry=whilst.Retry(…))"
        )
    if is_generator_function(fn):
        raise TypeError(
            f"{name_of(fn)}() is a generator function: items that it gave cannot be taken back for another attempt\n"
            "  try: the decorator on the function that it calls for each item"
        )
