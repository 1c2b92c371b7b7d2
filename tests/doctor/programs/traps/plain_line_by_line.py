import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

import os  # noqa: E402
import threading  # noqa: E402


def write(end):
    with os.fdopen(end, "w") as pipe:
        for name in NAMES:
            time.sleep(0.04 + len(name) / 1e6)
            print(name, file=pipe, flush=True)


def main():
    out, into = os.pipe()
    thread = threading.Thread(target=write, args=(into,))
    thread.start()
    with os.fdopen(out) as pipe:
        for line in pipe:
            assert line
    thread.join()


main()
