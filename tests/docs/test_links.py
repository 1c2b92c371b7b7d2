"""Every link of every page leads somewhere, also on a forge, where no site is built."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.once
ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for pattern in ("*.md", "docs/**/*.md", "bench/*.md", ".github/*.md")
    for path in ROOT.glob(pattern)
    if "generated" not in path.parts and "_build" not in path.parts
)
LINK = re.compile(r"(?<!`)\]\((?P<to>[^)\s]+)\)|(?:src|srcset|href)=\"(?P<html>[^\"]+)\"")
FENCED = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
ABROAD = re.compile(
    r"https://(?:[a-z\d-]+\.)+[a-z]{2,}(?::\d+)?(?:/[^\s<>]*)?(?:#[\w-]+)?"
)  # nobody goes there in a test
MADE = "docs/reference/generated/"


def targets(path: Path) -> list[str]:
    text = FENCED.sub("", path.read_text("utf-8"))
    return [found["to"] or found["html"] for found in LINK.finditer(text)]


def anchors(path: Path) -> set[str]:
    """Return what headings are linked by, as forges and MyST make it."""
    headings = re.findall(r"^#+ (.+)$", FENCED.sub("", path.read_text("utf-8")), re.MULTILINE)
    plain = (re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", it).replace("`", "").strip().lower() for it in headings)
    return {re.sub(r"[^\w\- ]", "", it).replace(" ", "-") for it in plain}


@pytest.mark.parametrize("page", [pytest.param(it, id=it.relative_to(ROOT).as_posix()) for it in PAGES])
def test_the_links_of_a_page(page: Path) -> None:
    for target in targets(page):
        if re.match(r"[a-z]+:", target):
            assert ABROAD.fullmatch(target), f"{target} has not the form of an address"
            continue
        path, _, anchor = target.partition("#")
        to = (page.parent / path).resolve() if path else page
        if to.relative_to(ROOT).as_posix().startswith(MADE):
            continue  # Sphinx looks at those
        assert to.exists(), f"{target} leads nowhere"
        if anchor and to.suffix == ".md":
            assert anchor in anchors(to), f"{target}: there is no such heading"


def test_the_readme_can_be_read_in_a_terminal_and_in_a_minute() -> None:
    lines = (ROOT / "README.md").read_text("utf-8").splitlines()
    assert len(lines) <= 150
    fenced = FENCED.findall("\n".join(lines))
    assert [line for block in fenced for line in block.splitlines() if len(line) > 80] == []


def test_every_page_can_be_reached_from_the_readme_in_two_clicks() -> None:
    def reached(page: Path) -> set[Path]:
        paths = (it.partition("#")[0] for it in targets(page) if not re.match(r"[a-z]+:", it))
        return {(page.parent / it).resolve() for it in paths if it.endswith(".md")}

    first = {it for it in reached(ROOT / "README.md") if it.exists()}
    second = {it for page in first for it in reached(page)} | first
    recipes = {*ROOT.glob("docs/recipes/*.md"), *ROOT.glob("docs/coming-from/*.md"), *ROOT.glob("docs/tutorials/*.md")}
    assert recipes - second == set()
