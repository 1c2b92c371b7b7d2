"""A program under the doctor does what it does without: arguments, input, output, tracebacks, exit codes, signals."""

from __future__ import annotations

import ast
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from doctorkit import DOCTOR, PATIENCE, doctor, plainly

from whilst.doctoring.report import wrapped_code

pytestmark = pytest.mark.slow

BLOCKS = """
import asyncio, time
async def main():
    await asyncio.sleep(0.01)
    time.sleep(0.2)
    await asyncio.sleep(0)
asyncio.run(main())
"""


def written(folder: Path, text: str, name: str = "program.py") -> Path:
    path = folder / name
    path.write_text(textwrap.dedent(text))
    return path


def without_report(text: str) -> str:
    return text[: text.index("whilst doctor:")]


SAME = {
    "arguments, name, module and path": """
        import sys, __main__
        print(sys.argv, __name__, __file__ == __main__.__file__, sys.path[0], __spec__, __package__, __doc__)
        print(__main__.__dict__ is globals(), sorted(globals()))
        """,
    "standard input": "import sys; print(sys.stdin.read().upper())",
    "an exit code": "raise SystemExit(7)",
    "an exit with a message": "import sys; sys.exit('that is all')",
    "a traceback": """
        def inner():
            return 1 / 0

        def outer():
            try:
                inner()
            except ZeroDivisionError as error:
                raise ValueError("no") from error

        outer()
        """,
    "a hook for tracebacks": """
        import sys
        sys.excepthook = lambda kind, error, trace: print("hook", kind, error, trace.tb_frame.f_code.co_name)
        raise LookupError("lost")
        """,
    "a group of exceptions": "raise ExceptionGroup('several', [ValueError(1), TypeError(2)])",
    "a syntax error": "def broken(:\n    pass\n",
    "a warning": "import warnings; warnings.warn('old', DeprecationWarning); print('on')",
    "what happens at exit": """
        import atexit, threading, time
        atexit.register(print, "at exit")
        threading.Thread(target=lambda: (time.sleep(0.05), print("thread"))).start()
        print("main")
        """,
    "an exit in the middle": "import os, sys; print('out'); sys.stdout.flush(); os._exit(5)",
    "another program": """
        import os, sys
        sys.stdout.flush()
        os.execv(sys.executable, [sys.executable, "-c", "print('other'); raise SystemExit(4)"])
        """,
    "a fork": """
        import os, sys
        sys.stdout.flush()
        child = os.fork()
        print("child" if not child else os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
        if not child:
            sys.exit(3)
        """,
    "processes of multiprocessing": """
        import multiprocessing

        def square(x):
            return x * x

        if __name__ == "__main__":
            with multiprocessing.get_context("spawn").Pool(1) as pool:
                print(pool.map(square, [1, 2, 3]))
            with multiprocessing.get_context("fork").Pool(1) as pool:
                print(pool.map(square, [1, 2, 3]))
        """,
    "its own event loop policy": """
        import asyncio, warnings
        warnings.simplefilter("ignore")

        class Policy(asyncio.DefaultEventLoopPolicy):
            def new_event_loop(self):
                print("made")
                return super().new_event_loop()

        asyncio.set_event_loop_policy(Policy())
        asyncio.run(asyncio.sleep(0))
        """,
    "megabytes of output": "print('x' * 5_000_000)",
    "closed streams": "import sys, os; sys.stdout.close(); sys.stderr.close()",
    "descriptors closed by number": "import os; os.closerange(3, 300); print(sorted(os.listdir('/proc/self/fd'))[:3])",
    "threads and descriptors": """
        import os, threading
        print(threading.active_count(), threading.enumerate(), sorted(os.listdir("/proc/self/fd")))
        """,
    "garbage that is collected at exit": """
        class Cycle:
            def __init__(self):
                self.own = self
            def __del__(self):
                print("gone")
        keep = Cycle()
        import gc
        print(gc.get_threshold(), gc.isenabled())
        """,
    "nothing at all": "",
}


def test_a_fork_is_warned_of_no_more_than_without(tmp_path: Path) -> None:
    """Python warns where the system knows of another thread, and there must be none at that moment."""
    text = """
    import os, warnings
    warnings.simplefilter("always")
    for _ in range(5):
        child = os.fork()
        if not child:
            os._exit(0)
        os.waitpid(child, 0)
    print("done")
    """
    path = written(tmp_path, text)
    done = doctor(path)
    assert done.out == "done\n"
    assert without_report(done.err) == plainly(path).err == ""


