import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    for attempt in range(6):
        try:
            if attempt < 5:
                raise OSError(fetch("ann"))
            break
        except OSError:
            continue


main()
