"""`whilst map` for real: processes, pipes, exit codes, files, signals."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from commandkit import WHILST, run

# Calls wait for files, never for time: `gate` blocks until the file exists, and says first that it was entered.
JOBS = """\
import asyncio, os, sys, time
from decimal import Decimal
def upper(x):
    if x == "bad":
        raise ValueError("bad host")
    return x.upper()
async def aupper(x):
    await asyncio.sleep(0)
    return upper(x)
async def same(x):
    return x
def both(id, n):
    return id + n
def odd(x):
    return {"object": object(), "decimal": Decimal("1.5"), "bytes": b"ab"}[x]
def quits(x):
    sys.exit(9)
def gate(x):
    with open("entered", "a") as file:
        file.write(f"{x}\\n")
    while not os.path.exists("open"):
        time.sleep(0.01)
    return x
async def agate(x):
    with open("entered", "a") as file:
        file.write(f"{x}\\n")
    while not os.path.exists("open"):
        await asyncio.sleep(0.01)
    return x
def stuck(x):
    with open("entered", "a") as file:
        file.write(f"{x}\\n")
    if x != "1":
        time.sleep(600)
    return x
"""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    return tmp_path


def call(*arguments: str, stdin: str | bytes = "", **options: Any) -> tuple[int, list[Any], str]:
    """Run to the end; return exit code, JSON lines and messages."""
    data = stdin.encode() if isinstance(stdin, str) else stdin
    code, out, err = run("map", *arguments, stdin=data, **options)
    return code, [json.loads(line) for line in out.splitlines()], err.decode()


@contextlib.contextmanager
def started(*arguments: str, **options: Any) -> Iterator[subprocess.Popen[bytes]]:
    """Start, and make sure that it is gone afterwards."""
    options = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    process = subprocess.Popen([*WHILST, "map", *arguments], **options)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(BrokenPipeError):
                    stream.close()


def wait_for_lines(path: Path, count: int, process: subprocess.Popen[bytes]) -> list[str]:
    """Wait until a file has so many lines, or the process that should write them has ended."""
    give_up = time.monotonic() + 30
    lines: list[str] = []
    while time.monotonic() < give_up:
        ended = process.poll() is not None
        lines = path.read_text().splitlines() if path.exists() else []
        if len(lines) >= count:
            return lines
        if ended:
            said = process.stderr.read().decode() if process.stderr is not None else ""
            raise AssertionError(f"exit code {process.returncode} after {path.name} had {lines}: {said}")
        time.sleep(0.01)
    raise AssertionError(f"{path.name} has {lines} after 30 s, {count} lines were awaited")


def test_a_function_without_arguments_is_called_once_for_each_row(here: Path) -> None:
    (here / "names.py").write_text(
        "def fixed():\n    return 'x'\nasync def later(length=2):\n    return 'y' * length\n"
    )
    code, lines, err = call("names.py:fixed", "--call", "none", stdin="a\nb\n")
    assert (code, lines) == (0, [{"input": "a", "value": "x"}, {"input": "b", "value": "x"}]), err
    code, lines, err = call("names.py:later", "--call", "none", "--values", stdin="a\nb\nc\n")
    assert (code, lines) == (0, ["yy"] * 3), err
    code, out, _ = run("map", "names.py:fixed", "--call", "none", "--dry-run", "1", stdin=b"a\n")
    assert (code, out) == (0, b"fixed()  # line 1\n")


def test_a_function_that_is_spread_gets_a_row_as_it_is(here: Path) -> None:
    (here / "rows.py").write_text("import whilst\n@whilst.spread\ndef both(id, n=1):\n    return id + n\n")
    code, lines, err = call("rows.py:both", "--format", "jsonl", "--values", stdin='{"id": 1, "n": 2}\n[3, 4]\n')
    assert (code, lines) == (0, [3, 7]), err


def test_all_ok_is_0_and_every_outcome_is_a_line_in_order(here: Path) -> None:
    code, lines, err = call("jobs.py:aupper", stdin="a\nb\n\nc")
    assert code == 0
    assert lines == [{"input": x, "value": x.upper()} for x in "abc"]
    assert err.startswith("done: 3 ok in ")
    assert err.count("\n") == 1


def test_a_failure_is_1_and_a_line_that_can_be_run_again(here: Path) -> None:
    code, lines, err = call("jobs:upper", "--failed", "failed.jsonl", stdin="a\nbad\nc\n")
    assert (code, lines) == (1, [{"input": "a", "value": "A"}, {"input": "c", "value": "C"}])
    failed = (here / "failed.jsonl").read_text()
    assert json.loads(failed) == {"input": "bad", "error": "ValueError: bad host", "attempts": 1}
    assert "2 ok, 1 failed (1 ValueError) in " in err
    assert "first: ValueError: bad host (jobs.py line 5; row 2 of standard input)" in err
    (here / "jobs.py").write_text(JOBS.replace('"bad"', '"mended"'))
    code, lines, _ = call("jobs:upper", "failed.jsonl")
    assert (code, lines) == (0, [{"input": "bad", "value": "BAD"}])


def test_rejected_rows_keep_their_place_and_are_1(here: Path) -> None:
    rows = b'{"id": 1, "n": 2}\n{"id": 1\n\xff\n{"id": 1}\n[1, 2]\n{"id": 3, "n": 4}\n'
    code, lines, err = call("jobs:both", "--format", "jsonl", stdin=rows)
    assert code == 1
    assert [line.get("value") or (line["line"], line["error"]) for line in lines] == [
        3,
        (2, "not JSON: input data was truncated"),
        (3, "not UTF-8: byte 0xff at position 0"),
        (4, "both() needs 'n', which the row does not have"),
        (5, "both() needs names, the row is [1, 2]"),
        7,
    ]
    assert "2 ok, 4 rows rejected in " in err
    (here / "again.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines if "error" in line))
    code, again, _ = call("jobs:same", "again.jsonl")
    assert code == 1  # what was rejected is not an input of the next run either
    assert [line["error"].partition(":")[0] for line in again] == ["rejected before"] * 4


def test_a_value_that_cannot_be_json_fails_its_own_input(here: Path) -> None:
    code, lines, _ = call("jobs:odd", stdin="decimal\nobject\nbytes\n")
    assert code == 1
    assert lines == [
        {"input": "decimal", "value": "1.5"},
        {"input": "object", "error": "TypeError: an object cannot be written as JSON", "attempts": 1},
        {"input": "bytes", "value": "YWI="},
    ]


def test_csv_goes_by_name_and_keeps_its_columns(here: Path) -> None:
    (here / "in.csv").write_text('id,n\na,b\n"x\ny",z\n')
    code, lines, _ = call("jobs:both", "in.csv", "-o", "out.csv")
    assert (code, lines) == (0, [])
    with open(here / "out.csv", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {"id": "a", "n": "b", "value": "ab", "error": "", "attempts": ""},
            {"id": "x\ny", "n": "z", "value": "x\nyz", "error": "", "attempts": ""},
        ]


def test_values_alone_leave_stdout_clean(here: Path) -> None:
    code, lines, err = call("jobs:upper", "--values", "--quiet", stdin="a\nbad\nc\n")
    assert (code, lines) == (1, ["A", "C"])
    first, *message = err.splitlines()
    assert json.loads(first) == {"input": "bad", "error": "ValueError: bad host", "attempts": 1}
    assert message[0].startswith("done: 2 ok, 1 failed")


def test_quiet_says_nothing_when_all_is_well(here: Path) -> None:
    assert call("jobs:upper", "-q", stdin="a\n") == (0, [{"input": "a", "value": "A"}], "")


def test_take_reads_no_further(here: Path) -> None:
    with started("jobs:upper", "--take", "2", stdin=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a\nb\n")
        process.stdin.flush()  # and it stays open
        assert [json.loads(line)["value"] for line in process.stdout] == ["A", "B"]
        assert process.wait(20) == 0


def test_a_result_is_seen_while_the_next_input_is_not_there_yet(here: Path) -> None:
    with started("jobs:upper", "-j", "1") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        for letter in ("a", "b"):
            process.stdin.write(f"{letter}\n".encode())
            process.stdin.flush()
            assert json.loads(process.stdout.readline())["value"] == letter.upper()
        process.stdin.close()
        assert process.wait(20) == 0
        process.stdin = None


def test_unordered_gives_what_is_done(here: Path) -> None:
    with started("jobs:stuck", "--unordered") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"2\n1\n")
        process.stdin.flush()
        assert json.loads(process.stdout.readline())["value"] == "1"


def test_stopped_by_the_policy_is_3(here: Path) -> None:
    code, lines, err = call("jobs:upper", "-j", "1", "--stop-after", "2", stdin="a\nbad\nbad\nb\nb\nb\n")
    assert code == 3
    assert [line.get("value") for line in lines[:3]] == ["A", None, None]
    assert err.startswith("stopped: 2 of the first 3 calls of upper failed (2 ValueError)\n  1 ok, 2 failed")


def test_the_deadline_is_3(here: Path) -> None:
    code, _, err = call("jobs:agate", "--deadline", "0.3", stdin="a\n")
    assert code == 3
    assert err.startswith("stopped: agate: the deadline of 0.3 s passed\n")


def test_a_timeout_fails_its_input_and_names_what_is_left_behind(here: Path) -> None:
    code, lines, err = call("jobs:stuck", "--timeout", "0.3", stdin="2\n1\n")
    assert code == 1
    assert lines[0]["error"].startswith("TimeoutError: ")
    assert lines[1] == {"input": "1", "value": "1"}
    assert "left behind, still inside: 1 x stuck() (jobs.py line " in err


def test_a_function_that_exits_is_the_failure_of_its_row(here: Path) -> None:
    code, lines, err = call("jobs:quits", stdin="a\n")
    assert (code, lines) == (1, [{"input": "a", "error": "SystemExit: 9", "attempts": 1}])
    assert "done: 0 ok, 1 failed (1 SystemExit)" in err


def test_a_file_appears_whole_and_is_not_replaced_unasked(here: Path) -> None:
    (here / "in.txt").write_text("a\n")
    assert call("jobs:upper", "in.txt", "-o", "out.jsonl")[0] == 0
    assert call("jobs:upper", "in.txt", "-o", "out.jsonl")[0] == 2
    (here / "in.txt").write_text("b\n")
    assert call("jobs:upper", "in.txt", "-o", "out.jsonl", "--overwrite")[0] == 0
    assert (here / "out.jsonl").read_text() == '{"input":"b","value":"B"}\n'
    assert sorted(path.suffix for path in here.iterdir() if path.is_file()) == [".jsonl", ".py", ".txt"]


def test_a_full_disk_is_4(here: Path) -> None:
    code, _, err = call("jobs:same", "-o", "/dev/full", stdin="a\n" * 100_000)
    assert code == 4
    assert err.startswith("error: /dev/full cannot be written: No space left on device\n  ")
    code, _, err = call("jobs:same", "-o", "/dev/full", stdin="a\n")
    assert (code, err.partition("\n")[0]) == (4, "error: /dev/full cannot be written: No space left on device")


def test_what_is_said_of_a_full_disk_is_of_what_was_written(here: Path) -> None:
    (here / "in.txt").write_text("".join("bad\n" if number % 16 == 0 else f"{number}\n" for number in range(4000)))
    assert call("jobs:upper", "in.txt", "--journal", "run.db", "-o", "out.jsonl")[0] == 1
    more = ("--keep-failed", "--summary", "s.json")
    code, _, err = call("jobs:upper", "in.txt", "--journal", "run.db", "-o", "/dev/full", *more)
    found = json.loads((here / "s.json").read_bytes())
    assert (code, found["exit_code"]) == (4, 4)
    assert found["ok"] + found["failed"] < 4000
    said = re.search(r"\n  [\d,]+ ok(?:, ([\d,]+) failed(?: \(([\d,]+) ValueError\))?)?(?:, | in )", err)
    assert said, err
    assert said[2] in (None, said[1])
    assert found["recalled"] in (0, found["ok"] + found["failed"])
    assert sum(found["failures"].values()) in (0, found["failed"])


def test_a_reader_that_leaves_is_no_error(here: Path) -> None:
    (here / "in.txt").write_text("a\n" * 200_000)
    with started("jobs:same", "in.txt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()
        process.stdout.close()
        process.stdout = None
        assert process.wait(20) == 141
        assert process.stderr.read() == b""


# -- signals --------------------------------------------------------------------------------------------------


def test_the_first_ctrl_c_finishes_what_is_in_flight(here: Path) -> None:
    (here / "in.txt").write_text("".join(f"{n}\n" for n in range(1, 101)))
    for target in ("jobs:gate", "jobs:agate"):
        for name in ("entered", "open"):
            (here / name).unlink(missing_ok=True)
        with started(target, "in.txt", "-j", "3", "-o", "out.jsonl", "--overwrite") as process:
            assert process.stderr is not None
            wait_for_lines(here / "entered", 3, process)
            process.send_signal(signal.SIGINT)
            said = process.stderr.readline().decode() + process.stderr.readline().decode()
            assert said == (
                "interrupted: nothing new is started, waiting for 3 in flight\n  a second Ctrl-C ends within 2 s\n"
            )
            (here / "open").touch()
            assert process.wait(20) == 130
            assert process.stderr.read().decode().startswith("interrupted: 3 ok in ")
        assert len(wait_for_lines(here / "entered", 3, process)) == 3
        assert [json.loads(line)["value"] for line in (here / "out.jsonl").read_text().splitlines()] == ["1", "2", "3"]


def test_the_second_ctrl_c_ends_soon_and_keeps_what_is_done(here: Path) -> None:
    (here / "in.txt").write_text("".join(f"{n}\n" for n in range(1, 101)))
    with started("jobs:stuck", "in.txt", "-j", "3", "-o", "out.jsonl") as process:
        assert process.stderr is not None
        wait_for_lines(here / "entered", 4, process)
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        start = time.monotonic()
        assert process.wait(20) == 130
        assert time.monotonic() - start < 9  # SIGTERM gives ten seconds, and the calls take ten minutes
        said = process.stderr.read().decode()
        assert said.startswith("interrupted: 1 ok in ")
        assert "3 were in flight and may run again" in said
    assert json.loads((here / "out.jsonl").read_text())["value"] == "1"


def test_ctrl_c_while_standard_input_is_silent_ends_at_once(here: Path) -> None:
    with started("jobs:upper") as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"a\n")
        process.stdin.flush()
        process.stdout.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130


def test_ctrl_c_before_the_first_row_calls_nothing(here: Path) -> None:
    (here / "jobs.py").write_text(JOBS + "\nwith open('imported', 'w') as file:\n    print(1, file=file)\n")
    with started("jobs:upper", "-o", "out.jsonl") as process:
        assert process.stderr is not None
        wait_for_lines(here / "imported", 1, process)
        wait_for_part(here)
        process.send_signal(signal.SIGINT)
        assert process.wait(5) == 130
        assert process.stderr.read() == b"interrupted: nothing was called\n"
    assert not list(here.glob("out.jsonl*"))


def wait_for_part(folder: Path) -> None:
    while not list(folder.glob("*.part")):
        time.sleep(0.01)


def test_sigterm_waits_for_what_ends_in_time(here: Path) -> None:
    with started("jobs:gate", "-o", "out.jsonl") as process:
        assert process.stdin is not None
        assert process.stderr is not None
        process.stdin.write(b"a\n")
        process.stdin.flush()
        wait_for_lines(here / "entered", 1, process)
        process.send_signal(signal.SIGTERM)
        assert process.stderr.readline().startswith(b"SIGTERM: nothing new is started, waiting for 1 in flight")
        (here / "open").touch()
        assert process.wait(20) == 143
    assert json.loads((here / "out.jsonl").read_text())["value"] == "a"


@pytest.mark.slow
def test_sigterm_ends_after_ten_seconds_and_two(here: Path) -> None:
    with started("jobs:stuck", "-o", "out.jsonl", "--unordered") as process:
        assert process.stdin is not None
        process.stdin.write(b"2\n1\n")
        process.stdin.flush()
        wait_for_lines(here / "entered", 2, process)
        process.send_signal(signal.SIGTERM)
        start = time.monotonic()
        assert process.wait(40) == 143
        assert 9.5 < time.monotonic() - start < 30  # the call takes ten minutes
    assert json.loads((here / "out.jsonl").read_text())["value"] == "1"


def test_a_second_ctrl_c_ends_even_when_nobody_reads_the_output(here: Path) -> None:
    (here / "in.txt").write_text("a\n" * 200_000)
    with started("jobs:same", "in.txt") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.readline()  # from now on the pipe fills up
        wait_until_blocked(process.pid)
        process.send_signal(signal.SIGINT)
        process.stderr.readline()
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


def wait_until_blocked(pid: int) -> None:
    """Wait until the main thread waits inside a write to a pipe."""
    give_up = time.monotonic() + 20
    while time.monotonic() < give_up:
        state = Path(f"/proc/{pid}/wchan").read_text()
        if "pipe" in state:
            return
        time.sleep(0.01)
    pytest.skip("this kernel does not tell where a process waits")


# -- the terminal ---------------------------------------------------------------------------------------------


def test_on_a_terminal_of_80_columns_no_line_is_longer(here: Path) -> None:
    (here / "in.txt").write_text("a\nbad\n" + "x" * 300 + "\n")
    main, side = pty.openpty()
    os.set_blocking(main, True)
    import fcntl
    import struct
    import termios

    fcntl.ioctl(side, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    got: list[bytes] = []

    def read() -> None:
        with contextlib.suppress(OSError):
            while data := os.read(main, 4096):
                got.append(data)

    reader = threading.Thread(target=read)
    reader.start()
    environment = {**os.environ, "NO_COLOR": "1", "TERM": "xterm"}
    with started("jobs:gate", "in.txt", "-o", "out.jsonl", stderr=side, env=environment) as process:
        wait_for_lines(here / "entered", 3, process)
        give_up = time.monotonic() + 20
        while b"in flight" not in b"".join(got) and time.monotonic() < give_up:
            time.sleep(0.01)
        (here / "open").touch()
        assert process.wait(20) == 0
    os.close(side)
    reader.join()
    os.close(main)
    text = b"".join(got).decode().replace("\x1b[K", "")
    assert "gate: 0 of 3 (0%), 3 in flight" in text
    assert "done: 3 ok" in text
    assert "\x1b" not in text
    assert max(len(line) for line in text.replace("\r", "\n").split("\n")) <= 80


# -- size -----------------------------------------------------------------------------------------------------

PEAK = """\
import re, resource, sys
from whilst.cli.main import run
code = run(sys.argv[1:])
try:  # ru_maxrss begins with the parent's peak on Linux
    peak = re.search(r"VmHWM:\\s+(\\d+)", open("/proc/self/status").read())[1]
