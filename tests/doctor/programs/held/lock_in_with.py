import asyncio
import threading

lock = threading.Lock()


def keep():
    lock.acquire()
    threading.Timer(0.15, lock.release).start()


async def main():
    await asyncio.sleep(0.02)
    keep()
    with lock:  # HOLDS
        pass
    await asyncio.sleep(0)


asyncio.run(main())
