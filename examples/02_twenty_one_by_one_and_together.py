"""Learn: twenty requests take the time of one, and the results still come in order.

The function is the same, unmodified, in the plain loop and in `whilst.map`. The API is served on this machine and
answers after 0.1 s; `python 02_twenty_one_by_one_and_together.py https://pokeapi.co/api/v2` asks the public one.
"""

import sys
import time

import requests

import whilst
from whilst.demo import pokeapi


def main(api: str) -> None:
    names = pokeapi.sample(20)

    def fetch(name: str) -> str:
        return str(requests.get(f"{api}/pokemon/{name}", timeout=30).json()["name"])

    start = time.perf_counter()
    one_by_one = [fetch(name) for name in names]
    alone = time.perf_counter() - start
    print(f"one by one  {alone:.2f} s")

    start = time.perf_counter()
    together = whilst.map(fetch, names).list()
    seconds = time.perf_counter() - start
    print(f"together    {seconds:.2f} s")

    print(f"ratio       {alone / seconds:.1f}")
    print(f"in order    {one_by_one == together == names}")
    print("the first five:", ", ".join(together[:5]))


if __name__ == "__main__":
    if sys.argv[1:]:
        main(sys.argv[1])
    else:
        with pokeapi.serve() as api:
            main(api.url)
