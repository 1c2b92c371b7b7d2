"""The line that shows while a run goes on harms nothing: not what a program prints, nor the terminal, nor the run."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
from argparse import Namespace
from pathlib import Path

import pytest
from screen import Pty

import whilst
from whilst.cli import messages, whither

HEAD = """
import io, logging, sys, time
import whilst

def slow(x):
    time.sleep(0.05)
    return x
"""


def program(folder: Path, text: str) -> list[str]:
    (folder / "program.py").write_text(HEAD + text)
    return [sys.executable, "-W", "error", str(folder / "program.py")]


PRINTING = """
before = sys.stdout, sys.stderr
for value in whilst.map(slow, range(20), concurrency=1, progress=True):
    print(f"value {value}")
assert (sys.stdout, sys.stderr) == before
"""


def test_what_a_program_prints_goes_where_it_went_while_a_line_is_on_the_terminal(tmp_path: Path) -> None:
    with (tmp_path / "out.txt").open("wb") as out, Pty(program(tmp_path, PRINTING), stdout=out.fileno()) as pty:
        assert pty.end() == 0
    assert (tmp_path / "out.txt").read_text().splitlines() == [f"value {n}" for n in range(20)]
    assert "of 20 (" in pty.written
    assert "value" not in pty.written


def test_prints_on_the_same_terminal_are_whole_lines_and_nothing_is_glued_to_them(tmp_path: Path) -> None:
    with Pty(program(tmp_path, PRINTING)) as pty:
        assert pty.end() == 0
    *values, last = pty.screen.lines
    assert values == [f"value {n}" for n in range(20)]
    assert last.startswith("slow: 20 ok in ")
    assert "of 20 (" in pty.written  # it was shown in between


def test_log_lines_stand_alone_also_of_a_handler_that_was_made_before(tmp_path: Path) -> None:
    text = """
logging.basicConfig(level=logging.INFO, format="%(message)s")
for value in whilst.map(slow, range(20), concurrency=1, progress=True):
    logging.info("log %d", value)
"""
    with Pty(program(tmp_path, text)) as pty:
        assert pty.end() == 0
    assert pty.screen.lines[:-1] == [f"log {n}" for n in range(20)]
    assert "of 20 (" in pty.written


def test_half_a_line_is_never_swallowed(tmp_path: Path) -> None:
    text = """
print("begun before: ", end="", flush=True)
for value in whilst.map(slow, range(20), concurrency=1, progress=True):
    print(value, end="." if value % 10 != 9 else "\\n", flush=True)
"""
    with Pty(program(tmp_path, text)) as pty:
        assert pty.end() == 0
    shown = "".join(pty.screen.lines)
    assert shown.startswith("begun before: ")
    assert "0.1.2.3.4.5.6.7.8.9" in shown
    assert "10.11.12.13.14.15.16.17.18.19" in shown


def test_long_lines_wrap_as_ever(tmp_path: Path) -> None:
    text = """
for value in whilst.map(slow, range(10), concurrency=1, progress=True):
    print("x" * 200, flush=True)
"""
    with Pty(program(tmp_path, text)) as pty:
        assert pty.end() == 0
    assert pty.written.count("x" * 200) == 10


@pytest.mark.parametrize("ending", ["", "sys.exit(3)", "raise ValueError('mine')"])
def test_a_run_that_is_still_held_when_the_program_ends_leaves_the_terminal_in_order(
    ending: str, tmp_path: Path
) -> None:
    text = f"""
