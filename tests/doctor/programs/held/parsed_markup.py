import asyncio
import xml.etree.ElementTree as ET

TEXT = "<r>" + "".join(f"<row id='{i}'><a>x</a><b>y</b></row>" for i in range(70_000)) + "</r>"


async def ids():
    tree = ET.fromstring(TEXT)  # HOLDS
    return len(tree)


async def main():
    await asyncio.sleep(0.02)
    assert await ids() == 70_000
    await asyncio.sleep(0)


asyncio.run(main())
