"""What would the line look like? Writes calls that do not block, loops whose calls run together, and awaits in a row.

A change is a dict: `file`, `line` (the first that changes), `new` (what stands there afterwards, as far as it is worth
showing) and `edits`, from which `apply` makes the new text of the file.
"""

from __future__ import annotations

import ast
import copy
import textwrap
import tokenize
from collections.abc import Sequence
from typing import Any, NamedTuple

from .loops import bindings, needs, nest, targets
from .source import Comprehension, Loop, Source, driven, is_task, names, stored

Change = dict[str, Any]

_SIMPLE = (ast.Assign, ast.AnnAssign, ast.AugAssign, ast.Expr)
_CONDITIONAL = (ast.IfExp, ast.BoolOp, ast.Lambda, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


MOST_SHOWN = 6  # lines of a body


class Edit(NamedTuple):
    """A piece of a file, lines from 1 and columns in bytes from 0, and what is to stand there."""

    line: int
    column: int
    end_line: int
    end_column: int
    new: str


def edit(node: ast.AST, text: str) -> Edit:
    """Put a text in the place of a node."""
    assert isinstance(node, (ast.expr, ast.stmt))
    return Edit(node.lineno, node.col_offset, node.end_lineno or node.lineno, node.end_col_offset or 0, text)


def change(file: str, edits: Sequence[Edit], new: str) -> Change:
    """Return the change that makes edits in a file; `new` is what is shown of it."""
    return {"file": file, "line": min(it.line for it in edits), "new": new, "edits": [it._asdict() for it in edits]}


def edited(lines: Sequence[str], edits: Sequence[Edit]) -> str:
    """Return lines with edits made, which must not overlap."""
    made = [line.encode() for line in lines]
    for line, column, end_line, end_column, new in sorted(edits, reverse=True):
        made[line - 1 : end_line] = [made[line - 1][:column] + new.encode() + made[end_line - 1][end_column:]]
    return b"\n".join(made).decode()


def apply(text: str, changes: Sequence[Change]) -> str:
    r"""Return the text of a file after changes to it, with the imports that they need.

    >>> print(apply("x = f(1)\n", [{"edits": [
    ...     {"line": 1, "column": 4, "end_line": 1, "end_column": 8, "new": "whilst.block(f)(1)"}]}]))
    import whilst
    x = whilst.block(f)(1)
    <BLANKLINE>
    """
    edits = [Edit(**it) for each in changes for it in each["edits"]]
    return _with_imports(edited(text.split("\n"), edits))


def _with_imports(text: str) -> str:
    tree = ast.parse(text)
    have = {it.name for node in ast.walk(tree) if isinstance(node, ast.Import) for it in node.names}
    used = {
        node.value.id for node in ast.walk(tree) if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name)
    }
    missing = sorted({"asyncio", "whilst"} & used - have)
    at = next(
        (node.lineno - 1 for node in tree.body if not _stands_before_imports(node)), len(text.splitlines())
    )  # fmt: skip
    lines = text.splitlines(keepends=True)
    return "".join([*lines[:at], *(f"import {name}\n" for name in missing), *lines[at:]])


def _stands_before_imports(node: ast.stmt) -> bool:
    docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return docstring or (isinstance(node, ast.ImportFrom) and node.module == "__future__")


# A call that does not block ------------------------------------------------------------------------------


def instead(file: str, source: Source, call: ast.Call, text: str) -> Change | None:
    """Put an awaited text in the place of a call, within its statement, in parentheses where it needs them."""
    statement = source.statement(call)
    parent = next(source.around(call), None)
    if statement is None:
        return None
    within = isinstance(parent, (ast.Attribute, ast.Subscript, ast.BinOp, ast.UnaryOp, ast.Compare)) or (
        isinstance(parent, ast.Call) and parent.func is call
    )
    text = f"({text})" if within else text
    edits = [edit(call, text)]
    return change(file, edits, _shown(source, statement, edits))


def gone_through(file: str, source: Source, call: ast.Call, text: str) -> Change:
    """Put an async iterator in the place of a call whose values a `for` goes through."""
    loop = next(source.around(call))
    assert isinstance(loop, (ast.For, ast.comprehension))
    line, column = (loop.lineno, loop.col_offset) if isinstance(loop, ast.For) else source.before(loop.target, "for")
    edits = [Edit(line, column, line, column, "async "), edit(call, text)]
    return change(file, edits, _shown(source, _statement(source, call), edits))


