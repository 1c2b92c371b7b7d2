"""Learn: `whilst get` fetches a whole API, 1,375 documents, from a server that answers 429 above 200 a second.

Three commands and no program. The first walks through the pages of the collections and writes what they list, a line
each, with the URL of the document in a field `url`. The second fetches some of those URLs as fast as it can and loses
a few to 429; what failed is a valid input. The third keeps to a rate, tries again what is refused nevertheless, and
has all. (Where the rate is not known: `-j adaptive --retry 10` finds out.)
"""

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from whilst.demo import pokeapi

WHILST = [sys.executable, "-c", "from whilst.cli.main import main; main()"]  # or just: whilst


def whilst(folder: Path, *arguments: str) -> None:
    """Run the command, showing what it says."""
    print("$ whilst", *[f"'{it}'" if "{" in it else it for it in arguments])
    done = subprocess.run([*WHILST, *arguments], cwd=folder, stderr=subprocess.PIPE, text=True)
    print(done.stderr, end="")
    print(f"exit code {done.returncode}\n")


def main(api: pokeapi.Api) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        pages = api.url + "/{pokemon,type,stat}?limit=200"
        whilst(folder, "get", pages, "--next", "next", "--items", "results", "--values", "-o", "index.jsonl")

        whilst(
            folder, "get", "index.jsonl", "--take", "400", "-j", "50", "-o", "some.jsonl", "--failed", "refused.jsonl"
        )
        refused = (folder / "refused.jsonl").read_text().splitlines()
        first = json.loads(refused[0])["error"][:34] if refused else "none, on a slow machine"
        print(f"refused: {len(refused)}, the first: {first}\n")

        whilst(folder, "get", "index.jsonl", "--rate", "200/s", "--retry", "10", "-o", "all.jsonl")
        documents = [json.loads(line)["value"] for line in (folder / "all.jsonl").read_text().splitlines()]
        print(f"{len(documents)} documents, {len({json.dumps(it) for it in documents})} different ones:")
        print(*(it["name"] for it in documents[:5]), "…", *(it["name"] for it in documents[-3:]))


if __name__ == "__main__":
    with pokeapi.serve(latency=0.05, rate=200) as api:
        main(api)
