"""The pictures of a report in the README are there, light and dark, and a browser makes such pictures today."""

from __future__ import annotations

import struct
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from recordings import recording

from whilst.insight.page import page

from installed import program  # isort: skip - `recordings` says where it is

PICTURES = Path(__file__).parents[2] / "docs" / "pictures"
sys.path.append(str(PICTURES))
report: Any = import_module("report")


def size(path: Path) -> tuple[int, int]:
    data = path.read_bytes()
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", data[16:24])
    return width, height


def test_the_pictures_are_there() -> None:
    for name in report.NAMES.values():
        assert size(PICTURES / name) == (report.WIDTH, report.HEIGHT)
        assert (PICTURES / name).stat().st_size < 200_000


@pytest.mark.slow
def test_such_pictures_are_made_today(tmp_path: Path) -> None:
    program("chromium", "chromium")
    report.photograph(page(recording(600)), tmp_path)
    light, dark = (tmp_path / name for name in report.NAMES.values())
    assert size(light) == size(dark) == (report.WIDTH, report.HEIGHT)
    assert light.read_bytes() != dark.read_bytes()