def test_a_relative_path_is_shown_as_python_shows_it(tmp_path: Path) -> None:
    written(tmp_path, "print(__file__)\n1 / 0\n")
    with_it, without = doctor("program.py", cwd=tmp_path), plainly("program.py", cwd=tmp_path)
    assert (with_it.out, without_report(with_it.err)) == (without.out, without.err)


@pytest.mark.parametrize("what", SAME)
def test_it_has_the_same(what: str, tmp_path: Path) -> None:
    path = written(tmp_path, SAME[what])
    with_it = doctor(path, "--json", "-m", "two words", cwd=tmp_path, stdin="some text")
    without = plainly(path, "--json", "-m", "two words", cwd=tmp_path, stdin="some text")
    assert (with_it.code, steady(with_it.out)) == (without.code, steady(without.out))
    assert steady(without_report(with_it.err)) == steady(without.err)


def steady(text: str) -> str:
    return re.sub(r"0x[0-9a-f]+|started \d+|pid=\d+", "#", text)


def test_a_module_is_run_as_python_runs_it(tmp_path: Path) -> None:
    package = tmp_path / "package"
    package.mkdir()
    written(package, "")
    written(package, "", "__init__.py")
    written(package, "import sys\nprint(sys.argv, __name__, __package__, __spec__.name, __file__)\n", "__main__.py")
    written(tmp_path, "import sys\nprint(sys.argv, sys.path[0], __name__, __spec__.name)\n1 / 0\n", "single.py")
    for module in ("package", "single", "package.program"):
        with_it = doctor("-m", module, "-x", "--json", cwd=tmp_path)
        without = plainly("-m", module, "-x", "--json", cwd=tmp_path)
        assert (with_it.code, with_it.out) == (without.code, without.out)
        assert without_report(with_it.err) == re.sub(r'  File "<frozen runpy>".*\n', "", without.err)


def test_a_directory_with_a_main_is_run_too(tmp_path: Path) -> None:
    written(tmp_path, "import sys; print(sys.path[0] == sys.argv[0], __name__)", "__main__.py")
    assert doctor(tmp_path).out == plainly(tmp_path).out == "True __main__\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["slwo.py"], "error: there is no file slwo.py\n  try: whilst doctor slow.py\n"),
        (["pytest"], "error: there is no file pytest\n  try: whilst doctor -m pytest\n"),
        ([], "error: no program was given\n  try: whilst doctor slow.py, or whilst doctor -m pytest\n"),
        (["--threshold", "soon", "slow.py"], "error: --threshold must be a time such as 50ms or 0.2s, got 'soon'\n"),
        (["--threshold", "0", "slow.py"], "error: --threshold must be from 1ms to 3600s, got '0'\n"),
        (["--jsno", "slow.py"], "error: whilst doctor has no option --jsno\n  try: whilst doctor --json\n"),
        (["."], "error: . is a directory without a __main__.py\n"),
    ],
)
def test_what_cannot_be_run_is_said_before_anything_is(arguments: list[str], said: str, tmp_path: Path) -> None:
    written(tmp_path, BLOCKS, "slow.py")
    done = doctor(*arguments, cwd=tmp_path)
    assert done.code == 2
    assert done.err.startswith(said)
    assert "whilst doctor:" not in done.err


def test_a_module_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = doctor("-m", "no_such_module_at_all", cwd=tmp_path)
    assert done.code == 1
    assert done.err.startswith("error: there is no module no_such_module_at_all\n")


def test_a_handler_that_an_installed_server_calls_is_not_taken_for_one_that_whilst_does(tmp_path: Path) -> None:
    """The command that runs the program is whilst's, too, and stands above all."""
    installed = tmp_path / "site-packages"
    installed.mkdir()
    server = f"import asyncio, sys\nsys.path.insert(0, {str(tmp_path)!r})\nimport app\nasyncio.run(app.handle())\n"
    written(installed, server, "server.py")
    app = "import time\ndef price():\n    time.sleep(0.2)\nasync def handle():\n    price()\n"
    written(tmp_path, app, "app.py")
    (found,) = doctor("--json", "-m", "server", cwd=installed).findings
    assert (found["line"], found["change"]["new"]) == (3, "await whilst.unblock(price)()")


