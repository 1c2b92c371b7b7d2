import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def join(name, end):
    time.sleep(0.04)
    return name + end


def main():
    found = []
    for name, end in zip(NAMES, "abcdefg", strict=True):
        found.append(join(name, end))  # HERE
    assert found[0] == "anna"


main()
