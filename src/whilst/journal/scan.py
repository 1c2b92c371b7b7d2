"""Which frames stand in the bytes of a file, whatever SQLite makes of it?

A frame begins with its magic number on some page and goes on over overflow pages, each of which begins with the
number of the next. Where that number leads astray, the page that follows in the file is tried: that is where SQLite
puts them. The CRC says which try was right.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..files import open_regular
from .frame import HEAD_SIZE, MAGIC, Head, checked, head_of
from .store import PAGE

_WAL_HEAD, _WAL_FRAME = 32, 24
_LOCAL_MOST = PAGE - 35  # bytes of a row on its own page; SQLite's file format, "cell payload overflow pages"
_LOCAL_LEAST = (PAGE - 12) * 32 // 255 - 23
_MOST_SIZE = 1 << 30

Step = Callable[[int, int], tuple[int, bytes] | None]  # (image, page number it names) -> the next image and its bytes


def frames_in(*paths: str) -> Iterator[tuple[Head, bytes]]:
    """Give every frame whose CRC holds, from a database and its write-ahead log, or from one of them.

    Holds the files in memory. The same frame may come more than once.
    """
    images: list[bytes] = []
    by_number: dict[int, list[int]] = {}
    for path in paths:
        for number, page in _pages(path):
            by_number.setdefault(number, []).append(len(images))
            images.append(page)

    def latest(image: int, number: int) -> tuple[int, bytes] | None:
        found = by_number.get(number)
        return (found[-1], images[found[-1]]) if found else None

    def first(image: int, number: int) -> tuple[int, bytes] | None:
        found = by_number.get(number)
        return (found[0], images[found[0]]) if found else None

    def neighbour(image: int, number: int) -> tuple[int, bytes] | None:
        return (image + 1, images[image + 1]) if image + 1 < len(images) else None

    for image, page in enumerate(images):
        at = page.find(MAGIC)
        while at >= 0:
            for step in (latest, first, neighbour):
                frame = _frame(image, page, at, step)
                head = checked(frame) if frame is not None else None
                if head is not None and frame is not None:
                    yield head, frame
                    break
            at = page.find(MAGIC, at + 1)


def _pages(path: str) -> Iterator[tuple[int, bytes]]:
    """Give the pages of a database or of a write-ahead log with their numbers, later versions later."""
    with open(open_regular(path), "rb") as file:
        if not path.endswith("-wal"):
            number = 0
            while page := file.read(PAGE):
                number += 1
                yield number, page
            return
        file.seek(_WAL_HEAD)
        while len(frame := file.read(_WAL_FRAME + PAGE)) > _WAL_FRAME:
            yield int.from_bytes(frame[:4], "big"), frame[_WAL_FRAME:]


def _frame(image: int, page: bytes, at: int, step: Step) -> bytes | None:
    """Put a frame together that begins on a page; None if it cannot be one."""
    head = head_of(page[at : at + HEAD_SIZE])
    if head is None or head.size > _MOST_SIZE:
        return None
    size = HEAD_SIZE + head.size
    local = _local(size)
    parts, left = [page[at : at + local]], size - local
    number = int.from_bytes(page[at + local : at + local + 4], "big")
    while left > 0:
        found = step(image, number)
        if found is None:
            return None
        image, content = found
        parts.append(content[4 : 4 + left])
        left -= PAGE - 4
        number = int.from_bytes(content[:4], "big")
    return b"".join(parts)


def _local(size: int) -> int:
    """Return how many bytes of a blob of this size stand on the page of its row."""
    head = 2 + _varint_size(2 * size + 12)  # the record's head: its own size, the NULL for n, the blob's type
    payload = head + size
    if payload <= _LOCAL_MOST:
        return size
    local = _LOCAL_LEAST + (payload - _LOCAL_LEAST) % (PAGE - 4)
    return (local if local <= _LOCAL_MOST else _LOCAL_LEAST) - head


def _varint_size(number: int) -> int:
    return max(1, -(-number.bit_length() // 7))
