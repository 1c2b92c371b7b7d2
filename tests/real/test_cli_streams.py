"""Standard streams may be closed, full, or shared with a function that prints: no outcome is lost in silence."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from commandkit import WHILST

JOBS = """
import multiprocessing, os, subprocess, sys, time
print("printed at import")

def quiet(x):
    return x

def prints(x):
    print("printed by the function", x)
    sys.stdout.write("unfinished")
    os.write(1, b"written to descriptor 1\\n")
    subprocess.run(["sh", "-c", "echo from a child"], check=True)
    return x

def reads(x):
    return sys.stdin.read() + os.read(0, 10).decode() + subprocess.run("cat", capture_output=True).stdout.decode()

def marks(x):
    open("called", "w").close()
    return x

def waits(x):
    open("called", "w").close()
    time.sleep(60)

def square(x):
    return int(x) ** 2

def pool(x):
    with multiprocessing.get_context("fork").Pool(2) as workers:
        return sum(workers.map(square, [x, x]))

def sleep(_):
    time.sleep(60)

def terminated(x):
    workers = multiprocessing.get_context("fork").Pool(2)
    workers.map_async(sleep, [1, 2])
    time.sleep(0.2)
    workers.terminate()
    workers.join()
    return x

def forked(x):
    child = os.fork()
    if not child:
        time.sleep(60)
        os._exit(0)
    os.kill(child, 15)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])

def exits(x):
    if x == "2":
        sys.exit("argument x: invalid")
    return x

async def exits_async(x):
    return exits(x)

def interrupts(x):
    if x == "2":
        raise KeyboardInterrupt
    return x
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "in.txt").write_text("1\n2\n3\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def shell(arguments: str) -> tuple[int, str, str]:
    """Run the command line with the streams that a shell gives it."""
    command = ["bash", "-c", f"{' '.join(WHILST)} {arguments}"]
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, env=environment)
    return done.returncode, done.stdout, done.stderr


def values(text: str) -> list[object]:
    return [json.loads(line)["value"] for line in text.splitlines()]


def test_what_is_printed_goes_to_standard_error_where_outcomes_go_to_standard_output(folder: Path) -> None:
    code, out, err = shell("map jobs.py:prints in.txt -j 1")
    assert (code, values(out)) == (0, ["1", "2", "3"])
    for said in ("printed at import", "printed by the function 2", "written to descriptor 1", "from a child"):
        assert said in err


def test_what_is_printed_stays_on_standard_output_where_outcomes_go_to_a_file(folder: Path) -> None:
    code, out, _ = shell("map jobs.py:prints in.txt -j 1 -o out.jsonl")
    assert code == 0
    for said in ("printed at import", "printed by the function 2", "written to descriptor 1", "from a child"):
        assert said in out
    assert values((folder / "out.jsonl").read_text()) == ["1", "2", "3"]


@pytest.mark.parametrize("stdout", ["> out.jsonl", "| cat", ">> out.jsonl", "> /dev/null"])
def test_what_is_printed_shows_when_it_is_wherever_outcomes_go(stdout: str, folder: Path) -> None:
    """A file knows where in it one is, and a pipe does not: Python's streams ask when they are changed."""
    (folder / "jobs.py").write_text("import os, sys\ndef dies(x):\n    print('last words')\n    os._exit(9)\n")
    _, _, err = shell(f"map jobs.py:dies in.txt -j 1 {stdout}")
    assert err.startswith("last words\n")


@pytest.mark.parametrize("name", ["/dev/stdout", "/dev/fd/1", "/proc/self/fd/1"])
def test_the_systems_names_of_standard_output_mean_it(name: str, folder: Path) -> None:
    code, out, _ = shell(f"map jobs.py:prints in.txt -j 1 -o {name}")
    assert (code, values(out)) == (0, ["1", "2", "3"])


@pytest.mark.parametrize("name", ["-", "/dev/stdin"])
def test_a_function_cannot_read_the_rows(name: str, folder: Path) -> None:
    code, out, _ = shell(f"map jobs.py:reads {name} < in.txt")
    assert (code, values(out)) == (0, ["", "", ""])


def test_a_function_reads_standard_input_where_the_rows_come_from_elsewhere(folder: Path) -> None:
    code, out, _ = shell("map jobs.py:reads in.txt -j 1 --take 1 <<< 'all of this'")
    assert (code, values(out)) == (0, ["all of this\n"])


CLOSED = {"0": "<&-", "1": ">&-", "2": "2>&-"}


