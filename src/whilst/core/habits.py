"""What is said to who types what another library has: which line works here? Loaded when somebody types one."""

from __future__ import annotations

import difflib
import dis
import re
import sys
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from .foreign import ATTRIBUTES, FLAGS, KEYWORDS, NAMES, OF, OF_STEPS
from .outcome import short
from .users_line import levels_to_user

_OF_RUNS = {  # methods that take nothing: what is asked of them is asked of the map
    "Run.list": ".list()",
    "Run.outcomes": ".outcomes()",
    "Outcomes.list": ".outcomes().list()",
}

_ONE_FUNCTION = ("step", "each", "filter")


def unknown_keyword(function: str, given: Mapping[str, Any], known: Collection[str]) -> TypeError:
    """Return what to raise for the first keyword that `function` does not know: what it is here, or what is alike."""
    word = next(name for name in given if name not in known)
    value = given[word]
    if function in _OF_RUNS:
        return _asked_of_map(function, word, value)
    for words, parameter, line in (*OF.get(function, ()), *KEYWORDS):
        if word in words.split() and (not parameter or parameter in known):
            named = {"function": f"whilst.{function}", **_numbers_of(value)}
            return TypeError(f"{function}() has no {word}=\n  try: {line.format(**named)}")
    close = difflib.get_close_matches(word, known, 1, 0.7)
    takes = f"\n  it takes: {', '.join(known)}" if known else ": it takes no keyword"
    remedy = f"\n  try: {close[0]}=…" if close else takes
    return TypeError(f"{function}() has no {word}={remedy}")


def _asked_of_map(function: str, word: str, value: Any) -> TypeError:
    """Return what to raise for a keyword of `map` that is given to what its run returns."""
    here = {parameter for _, parameter, _ in KEYWORDS if parameter not in ("", "fn", "inputs", "by")}
    line = next((line for words, parameter, line in KEYWORDS if word in words.split() and parameter in here), "")
    asked = line.format(**_numbers_of(value)) if line else f"{word}={short(value, 40)}" if word in here else ""
    said = f"{function}() has no {word}=" + ("" if asked else ": it takes no keyword")
    return TypeError(
        f"{said}\n  try: whilst.map(fn, inputs, {asked.partition(':')[0]}){_OF_RUNS[function]}" if asked else said
    )


def _numbers_of(value: Any) -> dict[str, str]:
    """Return the whole number, the seconds and the rate that a line shows: those given, or examples."""
    from .meant import rate

    number = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < float("inf")
    shown = short(value, 20)
    return {
        "n": shown if number and isinstance(value, int) else "8",
        "s": shown if number else "1.0",
        "r": (rate(value) if number or isinstance(value, str) else "") or "10/s",
    }


def policy_of_steps(function: str, given: Mapping[str, Any]) -> TypeError | None:
    """Return what to raise for a policy that is given to what puts steps together, if one is among these."""
    policies = {word for words, _, _ in OF_STEPS for word in words.split()} & given.keys()
    return unknown_keyword(function, given, given.keys() - policies) if policies else None


_FIRST = {
    "batched": ("how many first", "100"),
    "Journal": ("a path first", '"run.db"'),
    "rows": ("a name first", '"in.csv"'),
}
_MEANT = {  # by function, what is meant by one value too many that is no number
    "each": "whilst.map(fn, inputs), or in a flow whilst.sequence(whilst.each(fn)).stream(inputs)",
    "filter": "whilst.sequence(whilst.filter(fn)).stream(inputs)",
    "step": "whilst.step(fn)(value), or whilst.map(fn, inputs)",
    "batched": "whilst.batched(100) in a flow: whilst.sequence(whilst.batched(100), fn)",
    "watch": "whilst.watch() before the run: it shows every run of the program",
    "block": "whilst.block(fn)(x): it returns a function",
    "unblock": "await whilst.unblock(fn)(x): it returns a function",
}


