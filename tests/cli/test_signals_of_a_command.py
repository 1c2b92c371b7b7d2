"""Signals are acted on whatever the main thread is doing; with processes and terminals: tests/real/test_signals.py."""

import os
import signal
import threading
from typing import Any

import whilst
from whilst.cli.signals import Signals


class Run:
    """A run that says to a pipe that it was told to drain."""

    def __init__(self, pipe: int) -> None:
        self.drained = False
        self._pipe = pipe

    def drain(self) -> None:
        self.drained = True
        os.write(self._pipe, b"d")

    def cancel(self) -> None:
        raise AssertionError("there was one signal")

    def summary(self) -> Any:
        return whilst.map(str, []).summary()


def test_a_signal_is_acted_on_while_no_handler_can_run() -> None:
    """As when it comes between the interpreter's last look for signals and a system call that waits."""
    reads, writes = os.pipe()
    run, given_up = Run(writes), threading.Timer(20, os.write, (writes, b"t"))
    given_up.start()
    with Signals() as signals:
        signals.attach(run, ())
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # another thread takes it
        try:
            os.kill(os.getpid(), signal.SIGINT)
            assert os.read(reads, 1) == b"d"
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            given_up.cancel()
    assert run.drained
    assert signals.first == signal.SIGINT
    os.close(reads)
    os.close(writes)
