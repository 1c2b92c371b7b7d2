import asyncio
import threading
import time

loop = asyncio.new_event_loop()
thread = threading.Thread(target=loop.run_forever)
thread.start()
future = asyncio.run_coroutine_threadsafe(asyncio.sleep(0.3), loop)
time.sleep(0.2)
future.result()
loop.call_soon_threadsafe(loop.stop)
thread.join()
