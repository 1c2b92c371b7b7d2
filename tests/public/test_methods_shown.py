"""A public method stands in an example that can be copied; what only the library itself calls has an underscore."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from snapshots import MODULES, _is_ours, _members

ROOT = Path(__file__).parent.parent.parent
# What examples call an object of a class, besides its name in small letters.
CALLED = {
    "Api": "api",
    "Finding": "advice|finding",
    "Limit": "api|polite|found|database|tenants|limit",
    "Outcomes": r"outcomes\(\)",
    "Outcome": "outcome|bad",
    "Ray": "cluster",
    "Permit": "permit|place|seat",
    "Response": "response|answer",
    "Retry": r"Retry\([^\n]*\)",
    "Run": r"run|map\([^\n]*\)|stream\([^\n]*\)",
    "Call": r"call|current_call\(\)",
    "Summary": r"summary|summary\(\)",
    "Watch": "watch|watched|page",
}


def examples() -> str:
    """Return what a reader may copy: blocks of code in the pages, examples in docstrings, and those of the folder."""
    pages = [*ROOT.glob("docs/**/*.md"), ROOT / "README.md"]
    texts = [block for page in pages for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
    texts += re.findall(r"`([^`\n]+)`", "".join(page.read_text() for page in pages))
    for source in ROOT.glob("src/whilst/**/*.py"):
        texts += re.findall(r"^ *(?:>>>|\.\.\.) (.*)", source.read_text(), re.MULTILINE)
    return "\n".join([*texts, *(file.read_text() for file in ROOT.glob("examples/*.py"))])


def methods() -> Iterator[tuple[str, str]]:
    """Give the public classes and their methods that no base of another library has."""
    seen: set[tuple[type, str]] = set()
    for module in map(importlib.import_module, MODULES):
        public: list[str] = getattr(module, "__all__", None) or [it for it in vars(module) if not it.startswith("_")]
        for kind in [found for name in public if inspect.isclass(found := getattr(module, name)) and _is_ours(found)]:
            for member, _ in _members(kind):
                thing: Any = inspect.getattr_static(kind, member, None)
                known = any(hasattr(base, member) for base in kind.__mro__ if not _is_ours(base))
                is_method = inspect.isfunction(thing) or isinstance(thing, (classmethod, staticmethod))
                if is_method and not known and not member.startswith("__") and (kind, member) not in seen:
                    seen.add((kind, member))
                    yield kind.__name__, member


@pytest.fixture(scope="module")
def shown() -> str:
    return examples()


@pytest.mark.parametrize(("kind", "method"), list(methods()))
def test_a_public_method_is_shown(kind: str, method: str, shown: str) -> None:
    names = f"{kind}|{kind.lower()}|{CALLED.get(kind, kind)}"
    assert re.search(rf"\b(?:{names})\.{method}\b", shown), (
        f"{kind}.{method} is in no example: show it, or make it private"
    )
