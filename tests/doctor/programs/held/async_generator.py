import asyncio
import subprocess


async def versions():
    for _ in range(2):
        out = subprocess.check_output(["sh", "-c", "sleep 0.1; echo 1"])  # HOLDS
        yield out
        await asyncio.sleep(0)


async def main():
    await asyncio.sleep(0.02)
    async for version in versions():
        assert version == b"1\n"


asyncio.run(main())
