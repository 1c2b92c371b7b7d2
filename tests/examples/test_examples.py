"""Every example runs as its reader would run it, with warnings as errors, and prints what its docstring says."""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType

import pytest

pytest.importorskip("requests")
pytest.importorskip("aiohttp")
pytest.importorskip("starlette")

sys.path.append(str(Path(__file__).parents[1] / "real"))
import postgres

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name: str, environment: Mapping[str, str] = MappingProxyType({})) -> str:
    done = subprocess.run(
        [sys.executable, "-W", "error", EXAMPLES / f"{name}.py"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHONIOENCODING": "utf-8", "POKEAPI": "http://127.0.0.1:9/never", **environment},
        timeout=50,
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Warning" not in done.stderr
    return done.stdout


def much_faster(name: str, faster: Callable[[str], bool], **environment: str) -> str:
    """Return what an example printed once its times are as they should be; a busy machine has several chances."""
    for _ in range(5):
        text = run(name, environment)
        if faster(text):
            return text
    raise AssertionError(text)


def test_one_call_for_both_colours_of_function_and_of_caller() -> None:
    def together(text: str) -> bool:
        alone, *others = [float(line.split()[-2]) for line in text.splitlines()]
        return alone >= 0.6 and max(others) < alone

    lines = much_faster("01_same_call_blocking_and_async", together).splitlines()
    assert len(lines) == 6
    assert all("[2, 9, 4, 6, 3, 4]" in line for line in lines)


def test_twenty_together_are_the_same_in_the_same_order_and_much_faster() -> None:
    text = much_faster("02_twenty_one_by_one_and_together", lambda text: number("ratio", text) > 3)
    assert "in order    True" in text


def test_a_stream_is_fetched_ahead_in_the_same_order() -> None:
    # three pages come one after the other in both
    text = much_faster("03_async_generator_of_names", lambda text: number("ratio:", text) > 1.5)
    assert "charizard weighs 905" in text
    assert text.count("[69, 130, 1000, 85,") == 2
    assert "same: True" in text


def test_clients_are_interchangeable() -> None:
    totals = re.findall(r"(by hand|Blocking|Native): (\d+)", run("04_requests_or_aiohttp"))
    assert [name for name, _ in totals] == ["by hand", "by hand", "Blocking", "Native"]
    assert len({total for _, total in totals}) == 1


def test_the_command_line_maps_a_file_and_keeps_what_failed() -> None:
    text = run("05_command_line")
    assert "exit code 1" in text
    assert "999 lines in out.jsonl, in order: ['1', '2', '3', '4', '5']" in text
    assert 'the first: {"input":"1","value":69}' in text
    assert 'failed.jsonl: {"input":"missingno","error":"HTTPError: 404' in text


@pytest.mark.slow
def test_a_driver_and_files_are_made_concurrent_without_changing_them() -> None:
    def twice(text: str) -> bool:
        before, after, files_before, files_after = seconds(text)
        return before > 2 * after and files_before > 2 * files_after

    assert "same: True" in much_faster("10_database_and_files", twice)


@pytest.mark.slow
def test_a_driver_of_a_server_is_made_concurrent_too() -> None:
    pytest.importorskip("psycopg")
    with postgres.server() as port:
        url = f"postgresql://me@127.0.0.1:{port}/data"

        def twice(text: str) -> bool:
            return seconds(text)[0] > 2 * seconds(text)[1]

        text = much_faster("10_database_and_files", twice, DATABASE=url, PGPASSWORD=postgres.PASSWORD)
    assert "psycopg" in text


@pytest.mark.slow
def test_a_run_that_was_killed_halfway_goes_on_without_doubles() -> None:
    pytest.importorskip("sqlalchemy")
    text = run("11_enrich_csv")
    killed = int(re.search(r"at least (\d+) of 1000 were on the disk", text)[1])  # type: ignore[index]
    left = int(re.search(r"exit code 0; (\d+) calls were left", text)[1])  # type: ignore[index]
    assert 500 <= killed < 1000
    assert 0 < left <= 1000 - killed
    assert "1000 rows, 1000 ids; the first: ('1', " in text


@pytest.mark.slow
@pytest.mark.clocked
@pytest.mark.timeout(150)
def test_a_whole_api_is_fetched_at_the_rate_it_allows() -> None:
    pytest.importorskip("pyreqwest")
    text = much_faster("12_get_everything", lambda text: "refused: 0" not in text)
    assert [line for line in text.splitlines() if line.startswith("exit code")] == [
        f"exit code {it}" for it in (0, 1, 0)
    ]
    assert "StatusError: 429 Too Many Requests" in text
    assert "done: 1,375 ok" in text
    assert "1375 documents, 1375 different ones:" in text


def test_every_example_is_tested_here() -> None:
    tested = "".join(path.read_text(encoding="utf-8") for path in Path(__file__).parent.glob("test_*.py"))
    assert [path.stem for path in EXAMPLES.glob("*.py") if not re.search(rf'\(\s*"{path.stem}"', tested)] == []


def seconds(text: str) -> list[float]:
    return [float(line.split()[-2]) for line in text.splitlines() if line.endswith(" s")]


def number(label: str, text: str) -> float:
    found = re.search(rf"{label}\s+([\d.]+)", text)
    assert found, text
    return float(found[1])
