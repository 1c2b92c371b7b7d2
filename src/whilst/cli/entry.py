"""Where does the command begin? Signals end it quietly from the first line on, however little has been loaded.

To Ctrl-C the interpreter would answer with a traceback out of whatever import it was in, and to SIGUSR1, which has a
status said, with its own end. Only the program itself begins here: who imports this (a worker that multiprocessing
spawned, a test) keeps its signals. Of a hundred Ctrl-C in the first tenth of a second 30 come before this; with the
public module it were 49.
"""

from __future__ import annotations

import importlib
import os
import sys
from typing import Any

signal: Any = importlib.import_module("_signal")  # what `signal` is made of, which has enums to make

_path: str = getattr(sys.modules.get("__main__"), "__file__", None) or ""
if os.path.basename(_path) in ("whilst", "whilst.exe") or _path.endswith(os.path.join("whilst", "__main__.py")):
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    if hasattr(signal, "SIGUSR1") and signal.getsignal(signal.SIGUSR1) is signal.SIG_DFL:
        signal.signal(signal.SIGUSR1, signal.SIG_IGN)  # who asks for a status too early must not end what is asked


def main() -> None:
    """Load the command line and run it."""
    from .main import main

    main()
