import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    assert sum(fetch(name) for name in NAMES) == 21  # HERE


main()
