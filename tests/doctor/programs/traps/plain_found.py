import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def find(size):
    for name in NAMES:
        if fetch(name) > size:
            return name
    return None


assert find(3) is None
