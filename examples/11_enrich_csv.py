"""Learn: enrich a CSV of 1,000 ids into SQLite, lose the process halfway, go on, and pay for no call twice.

`--journal` keeps what is done in a file. Whatever ends the command, `whilst resume` goes on: what is done comes from
the file, the rest is called, and the table has each id once, for rows are found by their key. Here the example itself
kills the command with SIGKILL, which no program can catch.
"""

import csv
import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing
from pathlib import Path

import requests

from whilst.demo import pokeapi

API = os.environ.get("POKEAPI", "https://pokeapi.co/api/v2")
IDS = 1000
LANES = 20
WHILST = [sys.executable, "-c", "from whilst.cli.main import main; main()"]  # or just: whilst


def enrich(id: str, note: str) -> dict[str, str | int]:
    with open("calls.txt", "a") as calls:  # what has been paid for
        calls.write(f"{id}\n")
    found = requests.get(f"{API}/pokemon/{id}", timeout=30).json()
    return {"name": found["name"], "weight": found["weight"]}


def main(api: str, folder: Path) -> None:
    with open(folder / "ids.csv", "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["id", "note"])
        writer.writerows([id, f"note {id}"] for id in range(1, IDS + 1))
    out = "sqlite:///pokemon.db?table=pokemon&key=id"
    arguments = ["map", f"{Path(__file__).resolve()}:enrich", "ids.csv", "-j", str(LANES), "--journal", "run.db"]
    environment = {**os.environ, "POKEAPI": api}

    command = subprocess.Popen([*WHILST, *arguments, "--commit", "strict", "-o", out], cwd=folder, env=environment)
    while len(called(folder)) < IDS // 2 and command.poll() is None:
        time.sleep(0.01)
    command.send_signal(signal.SIGKILL)
    command.wait()
    print(f"killed with {len(called(folder))} of {IDS} calls made", flush=True)

    subprocess.run([*WHILST, "status", "run.db"], cwd=folder, env=environment, check=True)
    print("$ whilst resume run.db", flush=True)
    subprocess.run([*WHILST, "resume", "run.db"], cwd=folder, env=environment, check=True)

    calls = Counter(called(folder))
    again = calls.total() - len(calls)
    print(f"{len(calls)} ids were called, {again} of them twice: at most the {LANES} that were in flight")
    with closing(sqlite3.connect(folder / "pokemon.db")) as database:
        rows, ids = database.execute("select count(*), count(distinct id) from pokemon").fetchone()
        print(
            f"{rows} rows, {ids} ids; the first: {database.execute('select id, name, weight from pokemon').fetchone()}"
        )


def called(folder: Path) -> list[str]:
    path = folder / "calls.txt"
    return path.read_text().split() if path.exists() else []


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as name, pokeapi.serve(latency=0.02) as served:
        main(served.url, Path(name))
