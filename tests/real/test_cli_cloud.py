"""Commands as jobs of a machine that nobody sits at: signals, summaries, strangers' journals, directories that go."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest
from commandkit import WHILST
from screen import Pty

JOBS = """
import os, time

def gate(x):
    open(f"entered-{x}", "w").close()
    while not os.path.exists("open"):
        time.sleep(0.01)
    return x

def same(x):
    return x
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS.replace('open(f"entered-{x}", "w").close()', 'os.mkdir(f"entered-{x}")'))
    (tmp_path / "in.txt").write_text("1\n2\n3\n4\n")
    return tmp_path


def gated(*flags: str) -> subprocess.Popen[str]:
    """Start a command, two of whose calls wait to be let go on."""
    process = subprocess.Popen(
        [*WHILST, "map", "jobs.py:gate", "in.txt", "-j", "2", "-o", "out.jsonl", *flags],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
    )
    ends = time.monotonic() + 50
    while not (Path("entered-1").exists() and Path("entered-2").exists()):
        assert time.monotonic() < ends
        time.sleep(0.01)
    return process


@pytest.mark.parametrize(("number", "code"), [(signal.SIGHUP, 129), (signal.SIGTERM, 143)])
def test_a_polite_signal_drains_and_the_summary_says_so(number: int, code: int, here: Path) -> None:
    process = gated("--summary", "summary.json")
    process.send_signal(number)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said == f"{signal.Signals(number).name}: nothing new is started, waiting for 2 in flight for at most 10 s\n"
    (here / "open").touch()
    _, err = process.communicate(timeout=50)
    assert process.returncode == code
    assert err.startswith("interrupted: 2 ok in ")
    found = json.loads((here / "summary.json").read_text())
    assert (found["exit_code"], found["ended"], found["ok"]) == (code, "interrupted", 2)
    assert len((here / "out.jsonl").read_text().splitlines()) == 2


def test_a_terminal_that_goes_away_loses_nothing(here: Path) -> None:
    """The kernel hangs up: SIGHUP, and every write to the terminal fails from then on."""
    with Pty([*WHILST, "map", "jobs.py:gate", "in.txt", "-j", "2", "-o", "out.jsonl", "--summary", "end.json"]) as pty:
        pty.read_until(lambda: "2 in flight" in pty.written)
        process = pty.process
        pty.hang_up()
        process.send_signal(signal.SIGHUP)
        time.sleep(0.2)
        (here / "open").touch()
        assert process.wait(50) == 129
    assert json.loads((here / "end.json").read_text())["ok"] == 2
    assert len((here / "out.jsonl").read_text().splitlines()) == 2


def test_the_status_is_said_and_nothing_else_happens(here: Path) -> None:
    process = gated()
    process.send_signal(signal.SIGUSR1)
    assert process.stderr is not None
    said = process.stderr.readline()
    assert said.startswith("status: gate: 0 ok in ")
    assert "2 in flight" in said
    (here / "open").touch()
    _, err = process.communicate(timeout=50)
    assert (process.returncode, err.startswith("done: 4 ok in ")) == (0, True)


