"""STUB"""
from .pushback import status_of
def transient(error: BaseException) -> bool:
    s = status_of(error)
    return s in (408,425,429) or (s is not None and s >= 500) or isinstance(error, (ConnectionError, TimeoutError))
