"""What has changed since a journal was written, what is at stake, and which ways are there to go on?"""

from __future__ import annotations

import os

from ..errors import JournalChanged
from .header import Header
from .parts import Parts

MOST_NAMED = 6  # parts that changed, or were not looked into, of many


def same_function(before: Header, now: Header, ignore: tuple[str, ...]) -> bool:
    """Whether a journal is of the function that is to be run, and tells inputs apart as that run does."""
    return now.fingerprint.changed_since(before.fingerprint, ignore) is None and before.key == now.key


def changed(path: str, given: str, before: Header, now: Header, parts: Parts, results: int) -> JournalChanged:
    """Return the error that says what has changed, what is at stake, and the ways on."""
    name = os.path.basename(path)
    names = now.fingerprint.changed_since(before.fingerprint, parts.ignore)
    place = parts.places.get(parts.root) or now.place
    where = f" ({place})" if place else ""
    evidence: list[str] = []
    if names is None:
        what = "with a key" if before.key else "by their content"
        fact = f"{name} tells inputs apart {what}, this run does it otherwise (key=…)"
    elif before.name != now.name:
        fact = f"{name} is the journal of {before.name}(), this run is of {now.name}(){where}"
    elif _is_bound(names, before, now):
        fact = f"{now.name}() is bound to other arguments than when {name} was written{where}"
    elif now.fingerprint.parts.get(parts.root) == before.fingerprint.parts.get(parts.root) and names:
        fact = f"what {now.name}() uses changed since {name} was written{where}"
    else:
        fact = f"{now.name}() changed since {name} was written{where}"
    # Of a function of another name nothing can have changed.
    is_another = parts.root not in before.fingerprint.parts
    if names and names != (parts.root,) and before.name == now.name and not is_another:
        evidence.append(f"changed: {listed([_placed(it, parts) for it in names])}")
    count = f"{results:,} results are" if results != 1 else "1 result is"
    whose = "from the old version" if before.name == now.name else f"of {before.name}()"
    return JournalChanged(
        fact,
        *evidence,
        f"{count} {whose}",
        remedy=_ways(given, names or (), before.name != now.name),
        results=results,
        changed=names or (),
    )


def unknown(path: str, given: str, results: int) -> JournalChanged:
    """Return the error for a journal whose row that says which function it is of is damaged."""
    return JournalChanged(
        f"{os.path.basename(path)} does not say any more which function its {results:,} results are from",
        "the row that said it is damaged",
        remedy=_ways(given),
        results=results,
    )


def unseen_notice(before: Header | None, now: Header) -> str:
    """Say what was not looked into, once: when a journal begins, or when there is more of it; else nothing.

    A journal of a version that looked into less goes on as it did.
    """
    if before is not None and not before.fingerprint.has_setters:
        return ""
    known = () if before is None else before.fingerprint.unseen
    new = [name for name in now.fingerprint.unseen if name not in known]
    if not new:
        return ""
    return f"a change of these would not be noticed, for their value may be of today only: {listed(new)}"


def listed(names: list[str]) -> str:
    """Return names as a sentence has them, the first few of many."""
    more = len(names) - MOST_NAMED
    return ", ".join(names if more <= 0 else [*names[:MOST_NAMED], f"and {more:,} more"])


def _is_bound(names: tuple[str, ...], before: Header, now: Header) -> bool:
    """Whether nothing but arguments changed: those of a partial or a closure, defaults, fields of the object."""
    if not names:  # a journal of 0.1
        return before.fingerprint.code == now.fingerprint.code
    return all(it.startswith(("argument ", "default ", "variable ", "self.")) or it == "self" for it in names)


def _placed(name: str, parts: Parts) -> str:
    place = parts.places.get(name)
    return f"{name} ({place})" if place else name


def _ways(given: str, names: tuple[str, ...] = (), another: bool = False) -> str:
    first = "another path; or " if another else ""
    word = next((it.rpartition(".")[2] for it in names if it.startswith("self.")), "")
    ignored = f", Journal({given!r}, ignore=({word!r},)) does not look at {word}" if word and len(names) == 1 else ""
    return (
        f'{first}Journal({given!r}, accept="old") keeps them, '
        f'Journal({given!r}, accept="fresh") puts them aside and starts afresh{ignored}'
    )
