"""What is a scalar of NumPy or pandas in Python's own types? Asked only of what is none of these; imports neither."""

from __future__ import annotations

from typing import Any

# pandas classes that are a class of Python with nanoseconds: how to make that of them, and what must be 0.
_PANDAS = {"Timestamp": ("to_pydatetime", "nanosecond"), "Timedelta": ("to_pytimedelta", "nanoseconds")}
_MISSING = frozenset({"NaTType", "NAType"})


def as_python(value: Any) -> tuple[Any] | None:
    """Return the plain value in a tuple, or None for what is no such scalar, or would lose something.

    `np.int64(3)` is 3, a `Timestamp` is a datetime, what is missing (`pd.NaT`, `pd.NA`) is None. What is finer than a
    microsecond, or larger than Python's own types hold, is refused rather than rounded.
    """
    kind: Any = type(value)  # pyright: ignore[reportUnknownVariableType]
    library = kind.__module__.partition(".")[0]
    try:
        if library == "numpy" and hasattr(value, "dtype") and getattr(value, "shape", None) == ():
            return _of_numpy(value)
        if library == "pandas":
            return _of_pandas(value, kind.__name__)
    except (ValueError, OverflowError, TypeError, AttributeError):  # a date before the year 1, another pandas
        pass
    return None


def _of_numpy(value: Any) -> tuple[Any] | None:
    kind = value.dtype.kind
    if kind in "Mm":
        if value != value:  # NaT
            return (None,)
        if value.dtype.name.endswith(("[ns]", "[ps]", "[fs]", "[as]")):
            coarse = value.astype(f"{kind}8[us]")
            if coarse != value:
                return None
            value = coarse
    plain = value.item()
    if type(plain).__module__ in ("builtins", "datetime") and (kind not in "Mm" or not isinstance(plain, int)):
        return (plain,)
    return None  # a longdouble is what it was, a date beyond Python's is a number


def _of_pandas(value: Any, name: str) -> tuple[Any] | None:
    if name in _MISSING:
        return (None,)
    if name not in _PANDAS:
        return None
    method, finer = _PANDAS[name]
    return None if getattr(value, finer) else (getattr(value, method)(),)
