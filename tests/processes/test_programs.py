"""Whole programs with worker processes: where their functions come from, and how the programs end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import zipapp
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent

import pytest

MAIN = """
    import os, sys, threading, time
    import whilst

    class Point:
        def __init__(self, x):
            self.x = x
        def __eq__(self, other):
            return type(other) is Point and other.x == self.x

    FACTOR = 3

    def scaled(point):
        return Point(point.x * FACTOR)
"""


def run(tmp_path: Path, text: str, *how: str, name: str = "program.py") -> subprocess.CompletedProcess[str]:
    (tmp_path / name).write_text(dedent(text))
    command = [sys.executable, *(how or (name,))]
    return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=40, check=False)


def test_functions_and_classes_of_a_script_are_imported_again(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        MAIN
        + """
    if __name__ == "__main__":
        found = whilst.map(scaled, [Point(1), Point(2)], executor="process").list()
        print(found == [Point(3), Point(6)])
    """,
    )
    assert (done.stdout, done.stderr, done.returncode) == ("True\n", "", 0)


def test_and_those_of_a_module_that_is_run(tmp_path: Path) -> None:
    last = 'print(whilst.map(scaled, [Point(1)], executor="process").list()[0].x)'
    text = MAIN + f'    if __name__ == "__main__":\n        {last}\n'
    done = run(tmp_path, text, "-m", "program")
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)


@pytest.mark.parametrize("packed", [False, True])
def test_and_those_of_a_folder_or_an_archive_that_is_run(packed: bool, tmp_path: Path) -> None:
    (tmp_path / "app").mkdir()
    last = 'print(whilst.map(scaled, [Point(1)], executor="process").list()[0].x)'
    (tmp_path / "app" / "__main__.py").write_text(dedent(MAIN) + f'if __name__ == "__main__":\n    {last}\n')
    if packed:
        zipapp.create_archive(tmp_path / "app", tmp_path / "app.pyz")
    done = run(tmp_path, "", "app.pyz" if packed else "app")
    assert (done.stdout, done.stderr, done.returncode) == ("3\n", "", 0)


def test_a_missing_guard_gets_one_clear_error(tmp_path: Path) -> None:
    began = time.monotonic()
    done = run(tmp_path, MAIN + '    print(whilst.map(scaled, [Point(1), Point(2)], executor="process").list())\n')
    assert time.monotonic() - began < 20
    assert done.returncode == 1
    assert done.stderr.count("Traceback") == 1
    assert done.stderr.count('try: if __name__ == "__main__":') == 1


def test_a_function_behind_the_guard_is_told_of(tmp_path: Path) -> None:
    text = """
        import whilst

        if __name__ == "__main__":
            def double(x):
                return 2 * x

            whilst.map(double, [1], executor="process").list()
    """
    done = run(tmp_path, text)
    assert done.returncode == 1
    assert 'try: the def above the if __name__ == "__main__":' in done.stderr


def test_what_a_prompt_defines_is_sent_by_value(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    text = dedent(MAIN) + '\nprint([it.x for it in whilst.map(scaled, [Point(1), Point(2)], executor="process")])'
    done = run(tmp_path, "", "-c", text)
    assert (done.stdout, done.stderr, done.returncode) == ("[3, 6]\n", "", 0)


def test_or_refused_without_cloudpickle(tmp_path: Path) -> None:
    text = "import sys; sys.modules['cloudpickle'] = None\n" + dedent(MAIN)
    done = run(tmp_path, "", "-c", text + '\nwhilst.map(scaled, [Point(1)], executor="process")')
    assert done.returncode == 1
    assert "scaled() (<string> line 14) cannot be sent to another process" in done.stderr
    assert 'pip install "whilst[process]"' in done.stderr


def test_a_row_that_holds_the_text_of_a_program_is_no_function_of_the_prompt(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        "",
        "-c",
        "import sys, whilst; sys.modules['cloudpickle'] = None\n"
        "print(whilst.map(len, [{'text': '__main__'}], executor='process').list())",
    )
    assert (done.stdout, done.stderr) == ("[1]\n", "")


def test_lambdas_and_closures_are_sent_with_cloudpickle(tmp_path: Path) -> None:
    pytest.importorskip("cloudpickle")
    done = run(
        tmp_path,
        """
        import whilst
        def adder(n):
            def add(x):
                return x + n
            return add
        if __name__ == "__main__":
            print(whilst.map(lambda x: 2 * x, [1, 2], executor="process").list())
            print(whilst.map(adder(10), [1, 2], executor="process").list())
        """,
    )
    assert (done.stdout, done.stderr) == ("[2, 4]\n[11, 12]\n", "")


def test_a_worker_that_dies_at_import_ends_the_run_at_once(tmp_path: Path) -> None:
    (tmp_path / "deadly.py").write_text(
        "import os, sys\nif sys.argv[0] == 'dead' or os.environ.get('IN_WORKER'): os._exit(9)\ndef f(x): return x\n"
    )
    began = time.monotonic()
    done = run(
        tmp_path,
        """
        import os, deadly, whilst
        os.environ["IN_WORKER"] = "1"
        whilst.map(deadly.f, range(100), executor="process").list()
        """,
    )
    assert time.monotonic() - began < 20
    assert (
        "WorkerDied: f: a worker process ended by itself before it was ready to make calls, with exit code 9"
        in done.stderr
    )
    assert done.stderr.count("Traceback") == 1


def test_a_module_that_a_worker_cannot_import_ends_the_run_with_its_name(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import sys, types, whilst
        made = types.ModuleType("only_here")
        exec("def f(x): return x", made.__dict__)
        sys.modules["only_here"] = made
        whilst.map(made.f, range(100), executor="process").list()
        """,
    )
    assert "ModuleNotFoundError: No module named 'only_here'" in done.stderr
    assert "whilst: a worker process for f could not get ready" in done.stderr


