"""Every module can be imported on a system without what only Unix has, and says what it lacks there."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

pytest.importorskip("requests")
pytest.importorskip("aiohttp")

WITHOUT = """
import asyncio, importlib, json, os, pkgutil, select, signal, socket, subprocess, sys, tempfile, time, types
import multiprocessing.util, pathlib, shutil, uuid  # what is of Python itself has been loaded with all that it has
LIBRARIES
MODULES = "fcntl grp posix pty pwd readline resource syslog termios tty uvloop".split()
FUNCTIONS = '''chown chroot fchmod fchown fork forkpty geteuid getegid getgid getgroups getloadavg getpgid getpgrp
    getuid initgroups killpg lockf mkfifo mknod nice openpty posix_fallocate posix_fadvise pread preadv pwrite pwritev
    register_at_fork sched_getaffinity sched_yield setpgid setpgrp setsid statvfs sync sysconf tcgetpgrp tcsetpgrp
    uname wait WIFSIGNALED WTERMSIG O_CLOEXEC O_DIRECTORY O_NOFOLLOW O_NONBLOCK'''.split()
SIGNALS = '''SIGALRM SIGCHLD SIGCONT SIGHUP SIGKILL SIGPIPE SIGQUIT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGUSR1 SIGUSR2
    SIGWINCH SIG_BLOCK SIG_SETMASK SIG_UNBLOCK pthread_kill pthread_sigmask sigwait sigwaitinfo sigpending
    setitimer'''.split()
sys.platform = "win32"
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
for name in MODULES:
    sys.modules[name] = None
for holder, names in ((os, FUNCTIONS), (signal, SIGNALS)):
    for name in names:
        if hasattr(holder, name):
            delattr(holder, name)
os.process_cpu_count = os.cpu_count  # as Python has it where there is no sched_getaffinity
"""

MACOS = """
import asyncio, importlib, json, os, pkgutil, select, signal, socket, subprocess, sys, tempfile, time, types
import multiprocessing.util, pathlib, shutil, uuid
LIBRARIES
FUNCTIONS = '''copy_file_range eventfd getresgid getresuid memfd_create pidfd_open pipe2 posix_fadvise posix_fallocate
    preadv2 sched_getaffinity sched_setaffinity sched_getscheduler sched_setscheduler sendfile splice
    setresuid O_DIRECT O_NOATIME O_PATH O_TMPFILE SCHED_OTHER'''.split()
SIGNALS = "SIGRTMIN SIGRTMAX SIGPOLL SIGPWR SIGSTKFLT SIGCLD sigwaitinfo sigtimedwait".split()
sys.platform = "darwin"
for holder, names in ((os, FUNCTIONS), (signal, SIGNALS), (select, ["epoll"])):
    for name in names:
        if hasattr(holder, name):
            delattr(holder, name)
os.process_cpu_count = os.cpu_count  # as Python has it where there is no sched_getaffinity
"""

LIBRARIES = """
for library in ("click", "rich.console", "msgspec", "requests", "aiohttp", "starlette", "uvicorn", "pytest",
                "hypothesis", "pyarrow", "sqlalchemy", "psycopg", "pyreqwest", "obstore", "zstandard"):
    try:
        importlib.import_module(library)
    except ImportError:
        pass
"""

IMPORTS = """
import whilst
failed, seen = {}, []
for found in pkgutil.walk_packages(whilst.__path__, "whilst.", onerror=lambda name: None):
    if found.name.endswith("__main__"):
        continue
    seen.append(found.name)
    try:
        importlib.import_module(found.name)
    except BaseException as error:
        failed[found.name] = f"{type(error).__name__}: {error}"
print(json.dumps([seen, failed]))
"""


def without_unix(
    code: str, libraries: str = "import click, rich.console, msgspec", without: str = WITHOUT
) -> subprocess.CompletedProcess[str]:
    """Run code where those names are gone; libraries are loaded before, with all that they have."""
    program = without.replace("LIBRARIES", libraries) + code
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=100)


@pytest.mark.slow
@pytest.mark.timeout(120)
@pytest.mark.parametrize("without", [WITHOUT, MACOS], ids=["windows", "macos"])
def test_every_module_is_imported_without_what_a_system_lacks(without: str) -> None:
    done = without_unix(IMPORTS, LIBRARIES, without)
    assert done.returncode == 0, done.stderr
    seen, failed = json.loads(done.stdout)
    assert len(seen) > 200
    assert failed == {}


@pytest.mark.parametrize("without", [WITHOUT, MACOS], ids=["windows", "macos"])
def test_a_map_runs_without_what_a_system_lacks(without: str) -> None:
    done = without_unix("import whilst\nprint(whilst.map(str.upper, ['a', 'b']).list())", without=without)
    assert (done.stdout, done.returncode) == ("['A', 'B']\n", 0), done.stderr


def test_the_doctor_says_that_it_needs_unix() -> None:
    done = without_unix("from whilst.cli.main import run\nsys.exit(run(['doctor', 'program.py']))")
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("error: whilst doctor runs a program in a child of its own (os.fork), which this")
    assert "try: " in done.stderr
