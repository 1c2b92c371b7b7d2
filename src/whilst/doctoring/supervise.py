"""Runs the program in a child, and waits for it: signals are passed on, and the ending is the program's own.

A parent that only waits sees every end there is: os._exit, exec, a signal, the kernel's.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import signal
import sys
from collections.abc import Callable
from typing import NamedTuple, NoReturn

from .blackbox import BlackBox
from .program import NoProgram, Program, show
from .records import Seen
from .watch import Watch

PASSED = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")
FROM_KERNEL = 0x80  # SI_KERNEL: a terminal has sent it to the child as well
_NUMBERS = {getattr(signal, name) for name in PASSED if hasattr(signal, name)}


class Ending(NamedTuple):
    """How a program ended: its exit code, or the signal that ended it."""

    code: int
    signal: int
    seen: Seen


def run(program: Program, threshold: float) -> Ending | Callable[[], NoReturn]:
    """Run `program` in a child and return how it ended and what was seen; in the child, return what is to be called."""
    box = BlackBox()
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _NUMBERS | {signal.SIGCHLD})
    pid = os.fork()
    if not pid:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return functools.partial(_be, program, threshold, box)
    status = _wait_for(pid)
    signal.pthread_sigmask(signal.SIG_SETMASK, before - _NUMBERS)
    number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else signal.SIGINT if box.interrupted else 0
    return Ending(os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + number, number, box.read())


def end_by(number: int) -> NoReturn:
    """End this process by the signal that ended the program."""
    import resource  # of Unix, as all that is used here

    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):
            pass
    if number not in (signal.SIGKILL, signal.SIGSTOP):
        signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {number})
    os.kill(os.getpid(), number)
    os._exit(128 + number)


def _wait_for(pid: int) -> int:
    while True:
        ended, status = os.waitpid(pid, os.WNOHANG | os.WUNTRACED)
        if ended and os.WIFSTOPPED(status):
            os.kill(os.getpid(), signal.SIGSTOP)  # the shell is to see it; Ctrl-Z has stopped both
            os.kill(pid, signal.SIGCONT)
        elif ended:
            return status
        arrived = signal.sigwaitinfo(_NUMBERS | {signal.SIGCHLD})
        if arrived.si_signo != signal.SIGCHLD and arrived.si_code != FROM_KERNEL:
            _pass_on(pid, arrived.si_signo)


def _pass_on(pid: int, number: int) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        pass  # it has ended


def _be(program: Program, threshold: float, box: BlackBox) -> NoReturn:
    """Be the program. The last of all its `atexit` functions tells what was seen."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_DFL:  # as Python does when it starts
        signal.signal(signal.SIGINT, signal.default_int_handler)
    gc.unfreeze()
    watch = Watch(threshold, box.write)
    atexit.register(_finish, watch, box, os.getpid())
    watch.start()
    _run(program, box)
    raise SystemExit(0)


def _finish(watch: Watch, box: BlackBox, pid: int) -> None:
    if os.getpid() == pid:
        box.write(watch.stop())


def _run(program: Program, box: BlackBox) -> None:
    try:
        program.run()
    except NoProgram as error:
        sys.stderr.write(f"error: {error}\n")
        raise SystemExit(1) from None
    except SystemExit:
        raise
    except KeyboardInterrupt as error:
        box.note_interrupt()
        show(error)
        raise SystemExit(130) from None
    except BaseException as error:  # whatever it is, it ends the program as it would without us
        show(error)
        raise SystemExit(1) from None
