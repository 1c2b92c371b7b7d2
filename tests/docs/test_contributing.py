"""The map of CONTRIBUTING is the one that the checks keep to; the files that the design names are there."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]


def test_the_rooms_are_those_of_the_layers_from_top_to_bottom() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    wanted = [{room.removeprefix("whilst.") for room in layer.split(" | ")} for layer in layers]
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("## The rooms")[2]
    shown = re.search(r"```\n(.*?)```", section, re.DOTALL)
    assert shown
    rooms: list[set[str]] = []
    for line in shown[1].splitlines():
        names = {*re.split(r"\s{3,}", line.strip())[0].split()}
        if line.startswith(" "):
            rooms[-1] |= names
        else:
            rooms.append(names)
    assert rooms == [*wanted, {"testing"}], "which knows nobody, and is known by none"


@pytest.mark.parametrize("page", ["docs/design.md", "docs/decisions.md"])
def test_files_that_the_design_names_are_there(page: str) -> None:
    named = set(re.findall(r"`((?:[a-z_]+/)*[a-z_0-9]+\.py)`", (ROOT / page).read_text("utf-8")))
    places = [path.as_posix() for folder in ("src", "tests") for path in (ROOT / folder).rglob("*.py")]
    missing = [name for name in named if not any(place.endswith("/" + name) for place in places)]
    assert named
    assert missing == []