def _shown(source: Source, statement: ast.stmt, edits: Sequence[Edit]) -> str:
    """Return the first line of a statement as it would read."""
    lines = edited(source.lines, edits).split("\n")
    first = lines[statement.lineno - 1].strip()
    compound = isinstance(statement, (ast.For, ast.While, ast.If, ast.With, ast.AsyncWith, ast.AsyncFor, ast.Try))
    if compound or statement.lineno == statement.end_lineno:
        return without_comment(first)
    added = len(lines) - len(source.lines)
    end = (statement.end_lineno or statement.lineno) + added
    return " ".join(line.strip() for line in lines[statement.lineno - 1 : end])


def without_comment(line: str) -> str:
    """Return a line of code without the comment at its end."""
    try:
        for token in tokenize.generate_tokens(iter([line]).__next__):
            if token.type == tokenize.COMMENT:
                return line[: token.start[1]].rstrip()
    except (tokenize.TokenError, IndentationError, SyntaxError, StopIteration):
        pass
    return line


# A loop whose calls run together -------------------------------------------------------------------------


def together(file: str, source: Source, loop: Loop, call: ast.Call) -> Change | None:
    """Write a loop with `whilst.map`; None where its body has to become a function first."""
    if is_task(_awaited(source, call)):
        return None  # which is awaited in another place
    if isinstance(loop, ast.For):
        return _for(file, source, loop, call)
    return _comprehension(file, source, loop, call)


def turns(source: Source, loops: Sequence[ast.For | ast.comprehension]) -> tuple[ast.expr, str]:
    """Return what each turn of loops within each other binds, and the text of what to go over for it at once."""
    first, *more = loops
    if not more and not _conditions(source, first):
        return first.target, _as_one(source, first.iter)
    target = ast.Tuple([it.target for it in loops], ast.Store()) if more else first.target
    each = "".join(f" for {written(it.target)} in {_as_one(source, it.iter)}{_conditions(source, it)}" for it in loops)
    return target, f"[{ast.unparse(target)}{each}]"


def _conditions(source: Source, loop: ast.For | ast.comprehension) -> str:
    return "".join(f" if {_as_one(source, it)}" for it in getattr(loop, "ifs", []))


def written(target: ast.expr) -> str:
    """Return a target as it stands behind `for`."""
    return ast.unparse(ast.For(target, ast.Name("it"), [ast.Pass()], [], lineno=0)).split(" in it")[0][4:]


def _as_one(source: Source, node: ast.expr) -> str:
    """Return an expression so that it is one argument, and one iterable of a comprehension."""
    text = ast.unparse(node) if isinstance(node, ast.Tuple) else source.text(node)  # which may lack its parentheses
    return f"({text})" if isinstance(node, (ast.IfExp, ast.Lambda, ast.NamedExpr, ast.Yield, ast.Await)) else text


def _for(file: str, source: Source, loop: ast.For, call: ast.Call) -> Change | None:
    statement = source.statement(call)
    if statement not in loop.body or not isinstance(statement, _SIMPLE) or _is_conditional(source, call, statement):
        return None
    before = loop.body[: loop.body.index(statement)]
    known = _inlined(before, needs(bindings(source, loop, call), call))
    if known is None or any(isinstance(it, ast.Continue) for each in before for it in ast.walk(each)):
        return None
    if isinstance(source.function(loop), ast.Lambda):
        return None
    loops = nest(source, loop, call)
    target, inputs = turns(source, loops)
    function = _function(source, call, target, known)
    if function is None:
        return None
    awaited = _awaited(source, call)
    word = "async for" if isinstance(awaited, ast.Await) else "for"
    turn = {name for each in loops for name in targets(each)}
    kept = [it for it in loop.body if it not in before and it is not statement]
    elsewhere = {name for each in kept for name in names(each)} | {name for each in before for name in names(each)}
    used = turn & (elsewhere | _names_beside(statement, call))
    mapped = f"whilst.map({function}, {inputs})"
    result = _result(source, loop)
    if used:
        head = f"{word} outcome in {mapped}.outcomes():"
        indent = " " * loop.body[0].col_offset
        first = f"{written(target)} = outcome.input\n{indent}"
        return _loop_change(file, source, loops, head, awaited, "outcome.unwrap()", first)
    if isinstance(statement, ast.Assign) and statement.value is awaited and len(statement.targets) == 1 and not before:
        head = f"{word} {source.text(statement.targets[0])} in {mapped}:"
        return _loop_change(file, source, loops, head, statement, "pass", "")
    return _loop_change(file, source, loops, f"{word} {result} in {mapped}:", awaited, result, "")