run = whilst.map(slow, range(1000), concurrency=1, progress=True)
values = iter(run)
for _ in range(8):
    next(values)
{ending}
"""
    with Pty(program(tmp_path, text)) as pty:
        code = pty.end()
    assert code == {"": 0, "sys.exit(3)": 3}.get(ending, 1)
    assert "?25" not in pty.written  # the cursor is never hidden
    assert pty.screen.column == 0
    assert not [line for line in pty.screen.lines if "of 1,000 (" in line and not line.startswith("slow:")]


@pytest.mark.parametrize(
    "stderr",
    [
        "sys.stderr.close()",
        "sys.stderr = None",
        "sys.stderr = io.StringIO()",
        "sys.stderr = type('Stream', (), {'write': lambda self, text: len(text), 'flush': lambda self: None})()",
        "sys.stderr = type('Broken', (), {'isatty': lambda self: True})()",
        "sys.stderr = object()",
    ],
)
@pytest.mark.parametrize("wanted", [None, True])
def test_a_stderr_of_any_kind_harms_no_run(stderr: str, wanted: bool | None, tmp_path: Path) -> None:
    text = f"""
{stderr}
print(whilst.map(slow, range(10), concurrency=2, progress={wanted}).list())
sys.stderr = sys.__stderr__ = None
"""
    done = subprocess.run(program(tmp_path, text), capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stdout) == (0, f"{list(range(10))}\n")


def test_a_stderr_that_is_replaced_in_the_middle_is_followed(tmp_path: Path) -> None:
    text = """
real = sys.stderr
for value in whilst.map(slow, range(30), concurrency=1, progress=True):
    if value == 10:
        sys.stderr = io.StringIO()
    if value == 20:
        assert "write" not in vars(real)  # it is as it was
        sys.stderr = real
    print("p", value, flush=True)
assert "write" not in vars(real)
assert "write" not in vars(sys.stdout)
"""
    with Pty(program(tmp_path, text)) as pty:
        assert pty.end() == 0, pty.written
    assert [line for line in pty.screen.lines if line.startswith("p ")] == [f"p {n}" for n in range(30)]


def test_a_terminal_that_cannot_wipe_gets_no_line(tmp_path: Path) -> None:
    with Pty(program(tmp_path, PRINTING), env={"TERM": "dumb"}) as pty:
        assert pty.end() == 0
    assert "\x1b" not in pty.written
    assert pty.screen.lines[:-1] == [f"value {n}" for n in range(20)]


def test_runs_at_the_same_time_have_a_line_each(tmp_path: Path) -> None:
    text = """
def other(x):
    return list(whilst.map(slow, range(20), concurrency=1, progress=True, name=f"run {x}"))

whilst.map(other, ["a", "b"], name="both", progress=True).list()
"""
    with Pty(program(tmp_path, text)) as pty:
        pty.read_until(lambda: len([line for line in pty.screen.lines if " of " in line]) == 3)
        assert pty.end() == 0
    assert sorted(line.partition(": ")[0] for line in pty.screen.lines) == ["both", "run a", "run b"]


def test_a_notebook_has_one_output_that_is_updated(tmp_path: Path) -> None:
    """With a kernel that says what it is told; the real one was tried by hand."""
    text = """
import types
told = []
ipython, shown = types.ModuleType("IPython"), types.ModuleType("IPython.display")
ipython.get_ipython = lambda: types.SimpleNamespace(kernel=object())
shown.display = lambda data, raw, display_id: told.append(("new", data["text/plain"], display_id))
shown.update_display = lambda data, raw, display_id: told.append(("update", data["text/plain"], display_id))
sys.modules["IPython"], sys.modules["IPython.display"] = ipython, shown
for value in whilst.map(slow, range(70), concurrency=1):
    print("value", value)
assert [kind for kind, _, _ in told][:1] == ["new"] and {kind for kind, _, _ in told[1:]} == {"update"}, told
assert len({of for _, _, of in told}) == 1
assert told[-1][1].startswith("slow: 70 ok in ")
"""
    done = subprocess.run(program(tmp_path, text), capture_output=True, text=True, check=False, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"value {n}" for n in range(70)]


@pytest.mark.parametrize("columns", [1, 2, 7, 20, 45, 80, 300])
def test_the_line_fits_any_terminal(columns: int, tmp_path: Path) -> None:
    text = "whilst.map(slow, range(60), concurrency=2, progress=True, name='a name').list()"
    with Pty(program(tmp_path, text), columns=columns) as pty:
        assert pty.end() == 0
    drawn = [part.rstrip(" ") for part in pty.written.replace("\x1b[K", "").split("\r") if "\n" not in part]
    assert max(map(len, drawn)) < max(2, columns)


def test_a_terminal_that_becomes_narrower_keeps_no_rests(tmp_path: Path) -> None:
    text = """
