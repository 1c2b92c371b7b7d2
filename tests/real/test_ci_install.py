"""What `make` installs with: uv where it is there, and pip where uv could not."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

pytestmark = [pytest.mark.once, pytest.mark.slow]
INSTALL = Path(__file__).parents[2] / ".ci/install"
UV = """\
#!/bin/sh
if [ "$1" = venv ]; then exec "{python}" -m venv --without-pip "$6"; fi
echo "error: uv found nothing" >&2
exit 1
"""


def install(folder: Path, what: object) -> subprocess.CompletedProcess[str]:
    """Install with a uv that makes environments and installs nothing."""
    uv = folder / "bin/uv"
    uv.parent.mkdir()
    uv.write_text(UV.format(python=sys.executable))
    uv.chmod(0o755)
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))}
    nowhere = {"PIP_CONFIG_FILE": os.devnull, "PIP_INDEX_URL": "http://127.0.0.1:9/"}
    return subprocess.run(
        [INSTALL, sys.executable, folder / "env", "Installing it", str(what)],
        capture_output=True,
        text=True,
        env={**kept, **nowhere, "PATH": f"{uv.parent}{os.pathsep}{kept['PATH']}"},
        cwd=folder,
    )


def test_pip_installs_what_uv_could_not(tmp_path: Path) -> None:
    wheel = tmp_path / "thing-1.0-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("thing.py", "")
        file.writestr("thing-1.0.dist-info/METADATA", "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\n")
        file.writestr("thing-1.0.dist-info/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr("thing-1.0.dist-info/RECORD", "")
    done = install(tmp_path, wheel)
    assert (done.returncode, done.stderr) == (0, ""), done
    assert done.stdout == "Installing it\n   uv could not (env/install-uv.log): pip tries\n"
    assert (tmp_path / "env/install-uv.log").read_text() == "error: uv found nothing\n"
    subprocess.run([tmp_path / "env/bin/python", "-c", "import thing"], check=True)


def test_what_neither_could_download_is_said_in_one_line(tmp_path: Path) -> None:
    done = install(tmp_path, "thing")
    assert done.returncode == 1
    said = "make: nothing could be downloaded: is there a network? What was said: env/install.log"
    assert done.stderr.split("\n") == ["", said, ""]
