import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


sizes = list(map(fetch, ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]))  # HERE
assert sizes == [3] * 7