def test_a_plan_and_a_dry_run_propose_what_they_have_where_standard_output_is_closed(folder: Path) -> None:
    code, _, err = shell("plan jobs.py:reads >&-")
    assert (code, err.splitlines()[1:]) == (4, ["  try: whilst plan jobs.py:reads > FILE"])
    code, _, err = shell("map jobs.py:reads in.txt --dry-run 1 -o out.jsonl >&-")
    assert (code, err.splitlines()[1:]) == (4, ["  try: the command again, with > FILE"])


@pytest.mark.parametrize("closed", ["0", "1", "2", "01", "02", "12", "012"])
@pytest.mark.parametrize("out", ["-", "out.jsonl"])
@pytest.mark.parametrize("source", ["-", "in.txt"])
def test_every_stream_may_be_closed(source: str, out: str, closed: str, folder: Path) -> None:
    given = "" if "0" in closed or source != "-" else "< in.txt"
    code, stdout, stderr = shell(f"map jobs.py:marks {source} -o {out} {given} {' '.join(CLOSED[it] for it in closed)}")
    called = (folder / "called").exists()
    if "1" in closed and out == "-":
        assert (code, called) == (4, False)
        assert "2" in closed or "error: standard output is closed: nothing could be written to it" in stderr
    elif "0" in closed and source == "-":
        assert (code, called) == (2, False)
        assert "2" in closed or "error: standard input is closed, and INPUT is -" in stderr
    else:
        text = stdout if out == "-" else (folder / "out.jsonl").read_text()
        assert (code, called, values(text)) == (0, True, ["1", "2", "3"])


@pytest.mark.parametrize("words", ["--help", "--version", "map --help", "plan jobs.py:quiet", "status run.db"])
@pytest.mark.parametrize("stdout", [">&-", "> /dev/full"])
def test_a_command_whose_words_could_not_be_written_fails(words: str, stdout: str, folder: Path) -> None:
    assert shell("map jobs.py:quiet in.txt --journal run.db -q")[0] == 0
    code, _, err = shell(f"{words} {stdout}")
    assert code == 4
    assert "error: standard output cannot be written: " in err or "error: standard output is closed" in err
    assert "Traceback" not in err


@pytest.mark.parametrize("words", ["plan jobs.py:quiet --mermaid", "map jobs.py:quiet in.txt --dry-run 1"])
def test_what_is_printed_is_not_part_of_what_is_shown(words: str, folder: Path) -> None:
    code, out, err = shell(words)
    assert (code, "printed at import" in out, "printed at import" in err) == (0, False, True)


def test_full_streams_lose_nothing_in_silence(folder: Path) -> None:
    code, _, err = shell("map jobs.py:quiet in.txt > /dev/full")
    assert (code, err.splitlines()[1]) == (4, "error: standard output cannot be written: No space left on device")
    shell("map builtins:str in.txt --journal run.db -o kept.jsonl")
    code, _, err = shell("export run.db > /dev/full")
    assert (code, err) == (4, "error: standard output cannot be written: No space left on device\n")
    code, out, _ = shell("map builtins:str in.txt 2> /dev/full")
    assert (code, values(out)) == (0, ["1", "2", "3"])
    code, _, err = shell("map jobs.py:quiet in.txt -o out.jsonl > /dev/full")  # it printed when it was imported
    assert (code, values((folder / "out.jsonl").read_text())) == (0, ["1", "2", "3"])
    assert "note: a part of what was printed is missing on standard output" in err


def test_a_reader_that_goes_away_is_no_error(folder: Path) -> None:
    (folder / "many.txt").write_text("x" * 99 + "\n" + "y\n" * 100_000)
    code, out, err = shell("map jobs.py:quiet many.txt 2> err.txt | head -n 1; exit ${PIPESTATUS[0]}")
    assert (code, len(out.splitlines())) == (141, 1)
    assert (folder / "err.txt").read_text() == "printed at import\n"
    code, _, err = shell("--help | true; exit ${PIPESTATUS[0]}")
    assert (code in (0, 141), err) == (True, "")


@pytest.mark.parametrize("out", ["-", "out.jsonl"])
def test_what_is_printed_fails_no_row_for_its_characters(out: str, folder: Path) -> None:
    (folder / "jobs.py").write_text("def says(x):\n    print('drücke', x)\n    return x\n")
    command = f"map jobs.py:says in.txt -j 1 -o {out}"
    done = subprocess.run(
        [*WHILST, *command.split()], capture_output=True, check=False, env={**os.environ, "PYTHONIOENCODING": "ascii"}
    )
    text = done.stdout if out == "-" else (folder / out).read_bytes()
    assert (done.returncode, values(text.decode())) == (0, ["1", "2", "3"])
    assert b"dr\\xfccke 2" in (done.stderr if out == "-" else done.stdout)


