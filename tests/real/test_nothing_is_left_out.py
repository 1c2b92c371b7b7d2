"""No test is left out unnoticed, where all that tests need can be installed."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest
from installed import REQUIRED

OF_ITS_OWN = {"ray"}  # `make cluster` installs it, and runs what needs it
TESTS = Path(__file__).parents[1]
SKIPPED = re.compile(r"importorskip\(\s*[\"']([\w.]+)[\"']")


def wanted() -> set[str]:
    """Return the libraries without which some tests are skipped."""
    texts = (path.read_text("utf-8") for path in TESTS.rglob("*.py"))
    return {name.split(".")[0] for text in texts for name in SKIPPED.findall(text)}


def test_what_tests_are_skipped_without_is_found() -> None:
    assert {"requests", "uvloop", "psycopg", "coverage"} <= wanted()


@pytest.mark.skipif(not REQUIRED, reason="for the checks, WHILST_SERVERS=required: here tests may be left out")
def test_every_library_that_tests_are_skipped_without_comes_with_the_extra_dev() -> None:
    assert {name for name in wanted() if find_spec(name) is None} <= OF_ITS_OWN