def test_fail_is_one_where_something_was_found_and_the_program_ended_well(tmp_path: Path) -> None:
    slow, fine = written(tmp_path, BLOCKS, "slow.py"), written(tmp_path, "print('fine')", "fine.py")
    bad = written(tmp_path, BLOCKS + "raise SystemExit(9)", "bad.py")
    assert [doctor("--fail", path).code for path in (slow, fine, bad)] == [1, 0, 9]
    assert doctor(slow).code == 0


def test_nothing_found_is_one_line_that_says_what_was_looked_at(tmp_path: Path) -> None:
    done = doctor(written(tmp_path, "import asyncio; asyncio.run(asyncio.sleep(0.1))"))
    one_line = " ".join(done.err.split())
    wanted = r"whilst doctor: nothing found in [\d.]+ m?s: 1 event loop, \d+ rounds, the longest [\d.]+ m?s, \d+ looks"
    assert re.fullmatch(wanted, one_line), done.err


def test_a_line_may_ask_not_to_be_spoken_of(tmp_path: Path) -> None:
    path = written(tmp_path, BLOCKS.replace("time.sleep(0.2)", "time.sleep(0.2)  # whilst: ignore, it is meant"))
    assert "nothing found" in doctor(path).err


def test_a_program_whose_name_is_not_utf_8_is_told_of(tmp_path: Path) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.py"
    try:
        Path(os.fsdecode(path)).write_text("import asyncio, time\nasync def f(): time.sleep(0.2)\nasyncio.run(f())\n")
    except OSError:
        pytest.skip("this file system wants UTF-8")
    done = subprocess.run([sys.executable, "-m", "whilst", "doctor", path], capture_output=True, timeout=60)
    assert b"held the loop" in done.stdout + done.stderr


def test_imports_are_left_out(tmp_path: Path) -> None:
    written(tmp_path, "import time\ntime.sleep(0.3)\n", "heavy.py")
    path = written(tmp_path, "import asyncio\nasync def main():\n    import heavy\n\nasyncio.run(main())\n")
    assert doctor("--json", path).findings == []


LOSES_NOTHING = {
    "os._exit": "time.sleep(0.3); os._exit(0)",
    "exec": "time.sleep(0.3); os.execv('/bin/true', ['true'])",
    "a kill": "time.sleep(0.3); os.kill(os.getpid(), signal.SIGKILL)",
    "a crash": "time.sleep(0.3); os.kill(os.getpid(), signal.SIGSEGV)",
    "a signal": "time.sleep(0.3); os.kill(os.getpid(), signal.SIGTERM)",
    "an exception": "time.sleep(0.3); raise ValueError('over')",
    "a daemon": "time.sleep(0.3); os.fork() and os._exit(0); os.setsid(); os.fork() and os._exit(0)",
    "closed streams": "time.sleep(0.3); sys.stdout.close(); sys.stderr.close(); os.close(2)",
    "closed descriptors": "time.sleep(0.3); os.closerange(3, 100)",
    "megabytes": "time.sleep(0.3); print('x' * 3_000_000); sys.stderr.write('y' * 3_000_000 + '\\n')",
}


@pytest.mark.parametrize("ending", LOSES_NOTHING)
def test_nothing_found_is_lost_by(ending: str, tmp_path: Path) -> None:
    text = (
        f"import asyncio, os, signal, sys, time\nasync def main():\n    {LOSES_NOTHING[ending]}\nasyncio.run(main())\n"
    )
    path = written(tmp_path, text)
    done = doctor("--json", path)
    assert done.code == plainly(path).code
    found = done.findings[0]
    assert (found["line"], found["call"]) == (3, "time.sleep")
    assert 0.2 < found["seconds"] < 1.0


def test_children_are_not_followed_and_that_is_said(tmp_path: Path) -> None:
    done = doctor(written(tmp_path, "import subprocess; subprocess.run(['true'])"))
    assert "note: it started processes; children are not followed" in done.err