except OSError:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(peak, file=sys.stderr)
sys.exit(code)
"""


def peak(*arguments: str) -> int:
    """Run to the end and return the most memory used, in MiB."""
    done = subprocess.run(
        [sys.executable, "-c", PEAK, "map", *arguments], capture_output=True, check=True, text=True, timeout=110
    )
    return int(done.stderr.split()[-1]) // 1024


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_large_input_needs_no_more_memory_than_a_small_one(here: Path) -> None:
    filler = "x" * 1000
    for name, count in (("small.jsonl", 5_000), ("large.jsonl", 200_000)):
        with open(here / name, "w") as file:
            for number in range(count):
                file.write(f'{{"id": {number}, "text": "{filler}"}}\n')
    small = peak("jobs:same", "small.jsonl", "-o", "small.out.jsonl")
    large = peak("jobs:same", "large.jsonl", "-o", "large.out.jsonl")
    assert (here / "large.out.jsonl").stat().st_size > 200_000_000
    assert large < small + 20


@pytest.mark.slow
def test_a_row_of_300_mb_is_skipped_unread(here: Path) -> None:
    with open(here / "in.jsonl", "wb") as file:
        file.write(b'1\n"')
        for _ in range(300):
            file.write(b"x" * 1_000_000)
        file.write(b'"\n2\n')
    script = PEAK.replace("sys.exit(code)", "sys.exit(code != 1)")
    done = subprocess.run(
        [sys.executable, "-c", script, "map", "jobs:same", "in.jsonl"], capture_output=True, check=True, timeout=50
    )
    first, second, third = [json.loads(line) for line in done.stdout.splitlines()]
    assert (first["value"], third["value"]) == (1, 2)
    assert second["error"] == "the row has 300,000,002 bytes, the limit is 16,777,216; it was not read"
    assert int(done.stderr.split()[-1]) // 1024 < 150
