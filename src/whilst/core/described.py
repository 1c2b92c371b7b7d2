"""What does an exception say, in text that may leave the process?"""

from __future__ import annotations

from ..errors import Recorded
from .secrets import bounded


def described(error: BaseException, limit: int = 10_000, *, hide: bool = True) -> str:
    """Return `ValueError: what it says`, bounded and without secrets, whatever the exception's `__str__` does.

    Secrets are shown with `hide=False`: where the text is a value that is nowhere else.

    >>> described(ValueError("no")), described(KeyError())
    ('ValueError: no', 'KeyError')
    """
    if isinstance(error, Recorded):
        return bounded(str(error), limit)
    name = type(error).__name__
    try:
        text = str(error)
    except Exception as broken:
        text = f"(its text cannot be made: {type(broken).__name__})"
    text = f"{name}: {text}" if text else name
    return bounded(text, limit) if hide else text[:limit]
