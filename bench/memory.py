"""How much memory this process holds, and has held at most."""

import resource
import sys
from pathlib import Path

# /proc counts this program alone; ru_maxrss starts, on Linux, at what the process that started it held.
STATUS = Path("/proc/self/status")


def peak_mib() -> float:
    return _status("VmHWM:") if STATUS.exists() else _ru_maxrss()


def resident_mib() -> float:
    return _status("VmRSS:") if STATUS.exists() else _ru_maxrss()


def _status(field: str) -> float:
    line = next(line for line in STATUS.read_text().splitlines() if line.startswith(field))
    return int(line.split()[1]) / 1024


def _ru_maxrss() -> float:
    kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return kib / 1024 / (1024 if sys.platform == "darwin" else 1)
