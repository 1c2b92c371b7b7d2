import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def load(name):
    time.sleep(0.12)
    return name


def main():
    token = load("token")
    page = load(f"page for {token}")
    assert page


main()
