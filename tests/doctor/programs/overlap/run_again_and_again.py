"""Plain code that makes a loop for each call."""

import asyncio


async def fetch(name):
    await asyncio.sleep(0.05)
    return len(name)


def main():
    found = []
    for name in ["ann", "ben", "cat", "dan", "eve", "fay"]:
        found.append(asyncio.run(fetch(name)))  # HERE
    assert found == [3] * 6


main()
