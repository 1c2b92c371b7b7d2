import time


def fetch(name):
    time.sleep(0.04)
    return len(name)


NAMES = ["ann", "ben", "cat", "dan", "eve", "fay", "gus"]


def main():
    import subprocess

    for seconds in ["0.06", "0.05", "0.06", "0.05"]:
        done = subprocess.run(["sleep", seconds], check=True)  # HERE
        assert done.returncode == 0


main()
