"""Is in the built files what belongs there, and nothing else? `python .ci/contents.py dist/*`."""

from __future__ import annotations

import re
import sys
import tarfile
import zipfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
INFO = {"METADATA", "WHEEL", "RECORD", "entry_points.txt", "licenses/LICENSE"}
INFO |= {"licenses/src/whilst/demo/data/NOTICE.md"}
STRAY = re.compile(r"(^|/)(__pycache__|\.venv[^/]*|\.hypothesis|\.git|dist|node_modules)/|\.(pyc|log|orig|rej|swp)$")
NEEDED = ("pyproject.toml", "README.md", "LICENSE", "CHANGELOG.md", "SECURITY.md", "Makefile", "tests/conftest.py")


def sources() -> set[str]:
    """Return the files of the package, as they are in this checkout."""
    found = (path for path in (TOP / "src/whilst").rglob("*") if path.is_file())
    return {path.relative_to(TOP / "src").as_posix() for path in found if "__pycache__" not in path.parts}


def of_wheel(path: str) -> list[str]:
    """Return what is wrong with a wheel."""
    with zipfile.ZipFile(path) as wheel:
        names = {name for name in wheel.namelist() if not name.endswith("/")}
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    wrong = [f"missing: {name}" for name in sorted(sources() - names)]
    wrong += [f"not of the package: {name}" for name in sorted(names - info - sources())]
    wrong += [f"unknown: {name}" for name in sorted(info) if name.partition("/")[2] not in INFO]
    return wrong


def of_sdist(path: str) -> list[str]:
    """Return what is wrong with an sdist."""
    with tarfile.open(path) as sdist:
        names = {member.name.partition("/")[2] for member in sdist if member.isfile()}
    wrong = [f"missing: {name}" for name in NEEDED if name not in names]
    wrong += [f"missing: src/{name}" for name in sorted(sources()) if f"src/{name}" not in names]
    return wrong + [f"does not belong there: {name}" for name in sorted(names) if STRAY.search(name)]


def main(paths: list[str]) -> int:
    """Say what is wrong with each of the files."""
    kinds = sorted("wheel" if path.endswith(".whl") else "sdist" for path in paths)
    if kinds != ["sdist", "wheel"]:
        print(f"expected one sdist and one wheel, found {', '.join(paths)}", file=sys.stderr)
        return 1
    count = 0
    for path in paths:
        for line in of_wheel(path) if path.endswith(".whl") else of_sdist(path):
            print(f"{path}: {line}", file=sys.stderr)
            count += 1
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
