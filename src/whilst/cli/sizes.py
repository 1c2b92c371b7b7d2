"""How do people write a number of bytes?"""

from __future__ import annotations

import re
from typing import Any

import click

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = r"(\d{1,15}(?:\.\d{1,3})?)\s*([kmgt]?)(?:i?b)?"  # a pattern, which `re` compiles at its first use


class Size(click.ParamType[int]):
    """A number of bytes, as people write it."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Read `64MiB`, `500k` or a number of bytes."""
        if isinstance(value, int):
            return value
        found = re.fullmatch(_SIZE, str(value).strip().lower())
        size = int(float(found[1]) * UNITS[found[2]]) if found else 0
        if size < 1:
            self.fail(f"{value!r} is not a size such as 64MiB or 2G", param, ctx)
        return size
