"""Signals are acted on whatever the main thread is doing; with processes and terminals: tests/real/test_signals.py."""

import os
import signal
import threading
from collections.abc import Callable

import pytest

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

    def summary(self) -> whilst.Summary:
        run = whilst.map(str, [])
        run.drain()
        return run.summary()


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


class LateRun(Run):
    """A run whose loop hears of it only after somebody has looked twice, and lets threads begin calls until then."""

    looks = 0

    def summary(self) -> whilst.Summary:
        self.looks += 1
        heard = self.drained and self.looks > 2
        return super().summary()._replace(in_flight=8 if heard else 4, stopping=heard)


def test_that_nothing_new_is_started_is_said_when_it_is_so(
    capfd: pytest.CaptureFixture[str], eventually: Callable[..., bool]
) -> None:
    reads, writes = os.pipe()
    with Signals() as signals:
        signals.attach(LateRun(writes), ())
        os.kill(os.getpid(), signal.SIGINT)
        said = ""

        def complete() -> bool:
            nonlocal said
            said += capfd.readouterr().err
            return said.endswith("\n")

        assert eventually(complete)
    assert said == "interrupted: nothing new is started, waiting for 8 in flight\n  a second Ctrl-C ends within 2 s\n"
    os.close(reads)
    os.close(writes)
