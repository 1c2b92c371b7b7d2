"""What does an ending say that is none of ours: a kind that is not read, a slip of the pen, or nothing at all?"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping

from ..files import NO_HOME, at_home
from .refusal import Refused

_DATABASES = (".db", ".sqlite", ".sqlite3")
# Kinds that are not read, and what would work; {name} is the file's, {stem} its name without the ending.
_EXCEL = "in2csv {name} > {stem}.csv"
_AGAIN = "write it as .jsonl, .csv or .parquet"
_LINES = "--format text, if its lines are meant; else write it as .jsonl"
_PATHS = "'files:{name}', for a function of its path"
_NOT_READ = {
    **dict.fromkeys((".xlsx", ".xls", ".xlsm", ".ods"), _EXCEL),
    **dict.fromkeys(_DATABASES, "'sqlite:///{name}?table=NAME'"),
    **dict.fromkeys((".avro", ".orc", ".feather", ".arrow", ".ipc", ".pkl", ".pickle", ".npy", ".npz"), _AGAIN),
    **dict.fromkeys((".h5", ".hdf5", ".mat", ".dta", ".sav", ".duckdb", ".mdb", ".accdb"), _AGAIN),
    **dict.fromkeys((".xml", ".yaml", ".yml", ".toml", ".html", ".htm", ".py", ".ipynb"), _LINES),
    **dict.fromkeys((".pdf", ".doc", ".docx", ".ppt", ".pptx", ".odt", ".png", ".jpg", ".jpeg", ".gif"), _PATHS),
    **dict.fromkeys((".mp3", ".mp4", ".wav", ".webp", ".tif", ".tiff"), _PATHS),
    **dict.fromkeys((".tar", ".tgz"), "unpack it, then 'files:FOLDER/**'"),
    ".zip": "unzip -p {name} | … -",
    ".bz2": "bzcat {name} | … -",
    ".xz": "xzcat {name} | … -",
    ".lz4": "lz4cat {name} | … -",
    ".7z": "7z x -so {name} | … -",
}
_PACKED = (".bz2", ".xz", ".lz4", ".br", ".zip", ".7z", ".z", ".lzma")
_LINES_OUT = (".jsonl", ".ndjson", ".csv", ".tsv", ".tab")
_NO_SLIP = (".text", ".ts", ".cs", ".js", ".cv", ".ini", ".tx")  # endings of their own


def refuse_ending(name: str, known: Mapping[str, str]) -> None:
    """Refuse a file by its ending; nothing happens if that says nothing. `known` has the formats of endings."""
    stem, ending = os.path.splitext(name)
    ending = ending.lower()
    if remedy := _NOT_READ.get(ending):
        raise Refused(f"{name} is a kind of file that is not read", remedy=remedy.format(name=name, stem=stem))
    likely = next((it for it in known if ending and ending not in _NO_SLIP and _is_one_off(ending, it)), "")
    if likely:
        fact = f"{name} has no ending that says what is in it, but nearly {likely}"
        formats = " or ".join(f"--format {kind}" for kind in dict.fromkeys((known[likely], "text")))
        raise Refused(fact, remedy=f"{formats}, or another name")


def refuse_home(name: str) -> None:
    """Refuse a name that begins with a `~`, which only a shell understands."""
    if (path := at_home(name)) != name:
        better = f"os.path.expanduser({name!r})" if name.startswith("~") else repr(path)
        raise Refused(f"{name}: {NO_HOME[0]}", NO_HOME[1], remedy=better)


def refuse_short_url(name: str, schemes: Iterable[str]) -> None:
    """Refuse a URL that lacks its slashes, if there is no such file.

    >>> refuse_short_url("sqlite:f.db?table=t", ["sqlite"])
    Traceback (most recent call last):
    whilst.io.refusal.Refused: sqlite:f.db?table=t lacks the slashes of a URL
      try: 'sqlite:///f.db?table=t'
    """
    scheme, colon, rest = name.partition(":")
    if not colon or scheme.lower() not in schemes or os.path.exists(name):
        return
    whole = f"{scheme}:///{rest}" if scheme.lower() == "sqlite" else f"{scheme}://{rest.lstrip('/')}"
    raise Refused(f"{name} lacks the slashes of a URL", remedy=f"'{whole}'")


def better_output(name: str) -> str:
    """Return an output that is near to a name whose ending says nothing, or which is packed as none of ours is.

    >>> better_output("out.txt"), better_output("out.db"), better_output("out.csv.bz2")
    ('out.jsonl', 'sqlite:///out.db?table=NAME', 'out.csv.gz')
    """
    stem, ending = os.path.splitext(name)
    if ending.lower() in _PACKED:
        inside = os.path.splitext(stem)[1].lower()
        return f"{stem}.gz" if inside in _LINES_OUT else f"{stem}.jsonl.gz"
    if os.path.isdir(name):
        return os.path.join(name, "out.jsonl")
    return f"sqlite:///{name}?table=NAME" if ending.lower() in _DATABASES else f"{stem}.jsonl"


def has_pattern(name: str) -> bool:
    """Whether a name looks like a pattern for names.

    >>> has_pattern("*.txt"), has_pattern("a.txt")
    (True, False)
    """
    return re.search(r"[*?\[]", name) is not None


def _is_one_off(one: str, other: str) -> bool:
    """Whether one letter more, less, other, or two that changed places make one of the other."""
    if one == other or abs(len(one) - len(other)) > 1:
        return False
    short, long = sorted((one, other), key=len)
    at = next((i for i, letter in enumerate(short) if letter != long[i]), len(short))
    if len(short) < len(long):
        return short[at:] == long[at + 1 :]
    swapped = short[at : at + 2] == long[at : at + 2][::-1]
    return short[at + 1 :] == long[at + 1 :] or (swapped and short[at + 2 :] == long[at + 2 :])
