"""What is JSON already, on its way to an output of lines and a journal: one text for both, however large it is."""

from __future__ import annotations

from typing import Final

BYTES_HEAD: Final = b'{"$":"bytes","v":'  # how a journal tells bytes from text
SHARED = 64 * 1024  # bytes from which on a part of a text is shown without copying it


class JsonText:
    """A value as JSON, or bytes as the tagged JSON of a journal."""

    __slots__ = ("is_bytes", "stored")

    def __init__(self, stored: bytes, *, is_bytes: bool = False) -> None:
        self.stored: bytes = stored
        self.is_bytes: bool = is_bytes

    @property
    def shown(self) -> bytes | memoryview:
        """The JSON that other programs expect: bytes are base64."""
        if not self.is_bytes:
            return self.stored
        if len(self.stored) < SHARED:
            return self.stored[len(BYTES_HEAD) : -1]
        return memoryview(self.stored)[len(BYTES_HEAD) : -1]


def half_character(text: bytes) -> str:
    """Return the escape of a surrogate without its other half in JSON; or nothing.

    A decoder may call a text that ends in one truncated.

    >>> half_character(rb'["a\\ud800"]'), half_character(rb'["\\ud83d\\ude00"]')
    ('\\\\ud800', '')
    """
    import json  # loaded when used

    try:
        json.dumps(json.loads(text), ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        return f"\\u{ord(error.object[error.start]):04x}"
    except (ValueError, RecursionError):
        pass
    return ""
