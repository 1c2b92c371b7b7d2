"""Every example of the README, of each page under docs/ and of the docstrings runs, and prints what it says it prints.

In a page, blocks share one namespace, from top to bottom:

- `python` runs; one whose first line is `# NAME.py` is written to that file instead
- `text` right after it is what it printed
- `console` is run by a shell, a line after `$` at a time, and shows what each printed

Seconds and rates may differ, and so may what a summary says of where the time went. The public PokéAPI is replaced by
the embedded one. A page that needs a library of others says so in a comment, `<!-- needs: pandas -->`, and is left out
where that is missing.
"""

import contextlib
import doctest
import importlib
import io
import logging
import os
import pkgutil
import re
import shlex
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import click
import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

import whilst
from whilst.cli.given import at_colons
from whilst.cli.main import group

pytest.importorskip("requests")
pytest.importorskip("aiohttp")
pokeapi = pytest.importorskip("whilst.demo.pokeapi")

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
REQUIRED = os.environ.get("WHILST_SERVERS") == "required"
TOO_NEW = {"pyarallel"} if sys.version_info < (3, 12) else set()  # what this Python cannot have
ELSEWHERE = {"docs/reference/generated", "docs/_build"}  # folders and pages whose blocks other tests run
TRIES = 3  # pages have waits of tenths of a second, which a machine that is busy with something else may stretch
RUNS = re.compile(r"^```(python|console)$", re.MULTILINE)
NEEDS = re.compile(r"^<!-- needs: (.+) -->$", re.MULTILINE)


def pages() -> Iterator[str]:
    """Find the pages that have something to run: the README, and all under docs/."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]:
        name = path.relative_to(ROOT).as_posix()
        if not any(name.startswith(it) for it in ELSEWHERE) and RUNS.search(path.read_text("utf-8")):
            yield name


PUBLIC = "https://pokeapi.co/api/v2"
WHILST = """whilst() { "$PYTHON" -c "from whilst.cli.main import main; main()" "$@"; }
python() { "$PYTHON" "$@"; }"""


@pytest.mark.parametrize("page", list(pages()))
def test_the_examples_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for needed in needs(ROOT / page):
        pytest.importorskip(needed)
    monkeypatch.setattr(logging.getLogger("whilst"), "handlers", [])
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    for left in reversed(range(TRIES)):
        (folder := tmp_path / str(left)).mkdir()
        monkeypatch.chdir(folder)
        try:
            evaluate(page)
            break
        except Exception:
            if not left:
                raise


def evaluate(page: str) -> None:
    """Run the blocks of a page, in the folder where we are."""
    with pokeapi.serve() as api:
        namespace = {"__name__": "page", PUBLIC: api.url, "printed": ""}
        document = Sybil(parsers=[CodeBlockParser(*it) for it in EVALUATORS]).parse(ROOT / page)
        document.namespace.update(namespace)
        examples = list(document.examples())
        assert examples
        for example in examples:
            example.evaluate()


def needs(path: Path) -> list[str]:
    """Return the libraries that a page says it needs, in a comment: `<!-- needs: pandas polars -->`."""
    return [name for said in NEEDS.findall(path.read_text("utf-8")) for name in said.split()]


def test_every_library_that_a_page_needs_comes_with_the_extra_dev() -> None:
    wanted = {name for page in pages() for name in needs(ROOT / page)} - TOO_NEW
    assert {name for name in wanted if REQUIRED and find_spec(name) is None} == set()


def run_python(example: Example) -> str | None:
    source = textwrap.dedent(example.parsed).replace(PUBLIC, example.namespace[PUBLIC])
    if file := re.match(r"# (\w+\.py)\n", source):
        Path(file[1]).write_text(source, encoding="utf-8")
        return None
    code = compile("\n" * (example.line + example.parsed.line_offset) + source, example.path, "exec")
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(code, example.namespace)
    example.namespace["printed"] = printed.getvalue()
    return None


def compare(example: Example) -> str | None:
    return difference(example.parsed, example.namespace["printed"])


def run_console(example: Example) -> str | None:
    commands = re.findall(r"^\$ (.*)", example.parsed.replace(PUBLIC, example.namespace[PUBLIC]), re.MULTILINE)
    shell = "\n".join([WHILST, *(f"echo {quoted('$ ' + it)}\n{it}" for it in commands)])
    done = subprocess.run(
        ["bash", "-c", f"exec 2>&1\n{shell}"],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env={**os.environ, "PYTHON": sys.executable, "PYTHONIOENCODING": "utf-8"},
        timeout=30,
    )
    return difference(example.parsed, done.stdout.replace(example.namespace[PUBLIC], PUBLIC))


def quoted(text: str) -> str:
    return "'" + text.replace("'", "'\\''") + "'"


def difference(shown: str, printed: str) -> str | None:
    if steady(shown) == steady(printed):
        return None
    return f"the page shows\n{shown}\nbut this was printed\n{printed}"


ACCOUNT = re.compile(r"^  (?:(?:lanes|time|calls|ceiling|advice) {2}|retries waited).*\n(?: {10}.*\n)*", re.MULTILINE)


def steady(text: str) -> str:
    text = ACCOUNT.sub("", text.strip() + "\n")  # where the time went is another each time
    text = re.sub(r"\d+(\.\d+)? s\b", "# s", text)
    text = re.sub(r"[\d,.]+(/s| times)", r"#\1", text)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


EVALUATORS = [("python", run_python), ("text", compare), ("console", run_console)]


# Docstrings ----------------------------------------------------------------------------------------------


def docstrings() -> Iterator[doctest.DocTest]:
    finder = doctest.DocTestFinder(exclude_empty=True)
    for found in pkgutil.walk_packages(whilst.__path__, "whilst."):
        if found.name.endswith("__main__"):
            continue
        yield from (test for test in finder.find(importlib.import_module(found.name)) if test.examples)


@pytest.mark.parametrize("test", [pytest.param(test, id=test.name) for test in docstrings()])
def test_the_examples_of_a_docstring(test: doctest.DocTest) -> None:
    report = io.StringIO()
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    assert runner.run(test, out=report.write).failed == 0, report.getvalue()


def test_docstring_examples_were_found() -> None:
    assert len(list(docstrings())) >= 10


def commands() -> list[tuple[str, str]]:
    """Return each command in the running text and the tables of a page, with the page."""
    return [
        (str(path.relative_to(ROOT)), line)
        for path in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
        if not any(str(path.relative_to(ROOT)).startswith(it) for it in ELSEWHERE)
        for line in re.findall(r"`(whilst [a-z][^`\n]*)`", path.read_text())
    ]


@pytest.mark.parametrize(("page", "line"), commands())
def test_a_command_in_the_running_text_has_the_options_that_it_shows(page: str, line: str) -> None:
    name, *words = shlex.split(line.replace("…", "x"))[1:]
    command = group.get_command(click.Context(group), name)
    assert command is not None, page
    before, behind = at_colons(words)
    assert [it for it in behind if it.startswith("-")] == [], "what stands behind the colons is an input"
    if name == "doctor":
        return  # the rest belongs to the program
    known = {name for it in command.params for name in (*it.opts, *it.secondary_opts)} | {"-h", "--help"}
    flags = [it.partition("=")[0] for it in before if it.startswith("-") and it != "-"]
    assert [it for it in flags if it not in known and it[:2] not in known] == []


def test_commands_in_the_running_text_were_found() -> None:
    assert len(commands()) >= 50
