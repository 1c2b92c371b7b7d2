"""What do the options that name files take, and what would have been right?

A shell puts the home of the user in place of a `~` only where a word begins, so `--out=~/x` arrives as it stands; and
after a letter, click takes a `=` for the beginning of the name.
"""

from __future__ import annotations

import os
import shlex
from typing import Any, cast

import click

from ..files import NO_HOME, at_home
from .messages import Problem


class Name(click.Path):
    """The name of a file, or of what else holds rows; `file` is an example of one that cannot be a stream."""

    def __init__(self, file: str = "") -> None:
        super().__init__()
        self.file: str = file

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        """Take it as it is, unless it cannot be meant."""
        name = cast("str", super().convert(value, param, ctx))
        flag = f"{param.opts[0]} " if isinstance(param, click.Option) else ""
        if flag and name.startswith("=") and len(name) > 1 and not os.path.exists(name):
            raise Problem(f"{flag}{name} begins with =", remedy=flag + shlex.quote(name[1:]))
        if name == "-" and self.file:
            raise Problem(f"{flag}- would be a standard stream, and is to be a file", remedy=flag + self.file)
        if (path := at_home(name)) != name:
            raise Problem(f"{flag}{name}: {NO_HOME[0]}", NO_HOME[1], remedy=flag + shlex.quote(path))
        return name
