"""What held the loop, and which line would not? From records of rounds to findings."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from typing import NamedTuple

from .finding import Finding, seconds_text, shown
from .places import Place, Whose
from .records import Held
from .rewrite import Change, Edit, change, gone_through, instead, without_comment
from .source import Source, source

HALF = 0.5  # of the time: more of it on a processor, and it computed
QUERIES = frozenset({"execute", "executemany", "executescript", "fetchone", "fetchmany", "fetchall", "commit"})
LOCKS = frozenset({"acquire", "__enter__"})

# Where a wait below the user's code ends up: the words of those who wrote it mean little to those who called it.
_LEAVES = {
    "recv_into": "socket recv", "recv": "socket recv", "recvfrom": "socket recv", "readinto": "socket recv",
    "read": "read", "connect": "socket connect", "sendall": "socket send", "send": "socket send",
    "accept": "socket accept", "do_handshake": "TLS handshake", "getaddrinfo": "name lookup",
    "waitpid": "a process", "wait4": "a process", "poll": "socket poll", "select": "poll", "acquire": "a lock",
    "scan_once": "json", "raw_decode": "json", "encode": "json", "iterencode": "json", "c_make_encoder": "json",
    "_try_wait": "a process", "execute": "a query",
}  # fmt: skip


_LOOPS_OWN = re.compile(
    r"\b(get_running_loop|get_event_loop|run_in_executor|create_task|ensure_future|call_soon|call_later|call_at|gather)\b"
)
_IN_PROCESS = 'await whilst.step(fn, executor="process").aio(…)'
_IMPLIED = frozenset({"__enter__", "__exit__", "__next__", "__iter__"})
_TAKE_ALL = frozenset(
    {"list", "tuple", "set", "frozenset", "dict", "sorted", "sum", "min", "max", "any", "all", "next"}
)


class _Remedy(NamedTuple):
    text: str
    change: Change | None


def held_findings(held: Sequence[Held]) -> list[Finding]:
    """Return a finding for each place that held a loop, except where the line asks not to be spoken of."""
    return [found for each in held if each.path and (found := _finding(each)) is not None]


def _finding(held: Held) -> Finding | None:
    blamed = held.path[-1]
    code = source(blamed.file)
    place = _place_of_change(held.path)
    if code is not None and code.ignored(blamed.line):
        return None
    if place is not None and (its := source(place.file)) is not None and its.ignored(place.line):
        return None
    if held.ours and code is not None and isinstance(code.node(blamed), ast.Await):
        return None  # whilst starts a thread there, say: nothing that a line could change
    call = code.call(blamed) if code is not None and not held.several else None
    name = _call_text(code, call)
    leaf = _leaf_text(held.leaf, call) if not held.several else ""
    what = f"{name} → {leaf}" if name and leaf else name or leaf
    before = "what ran right before " if held.begins else ""
    remedy = _remedy(held, place, call)
    return Finding(
        kind="held the loop",
        text=f"{before}{what or _without_call(code, blamed)} held the loop for {_times(held)}",
        evidence=_evidence(held, place),
        condition=remedy.text,
        change=remedy.change,
        file=blamed.file,
        line=blamed.line,
        function=blamed.function,
        call=what,
        calls=held.count,
        seconds=round(held.seconds, 4),
        longest=round(held.longest, 4),
    )


def _times(held: Held) -> str:
    if held.count == 1:
        return seconds_text(held.seconds)
    return f"{seconds_text(held.seconds)}: {held.count} times, the longest {seconds_text(held.longest)}"


def _evidence(held: Held, place: Place | None) -> str:
    share = held.computed / held.seconds if held.seconds else 0.0
    if held.elsewhere:
        doing = "it computed on another thread and kept the GIL, so the loop could not run"
    elif share < HALF and held.locked > HALF * held.seconds:
        doing = "it waited and kept the GIL, so no other thread could run either"
    elif share < HALF:
        doing = "it waited"
    elif held.locked > HALF * held.seconds:
        doing = "it computed and kept the GIL, so no other thread could run either"
    else:
        doing = "it computed"
    parts = [doing]
    if held.others:
        names = ", ".join(f"{name} line {line}" for name, line in held.names)
        tasks = "1 other task" if held.others == 1 else f"{held.others} other tasks"
        parts.append(f"meanwhile {tasks} stood still" + (f": {names}" if names else ""))
    if place is not None and place != held.path[-1] and not held.elsewhere:
        parts.append(f"called from {place.function}, {shown(place.file)} line {place.line}")
    return "; ".join(parts)


def _place_of_change(path: Sequence[Place]) -> Place | None:
    """Return where `await` can be written: the innermost async function."""
    return next((each for each in reversed(path) if each.is_async and each.whose != Whose.PYTHON), None)


def _remedy(held: Held, place: Place | None, blamed_call: ast.Call | None) -> _Remedy:
    if held.begins:
        return _Remedy(
            "an expression without a call, it may be, or the freeing of much memory, in the lines above", None
        )
    if held.elsewhere:
        return _Remedy('a thread shares the GIL, a process does not: whilst.step(fn, executor="process")', None)
    if place is None:
        return _Remedy("it is a callback of the loop: have it start a task that awaits whilst.unblock(…)(…)", None)
    code = source(place.file)
    call = code.call(place) if code is not None else None
    if code is not None and isinstance(code.node(place), ast.Await):
        return _Remedy("what is awaited there is async, and yet it blocks inside", None)
    entered = _called_by(held, place)
    if code is None or call is None or _is_implied(entered, call) or (held.several and place == held.path[-1]):
        return _Remedy(_without_code(held), None)
    if _LOOPS_OWN.search(code.text(call)):
        return _Remedy("", None)  # a thread has no loop
    direct = place == held.path[-1]
    if direct and (_last_name(call) == "sleep") and not _computed(held):
        return _Remedy("", instead(place.file, code, call, f"await asyncio.sleep({_arguments(code, call)})"))
    if held.mapped and place == held.path[0] and (plain := _plain(code, call, place)) is not None:
        return _Remedy("whilst.map calls a plain def on threads, where it may block", plain)
    if direct and _last_name(call) == "result" and not call.args and not _computed(held):
        wrapped = f"await asyncio.wrap_future({code.text(call.func.value)})"  # type: ignore[attr-defined]
        return _Remedy("", instead(place.file, code, call, wrapped))
    if direct and not call.args and _last_name(call) in LOCKS and not _computed(held):
        return _Remedy(
            "or an asyncio.Lock, if all who take it are on this loop",
            instead(place.file, code, call, _unblocked(code, call)),
        )
    if _computed(held) and (held.locked > HALF * held.seconds or held.python > HALF / 2 * held.seconds):
        return _in_process(place, code, call)
    is_query = _last_name(call) in QUERIES or _last_name(blamed_call) in QUERIES
    condition = "a connection of sqlite3 needs check_same_thread=False for that" if is_query else ""
    if entered is not None and entered.yields and code.is_gone_through(call):
        return _Remedy(condition, gone_through(place.file, code, call, _unblocked(code, call, awaited="")))
    return _Remedy(condition, instead(place.file, code, call, _unblocked(code, call)))


def _called_by(held: Held, place: Place) -> Place | None:
    """Return what a place of the path has called."""
    below = held.path[held.path.index(place) + 1 :]
    return below[0] if below else held.callee


def _is_implied(entered: Place | None, call: ast.Call) -> bool:
    """Whether what blocks is not the call that is written there: a `with` that is entered or left, a step of a loop."""
    if entered is None:
        return False
    name = entered.function.rpartition(".")[2]
    return name in _IMPLIED or (entered.yields and name != _last_name(call) and _last_name(call) not in _TAKE_ALL)


def _unblocked(code: Source, call: ast.Call, *, awaited: str = "await ") -> str:
    if any(isinstance(it, ast.Call) for it in ast.walk(call.func)):  # which makes what it needs on the thread, too
        return f"{awaited}whilst.unblock(lambda: {code.text(call)})()"
    return f"{awaited}whilst.unblock({code.text(call.func)})({_arguments(code, call)})"


def _in_process(place: Place, code: Source, call: ast.Call) -> _Remedy:
    """Write the call so that another process makes it: a thread would have to share this one's GIL."""
    if any(isinstance(it, ast.Lambda) for it in ast.walk(call)):
        return _Remedy(_without_call_in_process(), None)  # no process can be sent one
    if isinstance(next(code.around(call), None), ast.Expr):
        text = "a thread would share the GIL, and nothing that it changes comes back from a process: put what computes "
        return _Remedy(f"{text}into a function that returns it: {_IN_PROCESS}", None)
    if _last_name(call).lstrip("_")[:1].isupper():  # of a client, say, which no process can send back
        return _Remedy("make it once, before the loop runs: a thread would share the GIL", None)
    function, arguments = code.text(call.func), _arguments(code, call)
    if len(call.args) == 1 and not call.keywords:
        text = f'await whilst.step({function}, executor="process").aio({arguments})'
        return _Remedy(
            "in a process of its own, as a thread would share the GIL; what it takes and gives is copied",
            instead(place.file, code, call, text),
        )
    if call.keywords or any(isinstance(it, ast.Starred) for it in call.args):
        function, arguments = f"functools.partial({function}, {arguments})", ""
    given = f", {arguments}" if arguments else ""
    text = f"await asyncio.get_running_loop().run_in_executor(pool, {function}{given})"
    return _Remedy(
        "with pool = concurrent.futures.ProcessPoolExecutor(): a thread would share the GIL",
        instead(place.file, code, call, text),
    )


