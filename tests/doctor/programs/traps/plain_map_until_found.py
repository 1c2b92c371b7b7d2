import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]
assert not any(size > 3 for size in map(fetch, NAMES[:0]))
assert all(map(fetch, NAMES))  # it ends at the first that is nothing
for size in map(fetch, NAMES):
    if size > 9:
        break
lines = map(fetch, NAMES)
while next(lines, None):
    pass
