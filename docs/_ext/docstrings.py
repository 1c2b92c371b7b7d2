"""How does a docstring of this project look as Markdown?

They are prose, with sections as in `Args:` and `Raises:`, and examples after `>>>`; backticks are code, as in Markdown.
"""

from __future__ import annotations

import re
import textwrap

SECTIONS = ("Args", "Attributes", "Returns", "Yields", "Raises", "Notes")
_ENTRY = re.compile(r"(?P<names>[\w*.]+(?:, [\w*.]+)*): (?P<text>.*)")


def markdown_of(text: str) -> str:
    """Return a docstring as Markdown, its headings as bold words.

    >>> print(markdown_of("Add.\\n\\nArgs:\\n    a: one\\n    b: the\\n        other"))
    Add.
    <BLANKLINE>
    **Args**
    <BLANKLINE>
    - `a`: one
    - `b`: the other
    """
    return "\n\n".join(part for block in _blocks(text) if (part := _block(block)))


def _blocks(text: str) -> list[list[str]]:
    """Split at empty lines, but keep a section together, and an example."""
    blocks: list[list[str]] = []
    for line in text.expandtabs().splitlines():
        last = blocks[-1] if blocks else None
        if not line.strip():
            if last and _goes_on(last):
                last.append("")
            else:
                blocks.append([])
        elif last is None or _begins(line, last):
            blocks.append([line])
        else:
            last.append(line)
    return [block for block in blocks if any(line.strip() for line in block)]


def _begins(line: str, last: list[str]) -> bool:
    """Whether a line begins something of its own behind what stands before it."""
    if line.startswith(">>>"):
        return bool(last) and not last[0].startswith(">>>")
    return bool(last) and _goes_on(last) and "" in last and not line.startswith(" ")


def _goes_on(block: list[str]) -> bool:
    return block[0].rstrip(":") in SECTIONS or block[0].startswith(">>>")


def _block(lines: list[str]) -> str:
    while lines and not lines[-1].strip():
        lines = lines[:-1]
    if lines[0].startswith(">>>"):
        return "\n".join(["```pycon", *lines, "```"])
    if lines[0].rstrip(":") in SECTIONS:
        return f"**{lines[0].rstrip(':')}**\n\n{_entries(lines[1:])}"
    if all(line.startswith("    ") for line in lines):
        return "\n".join(["```text", *textwrap.dedent("\n".join(lines)).splitlines(), "```"])
    if not lines[0].startswith((" ", "-")) and len(lines) > 1 and all(it.startswith("    ") for it in lines[1:]):
        return "\n".join([lines[0], "", "```text", *textwrap.dedent("\n".join(lines[1:])).splitlines(), "```"])
    return "\n".join(lines)


def _entries(lines: list[str]) -> str:
    """Make a list of `name: text`, whose lines that go on are indented further."""
    found: list[str] = []
    for line in textwrap.dedent("\n".join(lines)).splitlines():
        match = _ENTRY.match(line)
        if match and not line.startswith(" "):
            names = ", ".join(f"`{name}`" for name in match["names"].split(", "))
            found.append(f"- {names}: {match['text']}")
        elif found and line.strip():
            found[-1] += f" {line.strip()}"
        elif line.strip():
            found.append(line.strip())
    return "\n".join(found)
