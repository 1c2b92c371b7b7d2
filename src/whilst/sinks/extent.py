"""How much will there be?"""

from __future__ import annotations

from typing import NamedTuple


class Extent(NamedTuple):
    """How much there will be: `total`, or `about` so much, where neither the run nor its source says it yet."""

    total: int | None = None
    about: int | None = None
