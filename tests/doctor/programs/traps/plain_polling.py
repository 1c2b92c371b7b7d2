import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    for seconds in [0.05, 0.05, 0.06, 0.07]:
        time.sleep(seconds)


main()