def _loop_change(
    file: str, source: Source, loops: Sequence[ast.For], head: str, node: ast.AST, text: str, first: str
) -> Change | None:
    """Replace the heads of loops within each other by one, and in the body one node."""
    outer, loop = loops[0], loops[-1]
    start = loop.body[0]
    end_line, end_column = loop.iter.end_lineno or 0, loop.iter.end_col_offset or 0
    colon = source.lines[end_line - 1].encode()[end_column:]
    if not colon.lstrip(b") ").startswith(b":"):
        return None
    end_column += colon.index(b":") + 1
    edits = [Edit(outer.lineno, outer.col_offset, end_line, end_column, head), edit(node, text)]
    if first and start.lineno == loop.lineno:
        return None
    if first:
        edits.append(Edit(start.lineno, start.col_offset, start.lineno, start.col_offset, first))
    return change(file, edits, _loop_shown(source, loops, edits, node))


def _loop_shown(source: Source, loops: Sequence[ast.For], edits: Sequence[Edit], node: ast.AST) -> str:
    """Return a loop as it would read, down to the line that changes; what follows stays as it is."""
    outer, loop, statement = loops[0], loops[-1], _statement(source, node)
    after = edited(source.lines, edits).split("\n")
    end, follow = loop.end_lineno or 0, (loop.end_lineno or 0) - (statement.end_lineno or 0)
    first, *rows = after[outer.lineno - 1 : end + len(after) - len(source.lines) - follow]
    body = textwrap.dedent("\n".join(rows)).split("\n") if rows else []
    if body and without_comment(body[-1]).strip() == "pass" and node is statement and (follow or len(body) > 1):
        body.pop()
    if len(body) > MOST_SHOWN:
        body[1 : 2 - MOST_SHOWN] = ["…"]
    if follow:
        body.append("…")
    return "\n".join([without_comment(first.strip()), *(f"    {row}".rstrip() for row in body)])


def with_map(file: str, source: Source, call: ast.Call) -> Change:
    """Write a call of the builtin `map` as one of `whilst.map`."""
    edits = [edit(call.func, "whilst.map")]
    return change(file, edits, _shown(source, _statement(source, call), edits))


def _comprehension(file: str, source: Source, loop: Comprehension, call: ast.Call) -> Change | None:
    target, inputs = turns(source, loop.generators)
    function = _function(source, call, target, {})
    if function is None or _is_conditional(source, call, loop):
        return None
    awaited = _awaited(source, call)
    is_async = isinstance(awaited, ast.Await)
    mapped = f"whilst.map({function}, {inputs})"
    if isinstance(loop, ast.ListComp) and loop.elt is awaited:
        text = f"await {mapped}" if is_async else f"{mapped}.list()"
    else:
        text = _comprehended(source, loop, awaited, mapped, "async for" if is_async else "for")
    edits = [edit(loop, text)]
    return change(file, edits, _shown(source, _statement(source, loop), edits))


def _comprehended(source: Source, loop: Comprehension, awaited: ast.expr, mapped: str, word: str) -> str:
    parts = [loop.key, loop.value] if isinstance(loop, ast.DictComp) else [loop.elt]
    turn = targets(loop)
    used = any(turn & _names_beside(part, awaited) for part in parts)
    result = _result(source, loop)
    name = "outcome" if used else result
    value = "outcome.unwrap()" if used else result
    replaced = {name: f"outcome.input{path}" for name, path in _paths(turns(source, loop.generators)[0]).items()}
    texts = [_replaced(part, replaced if used else {}, awaited, value) for part in parts]
    brackets = "[]" if isinstance(loop, ast.ListComp) else "()" if isinstance(loop, ast.GeneratorExp) else "{}"
    return f"{brackets[0]}{': '.join(texts)} {word} {name} in {mapped}{'.outcomes()' if used else ''}{brackets[1]}"


# Awaits in a row -----------------------------------------------------------------------------------------


def in_a_row(file: str, source: Source, statements: Sequence[ast.stmt], calls: Sequence[ast.Call]) -> Change | None:
    """Write statements that each bind the value of one call as one that makes all calls together."""
    bound: list[str] = []
    for statement, call in zip(statements, calls, strict=True):
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        if statement.value is not _awaited(source, call):
            return None
        bound.append(source.text(statement.targets[0]))
    awaited = isinstance(_awaited(source, calls[0]), ast.Await)
    functions = ", ".join(f"lambda: {source.text(call)}" for call in calls)
    made = f"whilst.together({functions})"
    text = f"{', '.join(bound)} = " + (f"await {made}.aio()" if awaited else f"{made}()")
    return change(file, [edit(statements[0], text), *(edit(it, "pass") for it in statements[1:])], text)


# Parts ---------------------------------------------------------------------------------------------------


