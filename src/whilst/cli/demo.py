"""`whilst demo`: twenty Pokémon one by one, then together, with a blocking client and with an async one."""

from __future__ import annotations

import importlib.util
import os
import random
import shlex
import shutil
import sys
import tempfile
from typing import TYPE_CHECKING

import click

from ..core.described import described
from . import collector
from .messages import FAILED, Problem, short
from .report import opener

if TYPE_CHECKING:
    from whilst.demo.story import Chapter

WIDTH = 75  # columns of a timeline; with the margin it fits a terminal of 80
TURNS = 7  # how often the calls together are repeated, in each way; the best counts
EXTRA = ("requests", "aiohttp", "starlette", "uvicorn")
PLAIN = {  # for an output that cannot show the others: a call alone is at its height, more of them are one mark
    **dict.fromkeys(range(0x2800, 0x2900), ":"),
    **str.maketrans({"⠉": "'", "⠒": "-", "⠤": ".", "⣀": "_", "…": ".", "é": "e"}),
}


@click.command()
@click.option("--names", "count", type=click.IntRange(1, 100), default=20, show_default=True, help="Number of calls.")
@click.option("--seed", type=int, help="Choose the names: the same seed gives the same names.")
@click.option("--latency", type=click.FloatRange(0.01, 10), help="Seconds that an answer takes.  [default: 0.1]")
@click.option("--base-url", metavar="URL", help="Call another API, such as https://pokeapi.co/api/v2.")
def command(count: int, seed: int | None, latency: float | None, base_url: str | None) -> None:
    """Make the same calls one by one, then together, and show the times and timelines of both.

    The calls go to a PokéAPI on this machine, which is started before and stopped afterwards.
    """
    if base_url is not None and latency is not None:
        raise Problem("--latency is for the API that is started here, and --base-url names another one")
    _check_installed()
    if seed is None:
        seed = random.randrange(1000)
    collector.take_up()
    show = _Output()
    where = base_url or f"an API that answers after {latency or 0.1:g} s"
    show.line(f"{count} names of Pokémon, one request each, from {where}", "bold")
    with tempfile.TemporaryDirectory(prefix="whilst-demo-") as folder:
        trace = os.path.join(folder, "demo.trace")
        if base_url is None:
            _tell(show, count, seed, latency or 0.1, trace)
        else:
            _tell_of(show, base_url, count, seed, trace)
        page = _report(trace)
    show.line()
    show.line("Next:", "bold")
    if (environment := _not_on_path()) is not None:
        show.line(f"   . {shlex.quote(os.path.join(environment, 'activate'))}", "cyan")
        show.line("      so that your shell finds `whilst`")
    show.line(f"   whilst demo --names {count} --seed {seed}", "cyan")
    show.line("      once more, with the same names")
    show.line("   whilst map jobs.py:check hosts.txt -o out.jsonl", "cyan")
    show.line("      your function `check` of jobs.py, blocking or async, on each line")
    show.line("   whilst map --help; docs/tutorials/my-loop-is-slow.md", "cyan")
    show.line("The picture of such a run (trace=, --trace; whilst report):", "bold")
    show.line(f"   {opener()} {shlex.quote(page)}", "cyan")


def _check_installed() -> None:
    for name in EXTRA:
        if importlib.util.find_spec(name) is None:
            raise Problem(f"the demo needs {name}, which is not installed", remedy="pip install 'whilst[demo]'")


def _not_on_path() -> str | None:
    """Return the folder of this command in an environment that the shell does not use: as after `make demo`."""
    folder = os.path.relpath(os.path.dirname(sys.executable))
    found = shutil.which("whilst")
    is_ours = found is not None and os.path.samefile(os.path.dirname(found), folder)
    return None if is_ours or not os.path.exists(os.path.join(folder, "activate")) else folder


