"""Where a process is belongs to all its threads."""

import os
import subprocess
import tempfile

with tempfile.TemporaryDirectory() as folder:
    names = ["a", "b", "c", "d", "e"]
    for name in names:
        os.mkdir(os.path.join(folder, name))
    here = os.getcwd()
    for name in names:
        os.chdir(os.path.join(folder, name))
        subprocess.run(["sh", "-c", f"sleep 0.05; echo {name} > made"], check=True)
    os.chdir(here)
    assert all(os.path.exists(os.path.join(folder, name, "made")) for name in names)