NAPS = (
    MAIN
    + """
    def nap(x):
        print(os.getpid(), flush=True)
        time.sleep(60)

    if __name__ == "__main__":
        print("begun", flush=True)
        whilst.map(nap, range(10), executor="process", concurrency=2).list()
"""
)


def started(tmp_path: Path, text: str) -> subprocess.Popen[str]:
    (tmp_path / "program.py").write_text(dedent(text))
    return subprocess.Popen(
        [sys.executable, "program.py"], cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip


@pytest.fixture
def napping(tmp_path: Path) -> subprocess.Popen[str]:
    return started(tmp_path, NAPS)


def workers_of(program: subprocess.Popen[str]) -> list[int]:
    assert program.stdout is not None
    assert program.stdout.readline() == "begun\n"
    return [int(program.stdout.readline()), int(program.stdout.readline())]


def is_there(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def test_ctrl_c_ends_soon_and_workers_say_nothing(
    napping: subprocess.Popen[str], eventually: Callable[..., bool]
) -> None:
    pids = workers_of(napping)
    began = time.monotonic()
    os.killpg(napping.pid, signal.SIGINT)
    _, stderr = napping.communicate(timeout=20)
    assert time.monotonic() - began < 15  # asked: within 1 s, on a machine that is not busy; the calls take 60
    assert stderr.count("Traceback") == 1
    assert stderr.rstrip().endswith("KeyboardInterrupt")
    assert not any(map(is_there, pids))


def test_workers_end_when_their_parent_is_killed(
    napping: subprocess.Popen[str], eventually: Callable[..., bool]
) -> None:
    pids = workers_of(napping)
    napping.kill()
    napping.communicate(timeout=20)
    assert eventually(lambda: not any(map(is_there, pids)))


FORKS = """
    class Out:
        heard = 0

        def write(self, text):
            self.heard += text.strip().isdigit()
            if self.heard == 2 and os.fork() == 0:  # both workers make calls
                time.sleep(60)
                os._exit(0)
            return sys.__stdout__.write(text)

        def flush(self):
            sys.__stdout__.flush()

    if __name__ == "__main__":
        sys.stdout = Out()
"""


def test_and_when_a_process_that_the_parent_has_forked_goes_on(tmp_path: Path, eventually: Callable[..., bool]) -> None:
    """It has the parent's sockets, too, so that their end does not come."""
    before, guard, after = NAPS.partition('    if __name__ == "__main__":')
    program = started(tmp_path, before + FORKS + guard + after)
    pids = workers_of(program)
    program.kill()
    program.wait(timeout=20)
    assert eventually(lambda: not any(map(is_there, pids)))
    os.killpg(program.pid, signal.SIGKILL)  # what it has forked
    program.communicate(timeout=20)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_a_program_is_for_the_program_though_all_its_processes_get_it(
    tmp_path: Path, number: signal.Signals
) -> None:
    """As from systemd, a batch system or a terminal: who has a handler ends in good order, and no call is lost."""
    program = started(
        tmp_path,
        MAIN
        + f"""
    def go_on(x):
        print(os.getpid(), flush=True)
        while not os.path.exists("sent"):
            time.sleep(0.01)
        return x

    if __name__ == "__main__":
        signal.signal({int(number)}, lambda *_: print("heard", flush=True))
        print("begun", flush=True)
        print(whilst.map(go_on, [1, 2], executor="process", concurrency=2).list())
    """.replace("    def go_on", "    import signal\n\n    def go_on"),
    )
    workers_of(program)
    os.killpg(program.pid, number)
    assert program.stdout is not None
    assert program.stdout.readline() == "heard\n"
    (tmp_path / "sent").touch()
    stdout, stderr = program.communicate(timeout=20)
    assert (stdout, stderr, program.returncode) == ("[1, 2]\n", "", 0)


def test_but_what_a_call_has_forked_can_be_ended_by_it(tmp_path: Path) -> None:
    done = run(
        tmp_path,
        """
        import multiprocessing, time, whilst

        def ends(x):
            child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
            child.start()
            child.terminate()
            child.join(20)
            return child.exitcode

        if __name__ == "__main__":
            print(whilst.map(ends, [1], executor="process").list())
        """,
    )
    assert (done.stdout, done.stderr) == ("[-15]\n", "")
