"""Every example of the README, the tutorial and the docstrings runs, and prints what the page says it prints.

In a page, blocks share one namespace, from top to bottom:

- `python` runs; one whose first line is `# NAME.py` is written to that file instead
- `text` right after it is what it printed
- `console` is run by a shell, a line after `$` at a time, and shows what each printed

Seconds and rates may differ. The public PokéAPI is replaced by the embedded one.
"""

import contextlib
import doctest
import importlib
import io
import os
import pkgutil
import re
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Example, Sybil
from sybil.parsers.markdown import CodeBlockParser

import whilst

pytest.importorskip("requests")
pytest.importorskip("aiohttp")
pokeapi = pytest.importorskip("whilst.demo.pokeapi")

ROOT = Path(__file__).parents[2]
PAGES = [
    "README.md",
    "docs/tutorial.md",
    "docs/flows.md",
    "docs/limits-and-retries.md",
    "docs/journal.md",
    "docs/http.md",
    "docs/inputs-and-outputs.md",
]
PUBLIC = "https://pokeapi.co/api/v2"
WHILST = 'whilst() { "$PYTHON" -c "from whilst.cli.main import main; main()" "$@"; }'


@pytest.mark.parametrize("page", PAGES)
def test_the_examples_of_a_page(page: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with pokeapi.serve() as api:
        namespace = {"__name__": "page", PUBLIC: api.url, "printed": ""}
        document = Sybil(parsers=[CodeBlockParser(*it) for it in EVALUATORS]).parse(ROOT / page)
        document.namespace.update(namespace)
        examples = list(document.examples())
        assert examples
        for example in examples:
            example.evaluate()


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


def steady(text: str) -> str:
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
