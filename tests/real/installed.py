"""Is a server installed that a test needs? Else the test is skipped, or it fails with `WHILST_SERVERS=required`."""

from __future__ import annotations

import importlib.util
import os
import shutil
from typing import NoReturn

import pytest

REQUIRED = os.environ.get("WHILST_SERVERS") == "required"
"""What is missing is a failure: so on a machine that could install it, where nothing may be left out unnoticed."""

SYSTEM = ("/usr/sbin", "/usr/local/sbin", "/sbin")  # where servers are, which is not on everybody's PATH


def program(name: str, package: str) -> str:
    """Return the path of a program; without it the test is over."""
    path = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", os.defpath), *SYSTEM)))
    return path if path is not None else missing(name, package)


def missing(what: str, package: str, by: str = "apt-get") -> NoReturn:
    """Skip the test for want of something, or fail it."""
    reason = f"{what} is missing: {by} install {package}"
    if REQUIRED:
        pytest.fail(f"{reason}, and WHILST_SERVERS=required", pytrace=False)
    pytest.skip(reason)


def module(name: str, package: str) -> None:
    """Have a module of Python that serves; without it the test is over."""
    if importlib.util.find_spec(name.split(".")[0]) is None:
        missing(name, package, "pip")
