import asyncio
import shutil
import tempfile
from pathlib import Path

folder = Path(tempfile.mkdtemp())
(folder / "from").mkdir()
for number in range(200):
    (folder / "from" / f"{number}.txt").write_text("x" * 5000)


async def back_up():
    shutil.copytree(folder / "from", folder / "to")  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    await back_up()
    await asyncio.sleep(0)


asyncio.run(main())
shutil.rmtree(folder)