def unknown_position(
    function: str, given: tuple[Any, ...], known: Collection[str], most: int, named: Mapping[str, Any]
) -> TypeError | None:
    """Return what to raise for more than `most` or too few values without a name, where it is known what was meant."""
    if function == "map":
        return _map_without_inputs(given[0] if given else None)
    last = given[-1] if given else None
    by_word = isinstance(last, (int, float, str)) and function not in ("block", "unblock")
    if (line := _MEANT.get(function, "")) and len(given) > most and not by_word:
        return TypeError(f"{function}() takes {_counted(most)} without a name, got {len(given)}\n  try: {line}")
    if function == "Limit" and len(given) == 2 and all(type(one) is int for one in given):
        return TypeError(f'Limit() takes its rate by its name\n  try: whilst.Limit(rate="{given[0]}/{given[1]}s")')
    if isinstance(last, int) and not isinstance(last, bool) and "concurrency" in known:
        line = f"concurrency={last}"
    elif isinstance(last, str) and "/" in last and "rate" in known:
        line = f"rate={last!r}"
    elif len(given) > most and len(known) == most + 1 and isinstance(last, (int, float, str)):
        line = f"{[*known][-1]}={short(last, 40)}"
    elif not given and next(iter(known), "") == "fn":
        also = "".join(f", {name}={short(value, 40)}" for name, value in named.items())
        return TypeError(f"{function}() takes a function first\n  try: whilst.{function}(fn{also})")
    elif not given and function in _FIRST:
        return TypeError(f"{function}() takes {_FIRST[function][0]}\n  try: whilst.{function}({_FIRST[function][1]})")
    else:
        by_name = [f"{name}=…" for name in [*known][most:]]
        too_many = len(given) > most and by_name
        said = f"{function}() takes {_counted(most)} without a name, got {len(given)}"
        return TypeError(f"{said}\n  by their names: {', '.join(by_name)}") if too_many else None
    before = "fn, " if "fn" in known else "…, " if most else ""
    called = f"limit.{function.removeprefix('Limit.')}" if "." in function else f"whilst.{function}"
    return TypeError(f"{function}() takes {short(last, 40)} by its name\n  try: {called}({before}{line})")


def _counted(count: int) -> str:
    return {0: "nothing", 1: "one value"}.get(count, f"{count} values")


def unknown_name(name: str, public: Collection[str] = ()) -> str:
    """Return what to say of a name that the package does not have, with `public` names.

    >>> print(unknown_name("as_completed"))
    module 'whilst' has no attribute 'as_completed'
      try: for value in whilst.map(fn, inputs, ordered=False): …
    """
    said = f"module 'whilst' has no attribute {name!r}"
    if name in NAMES:
        return f"{said}\n  try: {NAMES[name]}"
    close = difflib.get_close_matches(name, public, 1, 0.75)
    return f"{said}\n  try: whilst.{close[0]}" if close else said


def unknown_attribute(owner: str, name: str) -> AttributeError:
    """Return what to raise for an attribute that a public object does not have."""
    said = f"{owner!r} object has no attribute {name!r}"
    for words, line in ATTRIBUTES[owner].items():
        if name in words.split():
            return AttributeError(f"{said}\n  try: {line}")
    return AttributeError(said)


def is_imported(name: str) -> bool:
    """Whether `from whilst import NAME` asks for it: its own error would hide what an AttributeError says."""
    if name not in NAMES:
        return False
    asking = sys._getframe(3)  # behind this, _unknown() and __getattr__() of the package
    return asking.f_code.co_code[asking.f_lasti] == dis.opmap["IMPORT_FROM"]


def is_awaited() -> bool:
    """Whether what the public method returns that the user calls is awaited at once: `await run.list()`."""
    user = sys._getframe(levels_to_user() - 1)
    if user.f_lasti < 0:
        return False
    following = (it.opname for it in dis.get_instructions(user.f_code) if it.offset > user.f_lasti)
    return next((name for name in following if name != "CACHE"), "") == "GET_AWAITABLE"


def rows_of(given: Any) -> str:
    """Return the line that reads the file of this name, if it looks like one.

    >>> rows_of("hosts.csv"), rows_of("hosts")
    ("whilst.map(fn, whilst.rows('hosts.csv')) for the rows of the file", '')
    """
    path = hasattr(given, "__fspath__")
    name: Any = given.__fspath__() if path else given
    ours = r"^[^\n]+\.(csv|tsv|jsonl|json|txt|parquet)(\.gz|\.zst)?$|^(sqlite|postgresql|s3):"
    known = isinstance(name, str) and re.search(ours, name)
    if not known and not path:
        return ""
    return f"whilst.map(fn, whilst.rows({short(name, 40)})) for the rows of the file"