import fcntl, struct, termios
for value in whilst.map(slow, range(40), concurrency=1, progress=True, name="a long enough name"):
    if value == 20:
        fcntl.ioctl(2, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 20, 0, 0))
"""
    with Pty(program(tmp_path, text)) as pty:
        assert pty.end() == 0
    assert re.search(r"\r\x1b\[\dA\x1b\[J", pty.written)  # the rows it had been wrapped to
    assert "of 40" in pty.written.rpartition("\x1b[J")[2]


def test_a_program_in_the_background_does_not_write_into_what_is_typed(tmp_path: Path) -> None:
    """A shell takes the terminal for itself while a job runs in the background."""
    text = """
import os, pty
child, master = pty.fork()
if not child:
    job = os.fork()
    if not job:
        os.setpgid(0, 0)
        whilst.map(slow, range(20), concurrency=1, progress=True).list()
        os._exit(0)
    os._exit(os.waitstatus_to_exitcode(os.waitpid(job, 0)[1]))
said = b""
while True:
    try:
        piece = os.read(master, 1000)
    except OSError:
        break
    if not piece:
        break
    said += piece
assert b"of 20" not in said, said
assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
"""
    environment = {"TERM": "xterm", "PATH": "/usr/bin:/bin"}
    command = [*program(tmp_path, text)]
    command[1:3] = ["-W", "ignore"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, env=environment)
    assert (done.returncode, done.stderr) == (0, "")


def test_what_a_second_interrupt_does_can_be_read_where_progress_has_two_lines(tmp_path: Path) -> None:
    (tmp_path / "jobs.py").write_text("import time\ndef f(x):\n    time.sleep(0.5)\n    return 1 / (int(x) % 3)\n")
    (tmp_path / "in.txt").write_text("".join(f"{n}\n" for n in range(1000)))
    command = [sys.executable, "-m", "whilst", "map", "jobs.py:f", "in.txt", "-o", "out.jsonl", "-j8", "--rate", "15/s"]
    with Pty(command, cwd=tmp_path) as pty:
        pty.read_until(lambda: len(pty.screen.lines) == 2 and "failed" in pty.screen.lines[0])
        pty.process.send_signal(signal.SIGINT)
        assert pty.end() == 130
    first, second, last = pty.screen.lines[:3]
    assert first.startswith("interrupted: nothing new is started, waiting for ")
    assert second == "  a second Ctrl-C ends within 2 s"
    assert last.startswith("interrupted: ")


@pytest.mark.parametrize("columns", [40, 79, 80, 81, 120])
def test_where_the_time_went_is_wrapped_once(
    columns: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(messages, "columns", lambda: columns)
    for module in (messages, whither):
        monkeypatch.setattr(module, "is_terminal", lambda: True)
    for many in range(25):  # so that some line ends just where the terminal does
        lane_time = {"busy": 5.0, "source": 2.0, f"limit: {'x' * many}": 2.0, "tail": 3.0}
        now = whilst.Summary("f", None, 100, 0, 0, 0, 2.0, 4, lane_time=lane_time, called=100)
        whither.say_where_the_time_went(now, Namespace(quiet=False, log=None, advice="on"))  # type: ignore[arg-type]
        lines = capsys.readouterr().err.splitlines()
        assert [it for it in lines if len(it) >= columns] == []
        assert [it for it in lines[1:] if not it.startswith(" " * 10)] == []