SERVER = """
import asyncio, signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs with the signal ignored
async def main():
    while True:
        await asyncio.sleep(0.01)
        time.sleep(0.1)
        print("on", flush=True)
asyncio.run(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_server_gives_its_findings_when_it_is_ended_by(number: signal.Signals, tmp_path: Path) -> None:
    process = subprocess.Popen(
        [*DOCTOR, written(tmp_path, SERVER).name],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert [process.stdout.readline() for _ in range(3)] == ["on\n"] * 3
    process.send_signal(number)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == -number
    assert "program.py line 7, in main: time.sleep held" in err
    assert ("KeyboardInterrupt" in err) == (number == signal.SIGINT)


def test_what_a_program_makes_of_a_signal_is_its_own_affair(tmp_path: Path) -> None:
    text = """
    import signal, time
    signal.signal(signal.SIGTERM, lambda *_: print("not yet", flush=True))
    signal.signal(signal.SIGUSR1, lambda *_: exit(6))
    print("ready", flush=True)
    while True:
        time.sleep(0.05)
    """
    process = subprocess.Popen([*DOCTOR, written(tmp_path, text)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    assert process.stdout.readline() == "not yet\n"
    process.send_signal(signal.SIGUSR1)
    assert process.wait(PATIENCE) == 6
    process.stdout.close()


def test_a_terminal_sends_ctrl_c_to_the_program_once(tmp_path: Path) -> None:
    """The kernel sends it to both, and it is not passed on a second time."""
    text = """
    import signal, time
    count = 0
    def heard(*_):
        global count
        count += 1
    signal.signal(signal.SIGINT, heard)
    print("ready", flush=True)
    for _ in range(60):
        time.sleep(0.01)
    print("heard", count, flush=True)
    """
    import pty

    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [*DOCTOR, written(tmp_path, text)], stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        preexec_fn=lambda: take_terminal(theirs),
    )  # fmt: skip
    os.close(theirs)
    said = b""
    while b"ready" not in said:
        said += os.read(ours, 1000)
    os.write(ours, b"\x03")
    deadline = time.monotonic() + PATIENCE
    while b"whilst doctor:" not in said and time.monotonic() < deadline:
        said += os.read(ours, 1000)
    assert process.wait(PATIENCE) == 0
    os.close(ours)
    assert b"heard 1" in said


def take_terminal(descriptor: int) -> None:
    import fcntl
    import termios

    fcntl.ioctl(descriptor, termios.TIOCSCTTY, 0)
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def test_a_report_that_nobody_reads_harms_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, BLOCKS + "raise SystemExit(3)")
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run([*DOCTOR, path], stderr=write, timeout=PATIENCE, check=False)
    os.close(write)
    assert done.returncode == 3


def test_every_line_of_a_report_fits_eighty_columns(tmp_path: Path) -> None:
    done = doctor(written(tmp_path, BLOCKS))
    assert "await asyncio.sleep(0.2)" in done.err
    assert max(map(len, done.err.splitlines())) < 80


@pytest.mark.parametrize("width", [20, 40, 60])
@pytest.mark.parametrize(
    "code",
    [
        'n = (await whilst.unblock(db.execute)("select 1 from t where a = 3 order by b", (1, 2), key="a b")).one()',
        "ys = [result['a b'] for result in whilst.map(lambda i: get(f'{i} of {i + 1} and more'), range(15, 20, 3))]",
        "total = a_long_name_of_something + another_long_name_of_something_else + one_more",
    ],
)
def test_a_proposed_line_that_is_wrapped_can_be_pasted(code: str, width: int) -> None:
    lines = wrapped_code("     " + code, width, "     ")
    assert ast.dump(ast.parse("\n".join(lines).strip(), mode="exec")) == ast.dump(ast.parse(code))
    assert len(lines) > 1 or "total" in code


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_is_bounded_by_places_not_by_time(tmp_path: Path) -> None:
    from whilst.doctoring.places import Place, Whose
    from whilst.doctoring.records import Held
    from whilst.doctoring.rounds import PLACES, merge

    places: dict[tuple[object, ...], Held] = {}
    for number in range(5 * PLACES):
        where = Place("file.py", "f", number, None, True, Whose.USER)
        merge(places, Held(path=[where], leaf=None, count=1, seconds=float(number), longest=1.0))
    assert len(places) == PLACES
    assert max(held.seconds for held in places.values()) == 5 * PLACES - 1
