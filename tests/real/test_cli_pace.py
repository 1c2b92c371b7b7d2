"""The flags for pace and patience: what they do against an API with a rate and faults, and what they refuse."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from whilst.cli.main import run

pytest.importorskip("requests")
pokeapi = pytest.importorskip("whilst.demo.pokeapi")

JOBS = """\
import os, time, requests, whilst
CALLED = []
SESSION = requests.Session()
def weigh(name):
    answer = SESSION.get(f"{os.environ['POKEAPI']}/pokemon/{name}", timeout=30)
    answer.raise_for_status()
    return answer.json()["weight"]
async def same(x):
    CALLED.append(x)
    return x
def blocking(x):
    CALLED.append(x)
def enter(x):
    with open("entered", "a") as file:
        file.write(f"{x}\\n")
def busy(x):
    enter(x)
    raise whilst.Throttled("busy", retry_after=60.0)
def down(x):
    enter(x)
    raise ConnectionResetError("gone")
def counted(x):
    enter(x)
    return x
def asleep(x):
    enter(x)
    time.sleep(600)
"""

Call = Callable[..., tuple[int, list[Any], str]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("WHILST_LOOP", "asyncio")
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "rows.txt").write_text("".join(f"{n}\n" for n in range(1, 101)))
    (tmp_path / "rows.jsonl").write_text('{"host": "a", "n": 1}\n{"host": "b", "n": 2}\n{"n": 3}\n')
    (tmp_path / "urls.txt").write_text("https://a.example/1\nhttps://b.example/2\n")
    return tmp_path


@pytest.fixture
def call(here: Path, capfd: pytest.CaptureFixture[str]) -> Call:
    """Run `whilst map` in this process."""

    def call(*arguments: str) -> tuple[int, list[Any], str]:
        code = run(["map", *arguments])
        out, err = capfd.readouterr()
        return code, [json.loads(line) for line in out.splitlines()], err

    return call


# -- what they do ---------------------------------------------------------------------------------------------


@pytest.fixture
def names(here: Path) -> Path:
    (here / "names.txt").write_text("".join(f"{name}\n" for name in pokeapi.names()[:40]))
    return here / "names.txt"


def against(api: Any, call: Call, monkeypatch: pytest.MonkeyPatch, *flags: str) -> tuple[int, list[Any], str]:
    monkeypatch.setenv("POKEAPI", api.url)
    return call("jobs.py:weigh", "names.txt", *flags)


def test_refusals_fail_without_retry_and_a_line_says_what_would_help(
    names: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pokeapi.serve(latency=0.01, rate=10) as api:
        code, lines, err = against(api, call, monkeypatch)
    refused = sum("error" in line for line in lines)
    assert code == 1
    assert len(lines) == 40
    assert f"{refused} failed ({refused} 429), {refused} call" in err
    assert '  a call that is told "slower" is made again with --retry 5\n' in err


def test_retries_get_every_answer(names: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with pokeapi.serve(latency=0.01, rate=20, faults={"500": 9}) as api:
        code, lines, err = against(api, call, monkeypatch, "--retry", "5")
    assert (code, len(lines)) == (0, 40)
    assert all("value" in line for line in lines)
    assert re.match(r"done: 40 ok, \d+ retries, \d+ calls? w\w+ told \"slower\" in ", err)


def test_a_rate_below_the_servers_is_never_refused(names: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with pokeapi.serve(latency=0.01, rate=50) as api:
        code, _, err = against(api, call, monkeypatch, "--rate", "50/s")
        assert api.answers == {"200": 40}
    assert code == 0
    assert err.startswith("done: 40 ok in ")


def test_adaptive_finds_its_way_beside_retries(names: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with pokeapi.serve(latency=0.01, rate=20) as api:
        code, lines, _ = against(api, call, monkeypatch, "-j", "adaptive", "--retry", "8")
    assert (code, len(lines)) == (0, 40)


def test_a_timeout_counts_for_one_attempt(names: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    with pokeapi.serve(latency=0.01, faults={"slow": 10}) as api:
        code, lines, err = against(api, call, monkeypatch, "--timeout", "0.5", "--retry", "4")
    assert (code, len(lines)) == (0, 40)
    assert re.search(r"\d+ retries in ", err)
    assert "left behind, still inside: " in err


def test_a_share_of_failures_stops_the_run(names: Path, call: Call, monkeypatch: pytest.MonkeyPatch) -> None:
    (names.parent / "names.txt").write_text("missingno\n" * 300)
    with pokeapi.serve(latency=0.0) as api:
        code, lines, err = against(api, call, monkeypatch, "--stop-after", "5%")
    assert code == 3
    assert 100 <= len(lines) < 300
    assert re.match(r"stopped: \d+ of the first \d+ calls of weigh failed \(\d+ 404\)\n", err)


def test_each_value_of_a_field_has_a_rate_of_its_own(here: Path, call: Call) -> None:
    rows = [{"host": host, "n": n} for n in range(3) for host in range(60)]
    (here / "many.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    started = time.monotonic()
    code, lines, _ = call("jobs.py:same", "many.jsonl", "--limit-by", "host", "--rate", "10/s")
    assert (code, [line["input"] for line in lines]) == (0, rows)
    assert time.monotonic() - started < 10.0  # three for each host at 10/s: 0.2 s; all by one rate would take 18


def test_a_row_without_the_field_fails_alone_and_uncalled(here: Path, call: Call) -> None:
    code, lines, _ = call("jobs.py:same", "rows.jsonl", "--limit-by", "host", "--rate", "100/s")
    assert code == 1
    assert lines[2] == {
        "input": {"n": 3},
        "error": "LookupError: the row has no 'host', which --limit-by names",
        "attempts": 0,
    }


def test_a_url_has_a_host(here: Path, call: Call) -> None:
    code, lines, _ = call("jobs.py:same", "urls.txt", "--limit-by", "host", "-j", "1")
    assert (code, len(lines)) == (0, 2)


# -- what they refuse -----------------------------------------------------------------------------------------

RATES = "--rate 100/s, 30/min, 5000/h or 1000/10s"


@pytest.mark.parametrize(
    ("flags", "fact", "remedy"),
    [
        ("--rate ten", "--rate must be a count per unit of time, got 'ten'", RATES),
        ("--rate 10", "--rate must be a count per unit of time, got '10'", "--rate 10/s"),
        ("--rate 10/fortnight", "--rate must be a count per unit of time, got '10/fortnight'", RATES),
        ("--rate 10/s,500/h", "--rate must be a count per unit of time, got '10/s,500/h'", "--rate 10/s --rate 500/h"),
        ("--rate 0/s", "--rate must be more than 0, got '0/s': no call could ever start", RATES),
        (
            "--rate 9/s --rate 5/s",
            "--rate has two values for one period: 9/s and 5/s",
            "only the smaller one",
        ),
        ("-j adaptve", "--concurrency must be a whole number or adaptive, got 'adaptve'", "-j adaptive"),
        ("-j 0", "--concurrency must be at least 1, got 0", "-j 1"),
        ("-j=5", "--concurrency must be a whole number or adaptive, got '=5'", "-j 5"),
        ("-j 1.5", "--concurrency must be a whole number or adaptive, got 1.5", "-j 32"),
        ("--retry three", "--retry must be a number of attempts, got 'three'", "--retry 3"),
        ("--retry 0", "--retry must be at least 1 attempt (the first call counts), got 0", "--retry 3"),
        ("--timeout 5s", "--timeout must be a number of seconds, got '5s'", "--timeout 5"),
        ("--timeout soon", "--timeout must be a number of seconds, got 'soon'", "--timeout 30"),
        (
            "--timeout 0",
            "--timeout must be more than 0 seconds and finite, got 0",
            "--timeout 30, or leave --timeout out",
        ),
        ("--deadline 1h", "--deadline must be a number of seconds, got '1h'", "--deadline 3600"),
        (
            "--deadline inf",
            "--deadline must be more than 0 seconds and finite, got inf",
            "--deadline 30, or leave --deadline out",
        ),
        (
            "--stop-after 0.05",
            "--stop-after must be at least 1, or a share up to 100%, got 0.05",
            "--stop-after 5%",
        ),
        (
            "--stop-after 101%",
            "--stop-after must be at least 1, or a share up to 100%, got '101%'",
            "--stop-after 5%",
        ),
        (
            "--limit-by host",
            "--limit-by needs a limit: -j or --rate",
            "--limit-by host --rate 10/s, or -j 2",
        ),
        ("--rates 10/s", "whilst map has no option --rates", "whilst map --rate"),
        ("--retries 3", "whilst map has no option --retries", "whilst map --retry N"),
        ("--timeot 3", "whilst map has no option --timeot", "whilst map --timeout"),
        ("--dedline 3", "whilst map has no option --dedline", "whilst map --deadline"),
        ("--stop 3", "whilst map has no option --stop", "whilst map --stop-after"),
        ("--limitby host", "whilst map has no option --limitby", "whilst map --limit-by"),
        ("--rate", "option '--rate' requires an argument", "--rate 100/s"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_with_one_that_can(
    here: Path, call: Call, flags: str, fact: str, remedy: str
) -> None:
    code, lines, err = call("jobs.py:same", "rows.txt", "-o", "out.jsonl", *flags.split())
    assert (code, lines, err) == (2, [], f"error: {fact}\n  try: {remedy}\n")
    assert not (here / "out.jsonl").exists()
    assert "jobs" not in sys.modules or sys.modules["jobs"].CALLED == []


def test_a_field_that_the_first_row_lacks_is_most_likely_a_typo(here: Path, call: Call) -> None:
    assert call("jobs.py:same", "rows.jsonl", "--limit-by", "hots", "--rate", "9/s") == (
        2,
        [],
        "error: row 1 of rows.jsonl has no field hots, which --limit-by names\n"
        "  it has host, n\n  try: --limit-by host\n",
    )
    assert call("jobs.py:same", "rows.txt", "--limit-by", "host", "--rate", "9/s") == (
        2,
        [],
        "error: row 1 of rows.txt has no field host, which --limit-by names\n"
        "  it is '1'\n  try: rows with fields (.jsonl, .csv), or host, of rows that are URLs\n",
    )


def test_threads_have_an_end(call: Call) -> None:
    code, _, err = call("jobs.py:blocking", "urls.txt", "-j", "5000")
    assert code == 2
    assert err == (
        "error: --concurrency 5000 would need as many threads, because blocking() is blocking\n"
        "  try: --concurrency 4000, the largest number, or an async function\n"
    )
    code, lines, _ = call("jobs.py:blocking", "urls.txt", "-j", "5000", "--limit-by", "host")
    assert (code, len(lines)) == (0, 2)  # so many a host at most; the threads of all hosts end at 4000 by themselves


def test_the_one_value_of_a_run_is_refused_in_the_same_words(
    here: Path, call: Call, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run(["run", "jobs.py:same", "--value", "1", "--rate", "10"]) == 2
    assert capfd.readouterr().err == ("error: --rate must be a count per unit of time, got '10'\n  try: --rate 10/s\n")


# -- Ctrl-C at bad moments ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("function", "flags", "enough"),
    [
        pytest.param("busy", ["--retry", "5", "-j", "4"], 1, id="while the other side has asked for a pause"),
        pytest.param("down", ["--retry", "5"], 20, id="while retries wait"),
        pytest.param("counted", ["--rate", "1/h"], 1, id="while a rate lets nothing through"),
        pytest.param("counted", ["--rate", "1/h", "-j", "adaptive", "--retry", "3"], 1, id="with all of it"),
        pytest.param("asleep", ["--timeout", "1", "-j", "2", "--retry", "9"], 2, id="while calls are left behind"),
    ],
)
def test_ctrl_c_ends_a_run_that_waits(here: Path, function: str, flags: list[str], enough: int) -> None:
    command = [sys.executable, "-m", "whilst.cli.main", "map", f"jobs.py:{function}", "rows.txt", *flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            wait_for_entries(here / "entered", enough, process)
            process.send_signal(signal.SIGINT)
            asked = time.monotonic()
            out, err = process.communicate(timeout=20)
        finally:
            process.kill()
    assert time.monotonic() - asked < 15  # what each of them waits for takes a minute and more
    assert process.returncode == 130, err
    assert err.startswith(b"interrupted: nothing new is started, ")
    assert b"Traceback" not in err
    assert all("input" in json.loads(line) for line in out.splitlines())


def wait_for_entries(path: Path, count: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 30
    while not path.exists() or len(path.read_text().splitlines()) < count:
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < give_up, path.read_text() if path.exists() else "nothing was called"
        time.sleep(0.01)