def _function(source: Source, call: ast.Call, target: ast.expr, known: dict[str, ast.expr]) -> str | None:
    """Return what `whilst.map` is to call with an input."""
    bound = stored(target)
    if not all(isinstance(it, (ast.Name, ast.Tuple, ast.List, ast.expr_context)) for it in ast.walk(target)):
        return None
    plain = isinstance(target, ast.Name) and len(call.args) == 1 and not call.keywords
    if (
        plain
        and isinstance(call.args[0], ast.Name)
        and call.args[0].id in bound
        and not names(call.func) & (bound | {*known})
    ):
        return source.text(call.func)
    made = copy.deepcopy(call)
    for _ in range(len(known) + 1):
        made = _Replace(known).visit(made)
    if isinstance(target, ast.Name):
        return f"lambda {target.id}: {ast.unparse(made)}"
    paths = _paths(target)
    if set(paths) != bound:
        return None
    parts = {name: ast.parse(f"row{path}", mode="eval").body for name, path in paths.items()}
    return f"lambda row: {ast.unparse(_Replace(parts).visit(made))}"


class _Replace(ast.NodeTransformer):
    """Puts expressions in the place of names."""

    def __init__(self, known: dict[str, ast.expr]) -> None:
        self._known = known

    def visit_Name(self, node: ast.Name) -> ast.expr:
        """Replace a name that is known."""
        found = self._known.get(node.id)
        return copy.deepcopy(found) if found is not None and isinstance(node.ctx, ast.Load) else node


def _replaced(part: ast.expr, known: dict[str, str], awaited: ast.expr, value: str) -> str:
    """Return an expression as text, with a value in the place of the awaited call and others in that of names."""
    awaited_text = ast.dump(awaited)
    expressions = {name: ast.parse(text, mode="eval").body for name, text in known.items()}
    result = ast.parse(value, mode="eval").body

    class Both(_Replace):
        def visit(self, node: ast.AST) -> Any:
            if isinstance(node, ast.expr) and ast.dump(node) == awaited_text:
                return result
            return super().visit(node)

    return ast.unparse(Both(expressions).visit(copy.deepcopy(part)))


def _paths(target: ast.expr, path: str = "") -> dict[str, str]:
    """Return where in an input each name of a target is found.

    >>> _paths(ast.parse("i, (a, b)", mode="eval").body)
    {'i': '[0]', 'a': '[1][0]', 'b': '[1][1]'}
    """
    if isinstance(target, ast.Name):
        return {target.id: path}
    if isinstance(target, (ast.Tuple, ast.List)):
        return {k: v for i, each in enumerate(target.elts) for k, v in _paths(each, f"{path}[{i}]").items()}
    return {}


def _inlined(before: Sequence[ast.stmt], wanted: set[str]) -> dict[str, ast.expr] | None:
    """Return what the names that a call needs were bound to earlier in the turn; None if that is not so simple."""
    known: dict[str, ast.expr] = {}
    for statement in before:
        if not stored(statement) & wanted:
            continue
        if not isinstance(statement, ast.Assign) or len(statement.targets) != 1:
            return None
        target = statement.targets[0]
        if (
            not isinstance(target, ast.Name)
            or target.id in known
            or any(isinstance(it, ast.Await) for it in ast.walk(statement))
        ):
            return None
        known[target.id] = statement.value
    return known


def _is_conditional(source: Source, call: ast.Call, within: ast.AST) -> bool:
    for outer in source.around(call):
        if outer is within:
            return False
        if isinstance(outer, _CONDITIONAL):
            return True
    return True


def _awaited(source: Source, call: ast.Call) -> ast.expr:
    parent = next(source.around(call), None)
    if isinstance(parent, ast.Call) and driven(parent) is call:
        return _awaited(source, parent)
    return parent if isinstance(parent, ast.Await) else call


def _names_beside(node: ast.AST, left_out: ast.AST) -> set[str]:
    """Return the names that are read in a node, without those in one of its parts."""
    found: set[str] = set()
    left = [node]
    while left:
        each = left.pop()
        if each is left_out or (isinstance(each, ast.Await) and each.value is left_out):
            continue
        if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Load):
            found.add(each.id)
        left += ast.iter_child_nodes(each)
    return found


def _result(source: Source, loop: Loop) -> str:
    taken = names(source.function(loop)) | stored(source.function(loop))
    free: list[str] = [name for name in ("result", "answer", "value", "one_result") if name not in taken]
    return free[0] if free else "result_"


def _statement(source: Source, node: ast.AST) -> ast.stmt:
    statement = source.statement(node)
    assert statement is not None
    return statement
