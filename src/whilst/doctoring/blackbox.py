"""How does what was seen outlive the program? In memory that it shares with its parent; no descriptor can be closed."""

from __future__ import annotations

import mmap
import struct

import msgspec

from ..insight.told import escaped
from .records import Seen

ROOM = 8 << 20  # bytes of each of two places, which take memory only as they are filled
_HEAD = struct.Struct("<QB7x")  # how many were written, whether a KeyboardInterrupt ended the program
_SIZE = struct.Struct("<Q")


class BlackBox:
    """The last thing written is what is read, whole, also if the writer was killed while it wrote the next one."""

    def __init__(self) -> None:
        self._memory = mmap.mmap(-1, _HEAD.size + 2 * ROOM)  # shared with what is forked
        self._encoder = msgspec.msgpack.Encoder()

    def write(self, seen: Seen) -> None:
        """Replace what is there."""
        try:
            data = self._encoder.encode(seen)
        except UnicodeEncodeError:  # a file whose name is not UTF-8
            data = self._encoder.encode(escaped(msgspec.to_builtins(seen)))
        if len(data) > ROOM - _SIZE.size:
            return
        number, interrupted = _HEAD.unpack_from(self._memory)
        start = _HEAD.size + (number + 1) % 2 * ROOM
        _SIZE.pack_into(self._memory, start, len(data))
        self._memory[start + _SIZE.size : start + _SIZE.size + len(data)] = data
        _HEAD.pack_into(self._memory, 0, number + 1, interrupted)

    def read(self) -> Seen:
        """Return what was written last, or an empty record."""
        number, _ = _HEAD.unpack_from(self._memory)
        if not number:
            return Seen()
        start = _HEAD.size + number % 2 * ROOM
        (size,) = _SIZE.unpack_from(self._memory, start)
        return msgspec.msgpack.decode(self._memory[start + _SIZE.size : start + _SIZE.size + size], type=Seen)

    @property
    def interrupted(self) -> bool:
        """Whether a KeyboardInterrupt that nobody caught ended the program."""
        return bool(_HEAD.unpack_from(self._memory)[1])

    def note_interrupt(self) -> None:
        """Say that one did."""
        _HEAD.pack_into(self._memory, 0, _HEAD.unpack_from(self._memory)[0], 1)
