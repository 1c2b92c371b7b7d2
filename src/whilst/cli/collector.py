"""When does the garbage collector look through what there is? Neither while a command loads nor at its end.

To load modules makes a hundred thousand objects and drops few of them, and yet it sets the collector off forty times;
at its end the interpreter has all of them looked through, only to free them. Both together took a tenth of what a
command needs to start and to end.
"""

from __future__ import annotations

import gc

LOADED = 100_000  # objects; a command that never says that it has loaded has its garbage collected too, but later


def put_off() -> None:
    """Let the collector wait until `take_up`; for a process that is the command line's own."""
    gc.set_threshold(LOADED, *_usual[1:])


def take_up() -> None:
    """Collect as ever, but leave out what has been loaded so far, which stays; without a `put_off` do nothing."""
    if gc.get_threshold()[0] == LOADED:
        gc.freeze()
        gc.set_threshold(*_usual)


def leave() -> None:
    """Let the process end without looking for garbage once more."""
    gc.freeze()


_usual = gc.get_threshold()