def test_an_outcome_is_written_when_it_is_there_whoever_is_slow(folder: Path) -> None:
    """As of `tail -f | whilst map … -`: the next row may come in an hour."""
    with subprocess.Popen(
        [*WHILST, "map", "builtins:len", "-"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for row in (b"a", b"bb", b"ccc"):
            process.stdin.write(row + b"\n")
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["value"] == len(row)


def test_a_fifo_that_nobody_reads_can_be_left(folder: Path) -> None:
    os.mkfifo(folder / "fifo.jsonl")
    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)):
        process = begun("map jobs.py:marks in.txt -o fifo.jsonl")
        assert process.stdout is not None
        process.stdout.readline()  # the import, and from then on it waits
        time.sleep(0.2)
        process.send_signal(number)
        _, err = process.communicate(timeout=30)
        assert (process.returncode, err) == (code, "interrupted: nothing was called\n")
    assert not (folder / "called").exists()
    code, out, _ = shell("map jobs.py:marks in.txt -o fifo.jsonl > /dev/null & cat fifo.jsonl; wait $!")
    assert (code, values(out)) == (0, ["1", "2", "3"])


@pytest.mark.parametrize("target", ["pool", "terminated", "forked"])
def test_processes_of_a_function_have_signals_of_their_own(target: str, folder: Path) -> None:
    code, out, err = shell(f"map jobs.py:{target} in.txt -j 2")
    expected: list[object] = {"pool": [2, 8, 18], "terminated": ["1", "2", "3"], "forked": [-15] * 3}[target]
    assert (code, values(out)) == (0, expected)
    assert "SIGTERM" not in err


# What is often done to standard error around a call, to silence a library or its own words.
SILENCED = {
    "redirected": "with contextlib.redirect_stderr(io.StringIO()): time.sleep(0.1); return odd(x)",
    "replaced": "sys.stdout = sys.stderr = open(os.devnull, 'w'); return odd(x)",
    "bytes": "sys.stderr = io.BytesIO(); return odd(x)",
    "none": "sys.stderr = None; return odd(x)",
    "shut": "sys.stderr.close(); return odd(x)",
    "led_elsewhere": "os.dup2(os.open(os.devnull, os.O_WRONLY), 2); return odd(x)",
    "closed": "x == '1' and os.close(2); return odd(x)",
}


@pytest.mark.parametrize("how", SILENCED)
def test_what_a_function_does_to_standard_error_swallows_nothing_of_ours(how: str, folder: Path) -> None:
    (folder / "jobs.py").write_text(
        "import contextlib, io, os, sys, time\ndef odd(x):\n    assert x == '2', 'not two'\n    return x\n"
        f"def silent(x):\n    {SILENCED[how]}\n"
    )
    code, out, err = shell("map jobs.py:silent in.txt --values -j 1")
    lines = err.splitlines()
    assert (code, out, [json.loads(it)["input"] for it in lines[:2]]) == (1, '"2"\n', ["1", "3"])
    assert "done: 1 ok, 2 failed (2 AssertionError)" in lines[2]
    code, _, err = shell("map jobs.py:silent in.txt -o out.jsonl --stop-after 1 -j 1 --log text")
    assert code == 3
    assert "stopped: 1 of the first 1 calls of silent failed" in err
    assert "warning silent: ended early" in err  # the log, too


def test_failures_that_could_only_vanish_are_known_before_the_first_call(folder: Path) -> None:
    code, out, _ = shell("map jobs.py:marks in.txt --values 2>&-")
    assert (code, out, (folder / "called").exists()) == (4, "", False)
    assert shell("map jobs.py:marks in.txt --values --failed failed.jsonl 2>&-")[0] == 0


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="this system has none")
def test_a_process_of_a_function_ends_by_a_signal_that_asks_the_command_for_its_status(folder: Path) -> None:
    with (folder / "jobs.py").open("a") as file:
        file.write(
            "\nimport signal\ndef asked(x):\n    child = os.fork()\n"
            "    if not child:\n        time.sleep(20)\n        os._exit(0)\n"
            "    os.kill(child, signal.SIGUSR1)\n    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])\n"
        )
    code, out, _ = shell("map jobs.py:asked in.txt")
    assert (code, values(out)) == (0, [-signal.SIGUSR1] * 3)


def test_a_summary_for_a_fifo_that_nobody_reads_can_be_left(folder: Path) -> None:
    os.mkfifo(folder / "fifo")
    process = begun("map jobs.py:quiet in.txt -o out.jsonl --summary fifo")
    assert process.stdout is not None
    assert process.stderr is not None
    process.stderr.readline()  # done
    for _ in range(2):
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
    process.communicate(timeout=20)
    assert process.returncode == 130
    assert values((folder / "out.jsonl").read_text()) == ["1", "2", "3"]
    code, out, _ = shell("map jobs.py:quiet in.txt -o again.jsonl --summary fifo > /dev/null & cat fifo; wait $!")
    assert (code, json.loads(out)["ok"]) == (0, 3)


