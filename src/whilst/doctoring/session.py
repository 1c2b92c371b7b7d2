"""`whilst.doctor()`: the same looks at a part of a program, in code and notebooks."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import TYPE_CHECKING

from ..core.check import answered

if TYPE_CHECKING:
    from typing import Self

    from .finding import Finding
    from .records import Seen
    from .watch import Watch

_MORE = 3600.0


class Doctor:
    """What `whilst.doctor()` returns: a context manager, with and without `async`."""

    def __init__(self, threshold: float, quiet: bool) -> None:
        self._threshold = threshold
        self._quiet = quiet
        self._watch: Watch | None = None
        self._seen: Seen | None = None
        self._findings: tuple[Finding, ...] = ()

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What was found, worst first; empty until the block has ended."""
        return self._findings

    def __enter__(self) -> Self:
        """Begin to look."""
        if self._watch is not None:
            raise RuntimeError("this doctor was used already\n  try: with whilst.doctor() as seen: … for each block")
        from .watch import Watch  # loaded when used, as what reports is: a loop does not stand still for both at once

        self._watch = Watch(self._threshold)
        self._watch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, and print what was found on stderr; an exception passes through."""
        assert self._watch is not None
        self._seen = self._watch.stop()
        from .report import findings

        self._findings = findings(self._seen)
        if not self._quiet:
            _print(str(self))

    async def __aenter__(self) -> Self:
        """Begin to look."""
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop, as `with` does."""
        self.__exit__(kind, error, trace)

    def __str__(self) -> str:
        if self._seen is None:
            return repr(self)
        from .report import report

        return report(self._seen, self._findings).rstrip("\n")

    def __repr__(self) -> str:
        if self._seen is None:
            return f"<Doctor, {'looking' if self._watch is not None else 'not started'}>"
        return f"<Doctor, {len(self._findings)} findings in {self._seen.seconds:.2f} s>"


@answered
def doctor(threshold: float = 0.05, *, quiet: bool = False) -> Doctor:
    """While a block runs, look for lines that hold an event loop, and for waits that could overlap.

    It works in any program, with or without whilst, in plain code, async code and notebooks. Loops on other threads are
    observed too. At the end of the block, the findings are printed on stderr and kept in `.findings`, worst first.
    Exceptions pass through. It costs a few percent of the time of the block, and nothing afterwards.

    Args:
        threshold: report only lines that hold a loop for so many seconds, and overlaps that save twice as many.
        quiet: print nothing.

    Raises:
        TypeError, ValueError: if `threshold` is not a number of seconds between 0.001 and 3600.

    >>> import asyncio, time, whilst
    >>> async def main():
    ...     with whilst.doctor(quiet=True) as seen:
    ...         time.sleep(0.2)
    ...     return seen.findings
    >>> [finding.kind for finding in asyncio.run(main())]
    ['held the loop']
    """
    if isinstance(threshold, bool) or not isinstance(threshold, (int, float)):
        raise TypeError(f"doctor: threshold must be a number of seconds, got {threshold!r}\n  try: threshold=0.05")
    if not 0.001 <= threshold <= _MORE:
        raise ValueError(
            f"doctor: threshold must be from 0.001 to 3600 seconds, got {threshold!r}\n  try: threshold=0.05"
        )
    return Doctor(float(threshold), quiet)


def _print(text: str) -> None:
    try:
        sys.stderr.write(text + "\n")
        sys.stderr.flush()
    except (OSError, ValueError, AttributeError):
        pass  # a stderr that is closed must not end the program
