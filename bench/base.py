"""Another revision of whilst, to be measured in the same run: its sources, beside those of today."""

import compileall
import io
import subprocess
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

ROOT = Path(__file__).resolve().parent.parent


class NoSuchRevisionError(Exception):
    """What was given as the revision to compare with is none, or there is no git."""


@dataclass(frozen=True, slots=True)
class Base:
    """Where a process finds the other revision, before today's."""

    commit: str
    sources: Path


@contextmanager
def sources_of(revision: str) -> Iterator[Base]:
    """Write the sources of a revision into a folder that is gone afterwards."""
    commit = _git("rev-parse", "--short", "--verify", f"{revision}^{{commit}}").decode().strip()
    with TemporaryDirectory(prefix="whilst-before-") as folder:
        with zipfile.ZipFile(io.BytesIO(_git("archive", "--format=zip", commit, "src"))) as archive:
            archive.extractall(folder)
        compileall.compile_dir(folder, quiet=1)
        yield Base(commit, Path(folder, "src"))


def _git(*arguments: str) -> bytes:
    try:
        return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, check=True).stdout
    except (OSError, subprocess.CalledProcessError) as error:
        said = getattr(error, "stderr", b"").decode().strip() or str(error)
        raise NoSuchRevisionError(said) from error
