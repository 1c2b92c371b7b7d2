"""`whilst demo` in a process of its own: what it prints, and how near it comes to threads written by hand."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("requests")
pytest.importorskip("aiohttp")
pytest.importorskip("starlette")

from whilst.cli.report import opener
from whilst.demo import story
from whilst.demo.pokedex import sample

DEMO = [sys.executable, "-W", "error", "-c", "from whilst.cli.main import main; main()", "demo"]


def demo(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "PYTHONIOENCODING": "utf-8", **environment}
    return subprocess.run([*DEMO, *arguments], capture_output=True, text=True, encoding="utf-8", env=env, timeout=50)


@pytest.fixture(scope="module")
def shown() -> str:
    done = demo("--seed", "7", "--latency", "0.05")
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


@pytest.fixture(scope="module")
def api():
    with story.api_beside(0.1) as url:
        yield url


def test_it_shows_the_function_that_did_not_change(shown: str) -> None:
    assert "def fetch(name: str) -> str:\n       answer = requests.get(" in shown
    assert "async def fetch(name: str) -> str:" in shown
    assert "[fetch(name) for name in names]" in shown
    assert "whilst.map(fetch, names).list()" in shown
    assert "await whilst.map(fetch, names)" in shown


def test_it_shows_both_times_and_the_ratio_for_both_clients(shown: str) -> None:
    alone = [float(found) for found in re.findall(r"one by one .* (\d\.\d\d) s", shown)]
    together = [float(found) for found in re.findall(r"together .* (\d\.\d\d) s", shown)]
    ratios = [float(found) for found in re.findall(r"([\d.]+) times as fast \(20 would be perfect\)", shown)]
    assert len(alone) == len(together) == len(ratios) == 2
    assert min(alone) >= 1.0
    assert all(ratio == pytest.approx(a / t, rel=0.1) for ratio, a, t in zip(ratios, alone, together, strict=True))
    assert min(ratios) > 2  # 12 where nothing else runs
    assert re.search(
        r"20 bare threads, by hand: [\d.]+ s, [\d.]+ times as fast;\n   whilst.map: [\d.]+ s, \d+% of", shown
    )
    assert "asyncio.gather, by hand:" in shown


def test_it_draws_a_staircase_above_a_wall_in_80_columns(shown: str) -> None:
    lines = shown.splitlines()
    assert max(map(len, lines)) <= 80
    drawn = [line for line in lines if re.fullmatch(r"[ \u2801-\u28ff]+", line) and line.strip()]
    assert len(drawn) == 4 * 5
    staircase, wall = drawn[:5], drawn[5:10]
    starts = [len(line) - len(line.lstrip()) for line in staircase]
    assert starts == sorted(set(starts))
    assert max(map(len, wall)) < 40


def test_each_part_fits_a_screen_of_24_lines_and_the_last_says_what_to_try_next(shown: str) -> None:
    parts = re.split(r"\n(?=\d\. |Next:)", shown)
    assert len(parts) == 4
    assert max(len(part.splitlines()) for part in parts) <= 23  # one for the prompt
    assert re.findall(r"^   (whilst \w+)", parts[-1], re.MULTILINE) == ["whilst demo", "whilst map", "whilst map"]
    assert "   whilst demo --names 20 --seed 7\n" in parts[-1]


def test_it_says_how_the_shell_finds_the_command_unless_it_does() -> None:
    folder = Path(sys.executable).parent
    if not (folder / "activate").exists():
        pytest.skip("this Python is in no environment")
    how = f"\n   . {os.path.join(os.path.relpath(folder), 'activate')}\n"
    assert how in demo("--names", "2", "--latency", "0.02", PATH=os.defpath).stdout
    assert how not in demo("--names", "2", "--latency", "0.02", PATH=f"{folder}{os.pathsep}{os.defpath}").stdout


def test_it_ends_with_the_line_that_opens_the_picture_of_its_calls(shown: str) -> None:
    command, path = shown.splitlines()[-1].split()
    assert command == opener()
    page = Path(path).read_text("utf-8")
    Path(path).unlink()
    assert "<b>20</b> ok" in page
    assert "One by one, and together" in page


def test_no_colour_off_a_terminal_and_with_no_color(shown: str) -> None:
    assert "\x1b" not in shown


def test_an_output_that_knows_ascii_alone_gets_ascii() -> None:
    done = demo("--names", "3", "--latency", "0.02", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert done.stdout.isascii()
    assert ":::" in done.stdout


def test_another_address_is_called_once_each_way_and_nothing_is_started(api: str) -> None:
    done = demo("--names", "2", "--base-url", api + "/")
    assert done.returncode == 0, done.stderr
    assert f"from {api}/" in done.stdout
    assert "best of" not in done.stdout


def test_an_address_that_does_not_answer_is_said_in_three_lines() -> None:
    done = demo("--base-url", "http://127.0.0.1:9/api")
    assert done.returncode == 1
    fact, evidence, remedy = done.stderr.splitlines()
    assert fact == "error: http://127.0.0.1:9/api does not answer as PokéAPI does"
    assert "ConnectionError" in evidence
    assert remedy == "  try: whilst demo"


def test_latency_and_address_exclude_each_other() -> None:
    done = demo("--base-url", "http://127.0.0.1:9/api", "--latency", "1")
    assert done.returncode == 2
    assert "--latency is for the API that is started here" in done.stderr


def test_a_missing_package_is_named_with_the_line_that_installs_it() -> None:
    hide = "import sys; sys.modules['aiohttp'] = None; from whilst.cli.main import run; sys.exit(run(['demo']))"
    done = subprocess.run([sys.executable, "-c", hide], capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert done.stderr.splitlines() == [
        "error: the demo needs aiohttp, which is not installed",
        "  try: pip install 'whilst[demo]'",
    ]


def test_the_api_process_ends_with_the_demo() -> None:
    with story.api_beside(0.01) as url:
        fetch = story.blocking_fetch(url)
        assert fetch("pikachu") == "pikachu"
    with pytest.raises(OSError, match="refused"):
        fetch("pikachu")


@pytest.mark.slow
@pytest.mark.clocked
@pytest.mark.parametrize("chapter", [0, 1])
def test_map_reaches_most_of_what_is_written_by_hand(api: str, chapter: int) -> None:
    """The demo shows 95 % and more, and the bench how far calls are from what is written by hand: here it is half."""
    told = story.chapters(api, sample(20, seed=3))[chapter]
    alone = told.play_alone()
    shares: list[float] = []
    for _ in range(5):  # the machine may be busy with something else: one quiet measurement of five is enough
        together = told.play_together(7)
        shares.append(together.share)
        if together.share >= 0.5 and alone.seconds / together.seconds > 5:
            return
    pytest.fail(f"reached only {', '.join(f'{share:.0%}' for share in shares)}")


def test_names_in_another_order_are_an_error() -> None:
    with pytest.raises(ValueError, match="asked for a, b; got b, a"):
        story._checked(["a", "b"], ["b", "a"], 0.0)


def test_a_long_list_is_drawn_in_part() -> None:
    spans = [(float(at), 1.0) for at in range(100)]
    assert len(story.timeline(spans, until=100, width=50)) == story.MOST_DRAWN // 4
    assert len(story.timeline(spans[:5], until=5, width=6)) == 2
    assert all(len(line) <= 50 for line in story.timeline(spans, until=99, width=50))
