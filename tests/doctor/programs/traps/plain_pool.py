import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

from concurrent.futures import ThreadPoolExecutor  # noqa: E402


def main():
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(fetch, NAMES * 3)) == [3] * 21
        for future in [pool.submit(fetch, name) for name in NAMES * 2]:
            assert future.result() == 3


main()
