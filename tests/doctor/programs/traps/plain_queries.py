import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


class Cursor:
    def execute(self, query, row):
        time.sleep(0.04)


def main():
    cursor = Cursor()
    for name in NAMES:
        cursor.execute("insert into names values (?)", (name,))


main()
