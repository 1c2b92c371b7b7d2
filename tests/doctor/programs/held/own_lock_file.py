import asyncio
import time


class FileLock:
    def __enter__(self):
        for _ in range(10):
            time.sleep(0.015)  # HOLDS
        return self

    def __exit__(self, *_):
        pass


async def main():
    await asyncio.sleep(0.02)
    with FileLock():
        pass
    await asyncio.sleep(0)


asyncio.run(main())
