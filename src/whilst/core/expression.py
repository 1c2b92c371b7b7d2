"""Which expression would build a flow? For its repr."""

from __future__ import annotations

from typing import Any

from .colour import name_of
from .tree import Batched, Each, Fallback, First, Flatten, Node, Policed, Sequence, Step, Together, kind_name


def show(node: Node) -> str:
    """Return the expression that would build a node."""
    match node:
        case Step():
            policies = _shown(node, node.executor, node.use, node.hedge)
            return f"step({name_of(node.fn)}{policies})" if policies else name_of(node.fn)
        case Policed(inner):
            return f"step({show(inner)}{_shown(node)})"
        case Sequence(parts) | First(parts) | Fallback(parts):
            return f"{kind_name(node)}({', '.join(show(part) for part in parts)})"
        case Together(parts, names):
            keys = [f"{name}=" for name in names] if names is not None else [""] * len(parts)
            inside = (key + show(part) for key, part in zip(keys, parts, strict=True))
            return f"together({', '.join(inside)})"
        case Each(inner):
            words = [show(inner), "concurrency=" + ('"adaptive"' if node.at_once.adaptive else str(node.concurrency))]
            words += [] if node.ordered else ["ordered=False"]
            words += [] if node.failures == "raise" else [f'failures="{node.failures}"']
            return f"{kind_name(node)}({', '.join(words)})"
        case Batched(n, within, by):
            words = [str(n)] + ([] if within is None else [f"within={within:g}"])
            return f"batched({', '.join(words + ([] if by is None else [f'by={name_of(by)}']))})"
        case Flatten(concurrency):
            return f"flatten({'' if concurrency == 1 else f'concurrency={concurrency}'})"


def _shown(node: Step | Policed, executor: Any = "auto", use: tuple[Any, ...] = (), hedge: bool = False) -> str:
    parts = [f', executor="{getattr(executor, "name", executor)}"'] if executor != "auto" else []
    parts += [f", timeout={node.timeout:g}"] if node.timeout is not None else []
    parts += [f", limit={limit!r}" for limit in node.limits]
    parts += [f", retry={node.retry!r}"] if node.retry is not None else []
    parts += [", hedge=True"] if hedge else []
    parts += [f", use={', '.join(key for key, _ in use)}"] if use else []
    parts += [f", name={node.name!r}"] if node.name else []
    return "".join(parts)
