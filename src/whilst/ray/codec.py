"""How do things travel to machines that know the program's modules at most, and never its `__main__`?

What is defined in `__main__` goes by value, with the cloudpickle that Ray brings along; and so does what plain pickle
cannot send. A class that went there this way is the same class when one of its objects comes back.
"""

from __future__ import annotations

import pickle
from importlib import import_module
from typing import Any

from ..remote.codec import PROTOCOL, odd


def dumps(thing: Any) -> bytes:
    """Encode anything; raises what makes that impossible."""
    try:
        data = pickle.dumps(thing, PROTOCOL)
        if b"__main__" not in data:
            return data
    except Exception:  # of what only cloudpickle can send
        pass
    except BaseException as error:
        raise odd("written", error) from error
    encoded: bytes = import_module("ray.cloudpickle").dumps(thing, PROTOCOL)
    return encoded
