"""What does `--watch` do? It serves a page of the run while the command goes on."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager

from .messages import Problem, emit
from .options import RunOptions


@contextmanager
def watched(options: RunOptions) -> Generator[None]:
    """Have runs that begin in this block be seen by whoever opens the address that is said, if that is wanted."""
    if not options.watch:
        yield
        return
    from ..live import Watch

    try:
        watch = Watch()
    except OSError as error:
        raise Problem(
            f"--watch: no page can be served: {error.strerror or error}", remedy="leave out --watch"
        ) from None
    emit(f"watch: {watch.url}\n")  # on one line, however narrow the terminal is, to be copied
    try:
        yield
    finally:
        watch.close()
