"""The reference has every public name, every part of it, and every flag of the command line; it is made of the code."""

from __future__ import annotations

import doctest
import inspect
import re
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import click
import pytest

import whilst

pytest.importorskip("starlette")
pytestmark = pytest.mark.once
EXTENSIONS = Path(__file__).parents[2] / "docs" / "_ext"
sys.path.append(str(EXTENSIONS))
reference: Any = import_module("reference")

PAGES = reference.pages()
PYTHON = "\n".join(text for name, text in PAGES.items() if name not in ("command", "examples"))
HEADINGS = set(re.findall(r"^#{2,4} (\S+)$", PYTHON, re.MULTILINE))


@pytest.mark.parametrize("name", whilst.__all__)
def test_a_public_name_has_a_heading_and_text(name: str) -> None:
    assert f"whilst.{name}" in HEADINGS
    text = PYTHON.partition(f" whilst.{name}\n")[2]
    assert re.search(r"\n\n[\w`]", text.partition("\n## ")[0])


@pytest.mark.parametrize("path", reference.MODULES)
def test_a_public_module_has_all_of_its_names(path: str) -> None:
    module = import_module(path)
    names = [it for it in reference.public_names(module) if not inspect.ismodule(getattr(module, it))]
    assert names
    assert {f"{path}.{it}" for it in names} <= HEADINGS


@pytest.mark.parametrize("page", ["policies.md", "reference/index.md"])
def test_a_page_that_lists_the_public_modules_lists_all_of_them(page: str) -> None:
    text = (EXTENSIONS.parent / page).read_text("utf-8")
    assert [path for path in reference.MODULES if f"`{path}`" not in text] == []


def test_a_class_has_its_methods_and_properties() -> None:
    for name in whilst.__all__:
        thing = getattr(whilst, name)
        if inspect.isclass(thing):
            parts = {it for it in vars(thing) if not it.startswith("_") and callable(getattr(thing, it))}
            assert {f"{name}.{it}" for it in parts if hasattr(getattr(thing, it), "__doc__")} - HEADINGS == set()


def test_map_has_every_parameter() -> None:
    parameters = inspect.signature(whilst.map).parameters
    shown = PAGES["runs"].partition("## whilst.map\n")[2].partition("\n## ")[0]
    for name in ("fn", "inputs", "concurrency", "retry", "journal", "progress", *parameters):
        if name != "options":
            assert f"    {name}:" in shown or f"{name}:" in shown, name


@pytest.mark.parametrize("name", list(reference.commands()))
def test_a_command_has_every_flag(name: str) -> None:
    shown = PAGES["command"].partition(f"## whilst {name}\n")[2].partition("\n## ")[0]
    assert shown
    for parameter in reference.commands()[name].params:
        if isinstance(parameter, click.Option) and not parameter.hidden:
            for flag in (*parameter.opts, *parameter.secondary_opts):
                assert flag in shown, flag


@pytest.mark.parametrize("module", ["docstrings", "signatures", "reference", "llms"])
def test_the_examples_of_what_makes_the_pages(module: str) -> None:
    assert doctest.testmod(import_module(module)).failed == 0


def test_links_out_of_the_folder_lead_to_pages_of_the_site() -> None:
    pytest.importorskip("pygments")
    assert doctest.testmod(import_module("pages")).failed == 0
