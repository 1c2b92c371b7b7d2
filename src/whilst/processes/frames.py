"""What stands on the wire between this process and a worker: frames, each a length, a kind, and what that kind says.

Inputs and answers are encoded by themselves, as any of them may fail. Those of plain types cannot: such inputs that
follow each other travel as one list, and such an answer is encoded with all that belongs to it. What arrays hold
(buffers of pickle 5) goes beside, neither copied when it is sent nor when it arrives.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator
from struct import Struct
from typing import Any, Final

from ..remote.codec import loads

HEAD: Final = Struct("<QB")  # length of what follows, kind
ITEM: Final = Struct("<QHIBQ")  # index, target, attempt, flags, bytes; of a list how many inputs, and not an index
ANSWER: Final = Struct("<QddB")  # index, started, took, flags
WHOLE: Final = Struct("<QBQddB")  # a head and an answer
AGE: Final = Struct("<d")  # seconds since the run began
SIZES: Final = Struct("<Q")

PREPARE, KNOW, BATCH, CALL_BACK, CALL_BEHIND = range(5)  # to a worker
ANSWERED, PLAINLY, BACK, READY, UNREADY, TEXT, LOG, SAID = range(8)  # from one; PLAINLY: an answer of a plain type

FAILED: Final = 1  # flag: what follows is what the call raised
BESIDE: Final = 2  # flag: buffers follow
IDENTIFIED: Final = 4  # flag: an input comes with what it is known by
LISTED: Final = 8  # flag: what follows is a list of indices, each with an input; then, of one of these: it is the input

Chunk = Any  # bytes, or what has a buffer


def frame(kind: int, data: bytes) -> bytes:
    """Return a whole frame."""
    return HEAD.pack(len(data), kind) + data


def said(index: int, what: str, more: bytes) -> bytes:
    """Return the frame of what a call says; what belongs to it is encoded by itself, as it may be of a user's class."""
    return frame(SAID, pickle.dumps((index, what, more), 5))


def with_buffers(data: bytes, buffers: list[pickle.PickleBuffer]) -> tuple[list[Chunk], int]:
    """Return what stands for data and the buffers beside it, and how many bytes that is."""
    raw = [buffer.raw() for buffer in buffers]
    sizes = [len(data), *(view.nbytes for view in raw)]
    head = b"".join(SIZES.pack(size) for size in (len(sizes), *sizes))
    return [head, data, *raw], len(head) + sum(sizes)


def decoded(view: memoryview, flags: int) -> Any:
    """Return what was encoded; arrays refer to the view's own memory."""
    if not flags & BESIDE:
        return loads(view)
    count = SIZES.unpack_from(view)[0]
    at = SIZES.size * (1 + count)
    parts: list[memoryview] = []
    for place in range(count):
        size = SIZES.unpack_from(view, SIZES.size * (1 + place))[0]
        parts.append(view[at : at + size])
        at += size
    return loads(parts[0], parts[1:])


def items(view: memoryview) -> Iterator[tuple[int, int, int, int, Any]]:
    """Give the inputs of a batch: (index, target, attempt, flags, data)."""
    at, end, unpack, head = 0, len(view), ITEM.unpack_from, ITEM.size
    while at < end:
        index, target, attempt, flags, size = unpack(view, at)
        at += head
        data = view[at : at + size]
        if flags & LISTED:
            for place, value in pickle.loads(data):
                yield place, target, attempt, flags, value
        else:
            yield index, target, attempt, flags, data
        at += size


def indices(view: memoryview) -> list[int]:
    """Return the numbers of a list of such."""
    return list(view.cast("Q"))


def listed(numbers: Iterable[int]) -> bytes:
    """Return a list of numbers as bytes."""
    return b"".join(SIZES.pack(number) for number in numbers)
