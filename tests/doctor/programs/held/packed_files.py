import asyncio
import io
import random
import zipfile

data = random.Random(1).randbytes(3_000_000)
packed = io.BytesIO()


def pack(name):
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(name, data)  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    pack("one")
    await asyncio.sleep(0)


asyncio.run(main())
