import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

import whilst  # noqa: E402


def main():
    for batch in [NAMES, NAMES, NAMES, NAMES]:
        assert whilst.map(fetch, batch, concurrency=4).list() == [3] * 7


main()
