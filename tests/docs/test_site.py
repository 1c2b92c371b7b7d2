"""The site can be built without a warning, and programs can read it."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("sphinx")
pytest.importorskip("myst_parser")
pytest.importorskip("furo")
DOCS = Path(__file__).parents[2] / "docs"
pytestmark = [pytest.mark.slow, pytest.mark.once, pytest.mark.timeout(240)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    command = [
        sys.executable,
        "-m",
        "sphinx",
        "-q",
        "-n",
        "-W",
        "--keep-going",
        "-d",
        f"{out}/trees",
        str(DOCS),
        f"{out}/html",
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    return out / "html"


def test_a_program_finds_every_page_as_markdown(site: Path) -> None:
    listed = re.findall(r"^- \[.+\]\((.+\.md)\): ", (site / "llms.txt").read_text("utf-8"), re.MULTILINE)
    assert len(listed) == len(set(listed)) > 50
    pages = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    assert pages - {"genindex.md", "search.md"} == set(listed)
    assert all((site / page).read_text("utf-8").strip() for page in listed)
    assert "## Where things are" in (site / "llms-full.txt").read_text("utf-8")


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    loaded = re.compile(r"<(?:script|link|img|source|iframe)\b[^>]*\b(?:src|href|srcset)=\"(https?:[^\"]+)\"")
    for page in site.rglob("*.html"):
        assert loaded.findall(page.read_text("utf-8")) == [], page.name


def test_pages_of_other_folders_are_whole(site: Path) -> None:
    assert "Where does X go?" in (site / "contributing.html").read_text("utf-8")
    assert "## The last figures" in (site / "bench.md").read_text("utf-8")
