import asyncio
import multiprocessing
import time


async def main():
    await asyncio.sleep(0.02)
    worker = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.2,))
    worker.start()
    worker.join()  # HOLDS
    await asyncio.sleep(0)


asyncio.run(main())
