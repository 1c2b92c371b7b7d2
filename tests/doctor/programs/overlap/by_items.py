import asyncio
import functools


def traced(function):
    @functools.wraps(function)
    async def wrapper(*args, **kwargs):
        return await function(*args, **kwargs)

    return wrapper


@traced
async def fetch(url, timeout=None):
    await asyncio.sleep(0.05)
    return len(url)


SOURCES = {"ann": "a", "ben": "bb", "cat": "ccc", "dan": "dddd", "eve": "eeeee"}


async def main():
    found = {}
    for name, url in SOURCES.items():
        found[name] = await fetch(url, timeout=3)  # HERE
    assert found["eve"] == 5


asyncio.run(main())
