"""The picture of a flow before it runs: a tree in text, as Mermaid, or in HTML for notebooks."""

from __future__ import annotations

import html
from dataclasses import dataclass

from .colour import is_async, name_of
from .signature import named_by_default
from .tree import Batched, Each, Flatten, Node, Policed, Step, children, kind_name

_WHEN_FAILED: dict[str, tuple[str, ...]] = {"raise": (), "skip": ("failures skipped",), "pass": ("failures passed on",)}


@dataclass(frozen=True, slots=True)
class Picture:
    """One node of a plan: what it is called, what is known of it, and what is below it.

    Attributes:
        label: its key in the node above (`orders`), if that has names.
        kind: `sequence`, `together`, `first`, `fallback`, `each`, `filter`, `flatten`, `batched` or `step`.
        title: what stands first on its line: the function for a step, else the kind.
        facts: colour, executor and policies.
        parts: the nodes below.
    """

    label: str
    kind: str
    title: str
    facts: tuple[str, ...]
    parts: tuple[Picture, ...]

    def __str__(self) -> str:
        return "\n".join(self._lines("", ""))

    __repr__ = __str__

    def _lines(self, first: str, rest: str) -> list[str]:
        lines = [f"{first}{self._line()}"]
        for place, part in enumerate(self.parts):
            last = place == len(self.parts) - 1
            lines += part._lines(rest + ("└─ " if last else "├─ "), rest + ("   " if last else "│  "))
        return lines

    def _line(self) -> str:
        name = f"{self.label}: {self.title}" if self.label else self.title
        return _inert(" · ".join((name, ", ".join(self.facts))) if self.facts else name)

    def mermaid(self) -> str:
        """Return the tree as a Mermaid flowchart.

        >>> import whilst
        >>> print(whilst.sequence(abs, str).plan().mermaid())
        flowchart TD
            n0["sequence"]
            n1["abs() · blocking, thread"]
            n0 -->|1| n1
            n2["str() · blocking, thread"]
            n0 -->|2| n2
        """
        lines = ["flowchart TD"]
        self._draw(lines, 0)
        return "\n".join(lines)

    def _draw(self, lines: list[str], number: int) -> int:
        text = html.escape(self._line()).replace("&quot;", "#quot;")
        lines.append(f'    n{number}["{text}"]')
        following = number + 1
        for place, part in enumerate(self.parts):
            child, following = following, part._draw(lines, following)
            edge = f"|{place + 1}|" if self.kind == "sequence" else ""
            lines.append(f"    n{number} -->{edge} n{child}")
        return following

    def _repr_html_(self) -> str:
        """Return a nested list, for notebooks."""
        return f'<ul style="list-style: none; padding-left: 0">{self._html()}</ul>'

    def _html(self) -> str:
        label = f"{_escaped(self.label)}: " if self.label else ""
        facts = f" <small>{_escaped(', '.join(self.facts))}</small>" if self.facts else ""
        below = f"<ul>{''.join(part._html() for part in self.parts)}</ul>" if self.parts else ""
        return f"<li>{label}<b>{_escaped(self.title)}</b>{facts}{below}</li>"


def picture(node: Node, label: str = "") -> Picture:
    """Draw a node and what is below it."""
    if isinstance(node, Policed):
        inner = picture(node.node, label)
        title = f"{node.name}: {inner.title}" if node.name else inner.title
        return Picture(label, inner.kind, title, (*inner.facts, *_policies(node)), inner.parts)
    parts = tuple(picture(child, key.removeprefix(".") if key.startswith(".") else "") for key, child in children(node))
    if isinstance(node, Each) and isinstance(node.step, Step):  # one line is enough for a stage with one function
        only = parts[0]
        kind = kind_name(node)
        return Picture(label, kind, f"{kind} {only.title}", (*_facts(node), *only.facts), ())
    return Picture(label, kind_name(node), _title(node), _facts(node), parts)


def _title(node: Node) -> str:
    if not isinstance(node, Step):
        return kind_name(node)
    return f"{node.name}: {node.called}" if node.name else node.called


def _facts(node: Node) -> tuple[str, ...]:
    match node:
        case Step():
            return (*_colour(node), *_policies(node), *(f"{key} per {wanted.per}" for key, wanted in node.use))
        case Each():
            facts = ("adaptive" if node.at_once.adaptive else f"{node.concurrency} at once",)
            return (*facts, *(() if node.ordered else ("unordered",)), *_WHEN_FAILED[node.failures])
        case Batched(n, within, by):
            facts = (f"at most {n}", *(() if within is None else (f"within {within:g} s",)))
            return facts if by is None else (*facts, f"by {name_of(by)}()")
        case Flatten(concurrency):
            return ("one level", *(() if concurrency == 1 else (f"{concurrency} at once", "unordered")))
        case _:
            return ()


def _colour(step: Step) -> tuple[str, ...]:
    if step.is_generator:
        found: tuple[str, ...] = ("generator",)
    elif step.elsewhere:
        found = ("async" if is_async(step.fn) else "blocking", step.executor.name)
    elif is_async(step.fn):
        found = ("async",)
    else:
        found = ("blocking", "thread")
    if not step.takes_value:
        return (*found, "takes no value")
    default = named_by_default(step.fn)
    return (*found, f"{default}= gets the value") if default else found


def _policies(node: Step | Policed) -> tuple[str, ...]:
    found = () if node.timeout is None else (f"timeout {node.timeout:g} s",)
    if node.retry is not None:
        found = (*found, f"{node.retry.attempts} attempts")
    if isinstance(node, Step) and node.hedge:
        found = (*found, "hedged")
    return (*found, *(f"limit {limit.terms}" for limit in node.limits if str(limit.terms) != "adaptive"))


def _escaped(text: str) -> str:
    return html.escape(_inert(text))


def _inert(text: str) -> str:
    """Replace what does not print: line ends, terminal escapes, marks that turn the direction of writing."""
    return "".join(sign if sign.isprintable() else "\N{REPLACEMENT CHARACTER}" for sign in text)
