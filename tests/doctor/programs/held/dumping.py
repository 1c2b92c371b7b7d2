import asyncio
import io
import json

rows = [{"number": i, "name": f"name {i}", "tags": ["a", "b"]} for i in range(30_000)]


class Exporter:
    def __init__(self, file):
        self.file = file

    def write(self, rows):
        json.dump(rows, self.file)  # HOLDS


async def main():
    await asyncio.sleep(0.02)
    Exporter(io.StringIO()).write(rows)
    await asyncio.sleep(0)


asyncio.run(main())