def not_inputs(given: Any) -> str:
    """Return the line that works instead of inputs that are not many things, or an empty string."""
    if isinstance(given, int) and not isinstance(given, bool):
        return f"\n  try: range({given}) for the numbers below {given}, or concurrency={given} beside the inputs"
    if hasattr(given, "__await__"):
        return "\n  try: await it first: inputs = await …"
    if callable(given):
        name = getattr(given, "__name__", "it")
        return f"\n  try: {name}() if its call gives the inputs, or whilst.map({name}, inputs)"
    if given is None:
        return "\n  try: a `return` in the function that makes the inputs, or sorted(xs) in place of xs.sort()"
    return "\n  try: [it] for one input"


def not_a_function(given: Any, of: str = "map") -> str:
    """Return the line that works instead of something that cannot be called, given to the function `of`.

    >>> print(not_a_function([len, abs], "sequence"))
    <BLANKLINE>
      try: whilst.sequence(*steps): each step by itself
    """
    name = getattr(given, "__name__", "fn") if hasattr(given, "__await__") else "fn"
    if of == "map":
        also = "…)" if hasattr(given, "__await__") else "inputs): the function comes first, and is not called"
        return f"\n  try: whilst.map({name}, {also}"
    if of in _ONE_FUNCTION:
        return f"\n  try: whilst.{of}({name}): the function itself, without calling it"
    if "." in of:
        return f"\n  try: whilst.{of.replace('.', '(')}={name}): a function, without calling it"
    if isinstance(given, (list, tuple)):
        parts, part = ("steps", "step") if of == "sequence" else ("branches", "branch")
        return f"\n  try: whilst.{of}(*{parts}): each {part} by itself"
    return f"\n  try: whilst.{of}({name}, …): functions, without calling them"


def columns(frame: Any) -> str:
    """Return what to say of a DataFrame as inputs, where going over it would give the names of its columns."""
    names = [str(name) for name in list(frame.columns)[:1]]
    column = f"df[{names[0]!r}]" if names else 'df["url"]'
    rows = 'df.to_dict("records")' if type(frame).__module__.startswith("pandas") else "df.iter_rows(named=True)"
    return (
        f"inputs is a DataFrame, and going over one gives the names of its columns\n"
        f"  try: whilst.map(fn, {column}) for one column, whilst.map(fn, {rows}) for its rows as dicts"
    )


def flag(given: str, known: Collection[str]) -> str | None:
    """Return the option that a command has instead of one of parallel, xargs, curl or tqdm.

    >>> flag("--joblog", ["--journal", "--rate"])
    '--journal FILE, and --times for when and how long'
    """
    for words, option, line in FLAGS:
        if given in words.split() and option in known:
            return line
    return None


def calls_already(given: Iterable[Any]) -> TypeError | None:
    """Return what to raise if there are coroutines among these, which it closes: nobody will await them."""
    coroutines = [one for one in given if hasattr(one, "cr_frame")]
    for one in coroutines:
        one.close()
    if not coroutines:
        return None
    return TypeError(
        "map() takes a function and its inputs, got coroutines, and these are calls that were already made\n"
        f"  try: whilst.map({coroutines[0].__name__}, inputs)"
    )


def _map_without_inputs(given: Any) -> TypeError:
    error = calls_already(given) if type(given) in (list, tuple, set) else None
    if error is not None:
        return error
    if hasattr(given, "__next__"):
        return TypeError(
            "map() takes a function and its inputs, got an iterator: (fn(x) for x in inputs) makes the calls\n"
            "  try: whilst.map(fn, inputs), with the function as it is"
        )
    if callable(given):
        return TypeError(
            f"map() takes a function and its inputs, got the function alone\n"
            f"  try: whilst.map({getattr(given, '__name__', 'fn')}, inputs)"
        )
    got = "nothing" if given is None else "one thing"
    return TypeError(f"map() takes a function and its inputs, got {got}\n  try: whilst.map(fn, inputs)")
