import asyncio


class Upload:
    def __init__(self):
        self.parts = []

    async def send_part(self, data):
        await asyncio.sleep(0.04)
        self.parts.append(data)

    async def write_chunk(self, data):
        await self.send_part(data)


async def main():
    upload = Upload()
    for part in [b"a", b"b", b"c", b"d", b"e", b"f"]:
        await upload.write_chunk(part)
    assert b"".join(upload.parts) == b"abcdef"


asyncio.run(main())
