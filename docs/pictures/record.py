"""What do the pictures show? Real runs, written down: `python docs/pictures/record.py`, then `draw.py`.

`runs.json` has the moments of the demo's calls, what the command line showed of an API that answers 429, and how the
adaptive controller fared in the simulator.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
RUNS = HERE / "runs.json"
STEP = 0.5  # seconds of the simulator's curve that are one point
COLUMNS = 86  # of the terminal
JOB = """import requests

def weigh(name):
    answer = requests.get(f"{API}/pokemon/{name}", timeout=30)
    answer.raise_for_status()
    return answer.json()["weight"]
"""


def demo() -> dict[str, Any]:
    """Ask for twenty names one by one, then together, as `whilst demo` does; when was each call, and for how long?"""
    from whilst.demo import pokeapi
    from whilst.demo.story import api_beside, chapters

    with api_beside(0.1) as url:
        blocking = chapters(url, pokeapi.sample(20, seed=1))[0]
        alone, together = blocking.play_alone(), blocking.play_together(3)
    return {
        "alone": {"seconds": round(alone.seconds, 3), "spans": _rounded(alone.spans)},
        "together": {"seconds": round(together.seconds, 3), "spans": _rounded(together.spans)},
    }


def _rounded(spans: Any) -> list[list[float]]:
    return [[round(it, 4) for it in span] for span in spans]


def terminal() -> list[str]:
    """Run `whilst map` against an API that answers 429, and take what a terminal showed of it."""
    sys.path.append(str(ROOT / "tests" / "real"))
    from screen import Pty

    from whilst.demo import pokeapi

    command = "whilst map jobs.py:weigh names.txt -o weights.jsonl --retry 5 -j 24"
    line = re.compile(r"(?:\r|\x1b\[[KJ])(weigh: [^\r\x1b]*)")
    with pokeapi.serve(latency=0.1, rate=20) as api, tempfile.TemporaryDirectory() as folder:
        Path(folder, "jobs.py").write_text(JOB.replace("{API}", api.url), encoding="utf-8")
        Path(folder, "names.txt").write_text("\n".join(pokeapi.names()[:150]) + "\n", encoding="utf-8")
        code = [sys.executable, "-m", "whilst", *command.split()[1:]]
        with Pty(code, cwd=folder, columns=COLUMNS, env={"PYTHONPATH": os.environ.get("PYTHONPATH", "")}) as pty:
            assert pty.end() == 0, pty.written
        first = Path(folder, "weights.jsonl").read_text("utf-8").splitlines()[:2]
    shown = line.findall(pty.written)
    refused = next(it for it in shown if "429" in it)
    later = [it for it in shown if "left" in it and "again" not in it][-8]
    return [
        f"$ {command}",
        *refused.splitlines(),
        *later.splitlines(),
        *pty.screen.lines,
        "$ head -n 2 weights.jsonl",
        *first,
    ]


def curves() -> dict[str, Any]:
    """Have the adaptive controller find its way in the simulator, on two servers."""
    sys.path.append(str(ROOT / "tests" / "core"))
    from server_models import Slots, TokenBucket, around

    from whilst.core.adaptive import Controller

    rate = partial(TokenBucket, 200, 20, around(0.05, 0.3))
    queue = partial(Slots, 50, around(0.1, 0.3), [(20.0, 100), (40.0, 25)])
    answered, refused = _answers(rate(), Controller(), 20)
    return {
        "step": STEP,
        "rate": {"allowed": [[0, 200]], "adaptive": answered, "refused": refused},
        "queue": {"allowed": [[0, 500], [20, 1000], [40, 250]], "adaptive": _answers(queue(), Controller(), 60)[0]},
    }


def _answers(server: Any, steering: Any, seconds: int) -> tuple[list[int], list[int]]:
    """Return how many calls a second were answered, and how many refused, in each step."""
    from simulator import Client, simulate

    found: dict[bool, list[int]] = {True: [0] * int(seconds / STEP), False: [0] * int(seconds / STEP)}

    class Noted:
        """A steering, with a note of every answer."""

        delay: Any
        sent: Any

        def succeeded(self, sent: float, now: float, in_flight: int) -> None:
            found[True][int(now / STEP)] += 1
            steering.succeeded(sent, now, in_flight)

        def rejected(self, sent: float, now: float, in_flight: int, retry_after: float | None = None) -> None:
            found[False][int(now / STEP)] += 1
            steering.rejected(sent, now, in_flight, retry_after)

    noted = Noted()
    noted.delay, noted.sent = steering.delay, steering.sent
    simulate(server, [Client(noted)], seconds, 1)
    return [round(it / STEP) for it in found[True]], [round(it / STEP) for it in found[False]]


if __name__ == "__main__":
    subprocess.run([sys.executable, "-c", "import whilst"], check=True)
    began = time.monotonic()
    RUNS.write_text(json.dumps({"demo": demo(), "terminal": terminal(), "curves": curves()}, indent=1) + "\n", "utf-8")
    print(f"{RUNS.relative_to(ROOT)}: {time.monotonic() - began:.0f} s")
