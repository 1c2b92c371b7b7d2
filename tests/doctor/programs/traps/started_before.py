import asyncio


async def start(seconds):
    return await asyncio.create_subprocess_exec("sleep", str(seconds))


async def main():
    running = [await start(0.1 + 0.05 * i) for i in range(5)]
    for process in running:
        await process.wait()
    tasks = [asyncio.create_task(asyncio.sleep(0.1 + 0.05 * i)) for i in range(5)]
    for task in tasks:
        await asyncio.wait_for(task, 5)


asyncio.run(main())
