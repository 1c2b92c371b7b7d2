import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]

last = ""


def follow(name):
    global last
    time.sleep(0.04)
    last = name + last


def main():
    for name in NAMES:
        follow(name)


main()
