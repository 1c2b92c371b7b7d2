"""The picture of a picture: `python docs/pictures/report.py` photographs the report of a real run, light and dark.

The run asks the embedded PokéAPI, which is slow for some and fails now and then; Chromium shows its page.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
WIDTH, HEIGHT = 1000, 826
NAMES = {False: "report-light.png", True: "report-dark.png"}


def page() -> str:
    """Return the report of a run of 600 requests."""
    import requests

    import whilst
    from whilst.demo import pokeapi

    with (
        tempfile.TemporaryDirectory() as folder,
        requests.Session() as session,
        pokeapi.serve(latency=0.08, jitter=0.04, faults={"500": 0.02, "json": 0.01}) as api,
    ):

        def weigh(name: str) -> Any:
            answer = session.get(f"{api.url}/pokemon/{name}", timeout=30)
            answer.raise_for_status()
            return answer.json()["weight"]

        run = whilst.map(weigh, api.names[:600], concurrency=16, rate="120/s", trace=Path(folder) / "run.trace")
        run.outcomes().list()
        run.report(Path(folder) / "run.html")
        return (Path(folder) / "run.html").read_text("utf-8")


def photograph(text: str, folder: Path) -> None:
    """Write the pictures of a page."""
    sys.path.append(str(HERE.parents[1] / "tests" / "insight"))
    from chromium import browser

    program = shutil.which("chromium")
    if program is None:
        raise SystemExit("chromium is missing: apt-get install chromium")
    with tempfile.TemporaryDirectory() as beside, browser(program) as chromium:
        path = Path(beside) / "run.html"
        path.write_text(text, encoding="utf-8")
        for dark, name in NAMES.items():
            shown = chromium.page()
            shown.look(width=WIDTH, height=HEIGHT, dark=dark)
            shown.open(path.as_uri())
            shown.until("document.documentElement.dataset.drawn")
            shown.run("document.getElementById('account').scrollIntoView()")
            shown.run("new Promise(done => setTimeout(done, 200))")
            shown.picture(folder / name, whole=False)


if __name__ == "__main__":
    photograph(page(), HERE)
