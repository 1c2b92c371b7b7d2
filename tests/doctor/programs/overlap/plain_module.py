import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


sizes = {}
for name in NAMES:
    sizes[name] = fetch(name)  # HERE
assert sizes == dict.fromkeys(NAMES, 3)
