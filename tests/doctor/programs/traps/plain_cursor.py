import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    cursor = ""
    for page in range(6):
        cursor = load(page, cursor)


def load(page, cursor):
    time.sleep(0.04)
    return f"{page}{cursor}"


main()
