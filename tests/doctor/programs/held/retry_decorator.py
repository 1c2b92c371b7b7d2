import asyncio
import functools
import time


def retried(times):
    def decorate(function):
        @functools.wraps(function)
        def wrapper(*args):
            for number in range(times):
                try:
                    return function(*args)
                except ConnectionError:
                    time.sleep(0.05 * (number + 1))  # HOLDS
            raise ConnectionError

        return wrapper

    return decorate


calls = []


@retried(3)
def ask(name):
    calls.append(name)
    if len(calls) < 3:
        raise ConnectionError
    return len(name)


async def main():
    await asyncio.sleep(0.02)
    assert ask("ann") == 3
    await asyncio.sleep(0)


asyncio.run(main())