@pytest.mark.parametrize("target", ["exits", "exits_async", "flow"])
def test_a_function_that_exits_is_the_failure_of_its_row(target: str, folder: Path) -> None:
    with (folder / "jobs.py").open("a") as file:
        file.write("\nimport whilst\nflow = whilst.sequence(exits, whilst.together(quiet, exits))\n")
    code, out, err = shell(f"map jobs.py:{target} in.txt")
    lines = [json.loads(line) for line in out.splitlines()]
    assert (code, [line["input"] for line in lines if "value" in line]) == (1, ["1", "3"])
    assert lines[1] == {"input": "2", "error": "SystemExit: argument x: invalid", "attempts": 1}
    assert "done: 2 ok, 1 failed (1 SystemExit)" in err
    assert "row 2 of in.txt" in err


@pytest.mark.parametrize("call", ["plain", "coroutine", "batch"])
@pytest.mark.parametrize("name", ["KeyboardInterrupt", "GeneratorExit", "Panic", "BaseExceptionGroup"])
def test_what_ends_a_run_is_said_with_its_row_and_the_last_line_that_was_written(
    name: str, call: str, folder: Path
) -> None:
    made = "BaseExceptionGroup('g', [Panic()])" if name == "BaseExceptionGroup" else name
    (folder / "jobs.py").write_text(
        "class Panic(BaseException):\n    'As of a Rust library.'\n"
        f"def plain(x):\n    if '2' in x:\n        raise {made}\n"
        "    return x\nasync def coroutine(x):\n    return plain(x)\nbatch = plain\n"
    )
    code, out, err = shell(f"map jobs.py:{call} in.txt -j 1{' --batch 1' if call == 'batch' else ''}")
    assert (code, values(out)) == (1, ["1"])
    assert re.search(rf"error: the run ended with {name}.*\n  row 2; jobs\.py line 5", err)
    assert "nothing after line 1 of in.txt was written" in err


def test_a_spawned_process_of_a_function_keeps_its_signals(folder: Path) -> None:
    """It loads the program's main module once more."""
    with (folder / "jobs.py").open("a") as file:
        file.write(
            "\ndef handlers(x):\n    import signal\n"
            "    usual = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: signal.SIG_DFL}\n"
            "    return [signal.getsignal(it) == usual[it] for it in usual]\n"
            "def spawned(x):\n    with multiprocessing.get_context('spawn').Pool(1) as pool:\n"
            "        return pool.apply(handlers, (x,))\n"
        )
    command = [sys.executable, "-m", "whilst", "map", "jobs.py:spawned", "in.txt", "--take", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50)
    assert values(done.stdout) == [[True, True]], done.stderr


def test_lines_in_between_that_were_not_written_are_named(folder: Path) -> None:
    """Where outcomes are written as they finish, the last line that was is not all there is to know."""
    (folder / "jobs.py").write_text(
        "import time\ndef f(x):\n    if x == '6':\n        time.sleep(0.3)\n        raise KeyboardInterrupt\n"
        "    if x in ('2', '4'):\n        time.sleep(30)\n    return x\n"
    )
    (folder / "in.txt").write_text("".join(f"{n}\n" for n in range(1, 7)))
    code, out, err = shell("map jobs.py:f in.txt --unordered -j 6")
    assert (code, sorted(map(str, values(out)))) == (1, ["1", "3", "5"])
    assert "row 6; jobs.py line 5" in err
    assert "nothing after line 5 of in.txt was written, nor of lines 2, 4\n" in err


def begun(arguments: str, **more: object) -> subprocess.Popen[str]:
    """Start the command line with signals as a terminal has them."""
    return subprocess.Popen(
        [*WHILST, *arguments.split()],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        **more,  # type: ignore[call-overload]
    )


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_an_interrupt_at_any_instant_of_the_start_leaves_no_traceback(folder: Path) -> None:
    """But for those that the interpreter is hit by before any code of ours runs: it says so itself."""
    entry = [sys.executable, "-m", "whilst", "map", "jobs.py:waits", "in.txt"]
    for turn in range(24):
        process = subprocess.Popen(
            entry,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )
        time.sleep(0.02 * turn)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGINT)
        try:
            _, err = process.communicate(timeout=2)
        except subprocess.TimeoutExpired:  # two sent at once may arrive as one, which waits for the calls
            process.send_signal(signal.SIGINT)
            _, err = process.communicate(timeout=30)
        ours = "whilst/cli" in err or "click" in err
        assert not ("Traceback" in err and ours), err
        assert process.returncode in (130, -2, 1)
