"""Learn: the command line maps a function of yours over a file, here of 1,000 ids, without a program around it.

`weigh` is the function. In Python one would open the file, loop, catch errors and write results; the command
does it, fifty calls at a time, with what failed in a file that can be the input of the next try.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import requests

from whilst.demo import pokeapi

API = os.environ.get("POKEAPI", "https://pokeapi.co/api/v2")


def weigh(id: str) -> int:
    answer = requests.get(f"{API}/pokemon/{id}", timeout=30)
    answer.raise_for_status()
    return int(answer.json()["weight"])


def main(api: str) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        ids = [*range(1, 1000), "missingno"]
        (folder / "ids.txt").write_text("".join(f"{id}\n" for id in ids))
        print("by hand: id 1 weighs", requests.get(f"{api}/pokemon/1", timeout=30).json()["weight"])

        arguments = f"map {Path(__file__).name}:weigh ids.txt -j 50 -o out.jsonl --failed failed.jsonl"
        print(f"$ whilst {arguments}")
        whilst = [sys.executable, "-c", "from whilst.cli.main import main; main()"]  # or just: whilst
        here = arguments.replace(Path(__file__).name, str(Path(__file__).resolve()))
        done = subprocess.run([*whilst, *here.split()], cwd=folder, env={**os.environ, "POKEAPI": api})
        print(f"exit code {done.returncode}: some inputs failed")

        lines = (folder / "out.jsonl").read_text().splitlines()
        print(f"{len(lines)} lines in out.jsonl, in order:", [json.loads(line)["input"] for line in lines[:5]])
        print("the first:", lines[0])
        print("failed.jsonl:", (folder / "failed.jsonl").read_text().strip())


if __name__ == "__main__":
    with pokeapi.serve(latency=0.05) as api:
        main(api.url)
