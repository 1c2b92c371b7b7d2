import tempfile
import time


def fetch(url):
    time.sleep(0.05)
    return url * 3


with tempfile.TemporaryFile("w+") as out:
    for url in ["a", "b", "c", "d", "e", "f"]:
        out.write(fetch(url) + "\n")  # HERE
    out.seek(0)
    assert out.readline() == "aaa\n"