def _plain(code: Source, call: ast.Call, place: Place) -> Change | None:
    """Write `def` in the place of `async def`, where nothing in the function is awaited."""
    function = code.function(call)
    if not isinstance(function, ast.AsyncFunctionDef):
        return None
    waits = (ast.Await, ast.AsyncFor, ast.AsyncWith)
    if any(isinstance(it, waits) for it in ast.walk(function)):
        return None
    line = code.lines[function.lineno - 1]
    end = line.encode().index(b"def", function.col_offset) + 3
    new = line.strip().replace("async def", "def", 1)
    return change(place.file, [Edit(function.lineno, function.col_offset, function.lineno, end, "def")], new)


def _without_code(held: Held) -> str:
    if _computed(held):
        return _without_call_in_process()
    return "put it into a function of its own: await whilst.unblock(fn)(…)"


def _without_call_in_process() -> str:
    return f"put it into a function of its own: {_IN_PROCESS}"


def _without_call(code: Source | None, place: Place) -> str:
    line = without_comment(code.line(place.line)).rstrip(":") if code is not None else ""
    return line if len(line) <= 40 else f"{line[:39].rstrip()}…"


def _computed(held: Held) -> bool:
    return held.computed >= HALF * held.seconds


def _arguments(code: Source, call: ast.Call) -> str:
    parts = [code.text(it) for it in call.args]
    return ", ".join(
        [*parts, *(f"{it.arg}={code.text(it.value)}" if it.arg else f"**{code.text(it.value)}" for it in call.keywords)]
    )


def _call_text(code: Source | None, call: ast.Call | None) -> str:
    if code is None or call is None:
        return ""
    text = " ".join(code.text(call.func).split())
    return text if len(text) <= 40 else f"…{text[-39:]}"


def _leaf_text(leaf: Place | None, call: ast.Call | None) -> str:
    """Name what a call below the user's line waited in, in words of the operating system."""
    if leaf is None:
        return ""
    code = source(leaf.file)
    inner = code.call(leaf) if code is not None else None
    name = _last_name(inner) if inner is not None else leaf.function.rpartition(".")[2]
    if call is not None and name == _last_name(call):
        return ""
    if leaf.whose == Whose.USER:
        return _call_text(code, inner) or name
    return _LEAVES.get(name.lstrip("_"), _LEAVES.get(name, name))


def _last_name(call: ast.Call | None) -> str:
    func = call.func if call is not None else None
    return func.attr if isinstance(func, ast.Attribute) else func.id if isinstance(func, ast.Name) else ""
