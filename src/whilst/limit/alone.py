"""What there may be only one of: a copy would count for itself."""

from __future__ import annotations

from typing import NoReturn, SupportsIndex


class Alone:
    """Something that is shared by being the same object, and so refuses to be copied, pickled or sent elsewhere."""

    __slots__ = ()

    def __reduce_ex__(self, protocol: SupportsIndex) -> NoReturn:
        raise TypeError(
            "a Limit cannot be copied, pickled or sent to another process: a copy would be another limit, which counts "
            "for itself\n  try: use the same object everywhere; for calls in other processes give it to their map: "
            "whilst.map(…, limit=limit)"
        )
