"""What do pages have that are read on a forge too? Links out of docs/, and pictures for light and dark."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, ClassVar

from pygments.lexers.python import PythonLexer

ROOT = Path(__file__).parents[2]
INSIDE = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
INSIDE |= {"examples/": "reference/generated/examples.md", "bench/README.md": "bench.md", "SECURITY.md": "security.md"}
NUMBERS = {"troubleshooting": "429", "explanation/why-429": "429"}  # the search passes over numbers, but for the index
SHOWN = {page.removesuffix(".md"): file for file, page in INSIDE.items() if file.endswith(".md") and page != "index.md"}
_LINK = re.compile(r"\]\((?P<up>(?:\.\./)+)(?P<path>[^)#\s]*)(?P<anchor>#[^)\s]*)?\)")


def leading_inside(text: str, docname: str) -> str:
    """Turn links that lead out of docs/ to the page of the site that shows that file.

    >>> leading_inside("[it](../../README.md), [one](../../examples/08_nested_services.py)", "a/b")
    '[it](../index.md), [one](../reference/generated/examples.md#example-08)'
    """
    depth = docname.count("/")

    def replace(found: re.Match[str]) -> str:
        if found["up"].count("../") != depth + 1:
            return found[0]
        path = found["path"]
        if example := re.fullmatch(r"examples/(\w+)\.py", path):
            return f"]({'../' * depth}{INSIDE['examples/']}#example-{example[1][:2]})"
        if path not in INSIDE:
            return f"]({found['up']}{path}{found['anchor'] or ''})"
        return f"]({'../' * depth}{INSIDE[path]}{found['anchor'] or ''})"

    return _LINK.sub(replace, text)


def in_both_modes(text: str) -> str:
    """Show a picture for light beside the one for dark; the theme shows one of them.

    >>> print(in_both_modes("![A wall](a/wall-light.svg)"))
    ```{image} a/wall-light.svg
    :class: only-light
    :alt: A wall
    ```
    <BLANKLINE>
    ```{image} a/wall-dark.svg
    :class: only-dark
    :alt: A wall
    ```
    >>> in_both_modes("![A report](a/report-light.png)").count("report-dark.png")
    1
    """

    def replace(found: re.Match[str]) -> str:
        kinds = (
            f"```{{image}} {found[2]}-{it}.{found[3]}\n:class: only-{it}\n:alt: {found[1]}\n```"
            for it in ("light", "dark")
        )
        return "\n\n".join(kinds)

    return re.sub(r"^!\[([^\]]*)\]\(([^)]+)-light\.(svg|png)\)$", replace, text, flags=re.MULTILINE)


def shown(text: str, folder: str) -> str:
    """Return a file of another folder as a page of docs/: its links lead on from here, or are words.

    >>> shown("[it](docs/design.md#a) and [that](LICENSE) and [web](https://a.example)", "")
    '[it](design.md#a) and that and [web](https://a.example)'
    """

    def replace(found: re.Match[str]) -> str:
        path, _, anchor = found["to"].partition("#")
        if "://" in path or not path:
            return found[0]
        path = (folder + path).removeprefix("./")
        inside = path.removeprefix("docs/") if path.startswith("docs/") else INSIDE.get(path)
        return f"[{found['words']}]({inside}{'#' * bool(anchor)}{anchor})" if inside else found["words"]

    return re.sub(r"\[(?P<words>[^\]]+)\]\((?P<to>[^)\s]+)\)", replace, text)


def shown_at(docname: str) -> str:
    """Return the page of a file that is elsewhere."""
    file = SHOWN[docname]
    folder = file.rpartition("/")[0]
    return shown((ROOT / file).read_text("utf-8"), f"{folder}/" if folder else "")


def _read(_app: Any, docname: str, content: list[str]) -> None:
    if docname in SHOWN:
        content[0] = shown_at(docname)
    else:
        content[0] = in_both_modes(leading_inside(content[0], docname))
    if docname in NUMBERS:
        content[0] = content[0].replace("\n", f"\n\n```{{index}} {NUMBERS[docname]}\n```\n", 1)


class Signature(PythonLexer):
    """Signatures: Python but for a word before it, and defaults that are no expressions."""

    name = "python-signature"
    aliases: ClassVar[list[str]] = ["python-signature"]


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx do so with every page that it reads."""
    app.connect("source-read", _read)
    app.add_lexer("python-signature", Signature)
    return {"parallel_read_safe": True}
