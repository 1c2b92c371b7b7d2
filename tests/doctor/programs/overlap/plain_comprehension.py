import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    assert [fetch(name) for name in NAMES] == [3] * 7  # HERE


main()
