"""Learn: a thousand calls that survive being killed. A CSV of 1,000 ids is enriched into SQLite, and killed halfway.

The program starts the command line on the file, ends it with SIGKILL when half of the calls are done (no clean-up, no
goodbye), and has it go on. What was done comes from the journal, what is missing is called, and the table has each row
once, because it is written by upsert on the id.
"""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

import requests

import whilst
from whilst.demo import pokeapi
from whilst.journal import read_status

API = os.environ.get("POKEAPI", "https://pokeapi.co/api/v2")
WHILST = [sys.executable, "-c", "from whilst.cli.main import main; main()"]  # or just: whilst
COMMAND = "map {script}:enrich ids.csv -j 20 --journal run.db -o sqlite:///pokemon.db?table=pokemon&key=id"


def enrich(id: str, trainer: str) -> dict[str, object]:
    found = requests.get(f"{API}/pokemon/{id}", timeout=30).json()
    return {"name": found["name"], "weight": found["weight"], "owner": trainer.title()}


def start(arguments: str, folder: Path, api: str) -> subprocess.Popen[bytes]:
    environment = {**os.environ, "POKEAPI": api}
    return subprocess.Popen([*WHILST, *arguments.split()], cwd=folder, env=environment)


def kill_halfway(process: subprocess.Popen[bytes], journal: Path) -> int:
    while process.poll() is None:
        if (done := on_disk(journal)) >= 500:
            process.send_signal(signal.SIGKILL)
            process.wait()
            return done
        time.sleep(0.05)
    raise SystemExit("it was done before it could be killed")


def on_disk(journal: Path) -> int:
    try:
        return read_status(journal).done
    except whilst.JournalError:  # it has not begun yet
        return 0


def main(api: pokeapi.Api, folder: Path) -> None:
    with (folder / "ids.csv").open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "trainer"])
        rows.writerows([id, ("ash", "misty", "brock")[id % 3]] for id in range(1, 1001))

    command = COMMAND.format(script=Path(__file__).resolve())
    print("$ whilst", COMMAND.format(script=Path(__file__).name), flush=True)
    done = kill_halfway(start(command, folder, api.url), folder / "run.db")
    print(f"killed: at least {done} of 1000 were on the disk", flush=True)

    before = api.requests
    print("$ whilst resume run.db", flush=True)
    code = start("resume run.db", folder, api.url).wait()
    print(f"exit code {code}; {api.requests - before} calls were left to make")
    with closing(sqlite3.connect(folder / "pokemon.db")) as db:
        count, ids = db.execute("select count(*), count(distinct id) from pokemon").fetchone()
        print(f"{count} rows, {ids} ids; the first:", *db.execute("select * from pokemon order by id + 0 limit 1"))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, pokeapi.serve(latency=0.1) as served:
        main(served, Path(name))
