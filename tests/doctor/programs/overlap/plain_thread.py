import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

import threading  # noqa: E402


def work():
    found = []
    for name in NAMES:
        found.append(fetch(name))  # HERE
    assert found == [3] * 7


thread = threading.Thread(target=work)
thread.start()
thread.join()
