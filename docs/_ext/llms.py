"""What does a program read of this site? `llms.txt`, every page as Markdown beside it, and all in one file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from pages import SHOWN, shown_at

HEAD = """# whilst

> Runs the functions you already have, blocking or async, many at a time: bounded, in order, with limits, retries and a
> journal that survives a kill. `whilst.map(fn, inputs)`; Python 3.11 or newer; no configuration.

Each page below is Markdown. All of them in one file: llms-full.txt
"""


def lead_of(text: str) -> tuple[str, str]:
    """Return the title of a page and its first sentence.

    >>> lead_of("(a)=\\n# Title\\n\\nOne. Two.\\n")
    ('Title', 'One.')
    """
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    if heading is None:
        return "", ""
    paragraphs = re.split(r"\n\s*\n", text[heading.end() :].strip())
    prose = next((it for it in paragraphs if it[:1].isalnum() or it[:1] in '`[*"'), "")
    plain = re.sub(r"\[([^\]]+)\]\([^)]*\)", r"\1", " ".join(prose.split()))
    return heading[1], re.split(r"(?<=[.?!]) ", plain)[0]


def _write(app: Any, error: Exception | None) -> None:
    if error is not None or app.builder.format != "html":
        return
    out, lines, whole = Path(app.outdir), [HEAD], [HEAD]
    for docname in _in_order(app.env):
        source = Path(app.env.doc2path(docname))
        if source.suffix != ".md":
            continue
        text = source.read_text("utf-8")
        if docname in SHOWN:
            text = shown_at(docname)
        title, lead = lead_of(text)
        (out / docname).parent.mkdir(parents=True, exist_ok=True)
        (out / f"{docname}.md").write_text(text, encoding="utf-8")
        lines.append(f"- [{title}]({docname}.md): {lead}")
        whole.append(text)
    (out / "llms.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    (out / "llms-full.txt").write_text("\n\n".join(whole), encoding="utf-8")


def _in_order(env: Any) -> list[str]:
    """Return the pages in the order of the navigation, each once."""
    found: dict[str, None] = {}

    def visit(docname: str) -> None:
        if docname not in found:
            found[docname] = None
            for child in env.toctree_includes.get(docname, []):
                visit(child)

    visit(env.config.root_doc)
    return list(found)


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx write these files when the pages are there."""
    app.connect("build-finished", _write)
    return {"parallel_read_safe": True}
