import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    total = 0
    for name in NAMES:
        total += fetch(name)  # HERE
    assert total == 21


main()