def _report(trace: str) -> str:
    """Make a page of what was recorded, and return where it is."""
    from whilst.reporting import recorded_of, write_report

    descriptor, path = tempfile.mkstemp(prefix="whilst-demo-", suffix=".html")
    os.close(descriptor)
    write_report(recorded_of(trace), path)
    return path


def _tell(show: _Output, count: int, seed: int, latency: float, trace: str) -> None:
    from whilst.demo.story import api_beside

    with api_beside(latency) as url:
        _tell_chapters(show, url, count, seed, TURNS, trace)


def _tell_of(show: _Output, url: str, count: int, seed: int, trace: str) -> None:
    """Call an API that others use too: once each way, and what it answers may be anything."""
    try:
        _tell_chapters(show, url.rstrip("/"), count, seed, 1, trace)
    except Exception as error:
        show.line()
        fact, evidence = f"{url} does not answer as PokéAPI does", short(described(error), 200)
        raise Problem(fact, evidence, remedy="whilst demo", code=FAILED) from error


def _tell_chapters(show: _Output, url: str, count: int, seed: int, turns: int, trace: str) -> None:
    from whilst.demo.pokedex import sample
    from whilst.demo.story import chapters

    names = sample(count, seed)
    show.paragraph(f"names = {', '.join(names)}")
    for number, chapter in enumerate(chapters(url, names, trace), 1):
        _tell_chapter(show, number, chapter, count, turns)


def _tell_chapter(show: _Output, number: int, chapter: Chapter, count: int, turns: int) -> None:
    from whilst.demo.story import axis, timeline

    show.line()
    show.line(f"{number}. {chapter.title}", "bold")
    for line in chapter.function.splitlines():
        show.line(f"   {line}", "cyan")
    show.line()
    show.begin("one by one", chapter.one_by_one)
    alone = chapter.play_alone()
    show.end(alone.seconds)
    for line in timeline(alone.spans, alone.seconds, WIDTH):
        show.line(f"   {line}", "yellow")

    show.begin("together", chapter.together)
    together = chapter.play_together(turns)
    show.end(together.seconds)
    for line in timeline(together.spans, alone.seconds, WIDTH):
        show.line(f"   {line}", "green")
    show.line(f"   {axis(alone.seconds, WIDTH)}", "dim")

    show.line()
    ratio, by_hand = alone.seconds / together.seconds, alone.seconds / together.by_hand
    show.line(f"   {ratio:.1f} times as fast ({count} would be perfect): same function, names and order.")
    show.line(f"   {chapter.by_hand}, by hand: {together.by_hand:.3f} s, {by_hand:.1f} times as fast;", "dim")
    show.line(f"   whilst.map: {together.seconds:.3f} s, {together.share:.0%} of that{_best_of(turns)}.", "dim")


def _best_of(turns: int) -> str:
    return f" (best of {turns} each, taking turns)" if turns > 1 else ""


class _Output:
    """Lines on stdout: colours where a terminal wants them, plain characters where the encoding has no others."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, markup=False, emoji=False, soft_wrap=True)
        try:
            "⣿…é".encode(sys.stdout.encoding or "ascii")
            self._plain = False
        except (UnicodeEncodeError, LookupError):
            self._plain = True

    def line(self, text: str = "", style: str = "", end: str = "\n") -> None:
        """Write a line now."""
        self._console.print(text.translate(PLAIN) if self._plain else text, style=style, end=end)
        sys.stdout.flush()

    def paragraph(self, text: str) -> None:
        """Write a long line in lines of a terminal's width."""
        import textwrap

        for line in textwrap.wrap(text, 78, subsequent_indent="   ", break_on_hyphens=False):
            self.line(line)

    def begin(self, label: str, code: str) -> None:
        """Write what is being timed; its time comes when it is known."""
        self.line(f"   {label:<12} ", "bold", end="")
        self.line(f"{code:<{WIDTH - 21}}", "cyan", end="")

    def end(self, seconds: float) -> None:
        """Write the time behind it."""
        self.line(f"{seconds:6.2f} s", "bold")