def test_who_asks_for_the_status_too_early_does_no_harm(here: Path) -> None:
    command = [sys.executable, "-m", "whilst", "map", "jobs.py:same", "in.txt"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        time.sleep(0.15)  # the interpreter itself has begun by then, mostly: before that nobody can help
        while process.poll() is None:
            process.send_signal(signal.SIGUSR1)
            time.sleep(0.02)
        assert process.returncode in (0, -signal.SIGUSR1)


def test_files_have_the_mode_that_the_umask_leaves(here: Path) -> None:
    flags = ["-o", "out.jsonl", "--summary", "s.json", "--journal", "run.db"]
    command = [*WHILST, "map", "jobs.py:same", "in.txt", *flags]
    subprocess.run(command, check=True, capture_output=True, preexec_fn=lambda: os.umask(0o027))
    modes = {name: (here / name).stat().st_mode & 0o777 for name in ("out.jsonl", "s.json", "run.db")}
    assert modes == {"out.jsonl": 0o640, "s.json": 0o640, "run.db": 0o600}


def test_a_directory_that_was_removed_is_no_traceback(here: Path) -> None:
    gone = here / "gone"
    script = f"mkdir {gone} && cd {gone} && rmdir {gone} && exec {sys.executable} -m whilst map"
    for target, code in (
        ("builtins:len", 0),
        ("nothing:here", 2),
        ("nothing.py:here", 2),
        (f"builtins:len --journal {here}/run.db", 2),
    ):
        words = f"{script} {target.replace(' ', f' {here}/in.txt ', 1)}"
        words += "" if " " in target else f" {here}/in.txt"
        done = subprocess.run(["bash", "-c", words], capture_output=True, text=True, check=False)
        assert (done.returncode, "Traceback" in done.stderr) == (code, False), done.stderr


def test_nothing_needs_a_home_a_terminal_or_a_path(here: Path) -> None:
    command = [sys.executable, "-W", "error", "-m", "whilst", "map", "jobs.py:same", "in.txt"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env={})
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can become another user")
def test_another_user_in_a_directory_that_cannot_be_written() -> None:
    can_read = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", sys.executable, "-c", "import whilst"]
    if subprocess.run(can_read, capture_output=True, check=False).returncode:
        pytest.skip("another user cannot read this interpreter")
    with tempfile.TemporaryDirectory(dir="/var/tmp") as shared:  # pytest's own directories are closed to other users
        os.chmod(shared, 0o755)
        (inputs := Path(shared, "in.txt")).write_text("1\n2\n3\n4\n")
        command = [*can_read[:4], *WHILST, "map", "builtins:len", str(inputs)]
        done = subprocess.run(command, capture_output=True, text=True, check=False, env={}, cwd=shared)
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 4), done.stderr


def test_no_more_threads_is_said_and_leaves_what_was_there(here: Path) -> None:
    (here / "out.jsonl").write_text("old\n")
    script = """
import sys, threading
import whilst.cli.main as main
import whilst.cli.job
start = threading.Thread.start
def refuse(self):
    if self.name in ("whilst-attendant", "whilst-engine"):
        raise RuntimeError("can't start new thread")
    start(self)
threading.Thread.start = refuse
main.main()
"""
    command = [sys.executable, "-c", script, "map", "jobs.py:same", "in.txt", "-o", "out.jsonl", "--overwrite"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, (here / "out.jsonl").read_text()) == (1, "old\n")
    assert done.stderr.startswith("error: the run ended with RuntimeError: can't start new thread")


# -- somebody else's journal ------------------------------------------------------------------------------------------


@pytest.fixture
def journal(here: Path) -> str:
    command = [*WHILST, "map", "jobs.py:same", "in.txt", "-o", "out.jsonl", "--journal", "run.db", "-q"]
    subprocess.run(command, check=True)
    return str(here / "run.db")


def resume(*arguments: str, folder: Path) -> tuple[int, str]:
    done = subprocess.run([*WHILST, "resume", *arguments], capture_output=True, text=True, check=False, cwd=folder)
    return done.returncode, done.stderr


def test_where_the_code_comes_from_is_always_said(
    journal: str, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    for folder in (here, tmp_path_factory.mktemp("elsewhere")):
        code, err = resume(journal, "-q", folder=folder)
        assert code == 0
        assert err == f"whilst map jobs.py:same in.txt -o out.jsonl -q --journal={journal}\n  in {here}\n"


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("n\n", 2), ("\x04", 2)])
def test_code_of_another_directory_is_asked_about_on_a_terminal(
    answer: str, code: int, journal: str, here: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    with Pty([*WHILST, "resume", journal], typed=True, cwd=elsewhere) as pty:
        pty.read_until(lambda: "run it? [y/N]" in pty.written)
        pty.type(answer)
        assert pty.end() == code
    assert "this is not the current directory: its code would run" in " ".join(pty.written.split())
    with Pty([*WHILST, "resume", journal, "--yes"], typed=True, cwd=elsewhere) as pty:
        assert pty.end() == 0
    assert "run it?" not in pty.written
    with Pty([*WHILST, "resume", journal], typed=True, cwd=here) as pty:
        assert pty.end() == 0
    assert "run it?" not in pty.written


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="only root can give a file away")
def test_another_users_journal_is_refused_where_nobody_can_be_asked(journal: str, here: Path) -> None:
    os.chown(journal, 65534, 65534)
    code, err = resume(journal, folder=here)
    assert code == 2
    assert f"error: {journal} belongs to " in err
    assert "--yes" in err
    assert resume(journal, "--yes", folder=here)[0] == 0
