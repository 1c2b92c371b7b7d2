import asyncio
import functools
import re

TAGS = re.compile(r"(<[a-z]+>)*(x+x+)+y")


def logged(function):
    @functools.wraps(function)
    def wrapper(*args, **kwargs):
        return function(*args, **kwargs)

    return wrapper


@logged
def clean(text):
    return TAGS.sub("", text)  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    clean("x" * 21)
    await asyncio.sleep(0)


asyncio.run(main())
