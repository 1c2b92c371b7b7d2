"""Which pages are the reference? Every public name and every flag, as Markdown, from the code itself.

`python docs/_ext/reference.py` writes them into docs/reference/generated; building the site does so too.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Iterable
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import click

import whilst

sys.path.insert(0, str(Path(__file__).parent))
from docstrings import markdown_of
from signatures import fields_of, members_of, signature_of

HERE = Path(__file__).parents[1] / "reference" / "generated"
EXAMPLES = Path(__file__).parents[2] / "examples"

# Page, its heading, and the modules whose public names it holds; what is of no other is on the first one.
PAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "runs": (
        "Runs and outcomes",
        (
            "mapping",
            "core.spread",
            "core.call",
            "engine.current",
            "io",
            "run",
            "core.outcome",
            "core.summary",
            "core.advice",
        ),
    ),
    "flows": ("Flows, colours, resources", ("composing", "flow", "streams", "bridge", "core.resource")),
    "limits": ("Limits and retries", ("limit", "retrying", "core.events", "core.transient")),
    "journals": ("Journals", ("journal",)),
    "errors": ("Errors", ("errors",)),
    "doctor": ("The doctor", ("doctoring.session", "doctoring.finding")),
}
# Public modules: `whilst.http.get_json` and so on. Those that `whilst` loads by itself come too.
KNOWN = (
    "whilst.http",
    "whilst.http.aio",
    "whilst.journal",
    "whilst.testing",
    "whilst.demo.pokeapi",
)  # as in tests/public
MODULES = tuple(dict.fromkeys((*KNOWN, *(f"whilst.{name}" for name in whilst._MODULES))))


def pages() -> dict[str, str]:
    """Return the text of each generated page by its name."""
    found = {name: _page(title, _names(homes)) for name, (title, homes) in PAGES.items()}
    found["modules"] = _modules_page()
    found["command"] = _command_page()
    found["examples"] = _examples_page()
    return found


def write(into: Path = HERE) -> None:
    """Write the pages; one that says the same already is left alone."""
    into.mkdir(parents=True, exist_ok=True)
    texts = pages()
    for old in set(into.glob("*.md")) - {into / f"{name}.md" for name in texts}:
        old.unlink()
    for name, text in texts.items():
        path = into / f"{name}.md"
        if not path.is_file() or path.read_text("utf-8") != text:
            path.write_text(text, encoding="utf-8")


# Python --------------------------------------------------------------------------------------------------


def _names(homes: tuple[str, ...]) -> dict[str, Any]:
    """Return the public names of `whilst` that live in these modules."""
    known = {home for _, wanted in PAGES.values() for home in wanted}
    found: dict[str, Any] = {}
    for name in whilst.__all__:
        home = whilst._HOMES.get(name, "")
        home = next((it for it in known if home == it or home.startswith(f"{it}.")), PAGES["runs"][1][0])
        if home in homes:
            found[name] = getattr(whilst, name)
    order = {name: at for at, name in enumerate(found)}
    return dict(sorted(found.items(), key=lambda it: (it[0] != "map", inspect.isclass(it[1]), order[it[0]])))


def _page(title: str, names: dict[str, Any]) -> str:
    parts = [f"# {title}", "Made from the code: what each docstring says.", _contents(f"whilst.{it}" for it in names)]
    parts += [_thing(f"whilst.{name}", thing) for name, thing in names.items()]
    return "\n\n".join(parts) + "\n"


def _contents(names: Iterable[str]) -> str:
    return " · ".join(f"[`{name.removeprefix('whilst.')}`](#{_anchor(name)})" for name in names)


def _anchor(name: str) -> str:
    parts = ["class-" + part if part[:1].isupper() else part for part in name.split(".")]  # targets know no case
    return "-".join(["api", *parts]).replace("_", "-").lower()


def _thing(name: str, thing: Any, level: int = 2) -> str:
    """Describe a class, function or value under a heading of its own."""
    head = f"({_anchor(name)})=\n{'#' * level} {name}"
    if isinstance(thing, ModuleType):
        return f"{head}\n\n{markdown_of(inspect.getdoc(thing) or '')}"
    text = markdown_of(inspect.getdoc(thing) or "")
    short = name.removeprefix("whilst.")
    if not inspect.isclass(thing):
        shown = f"```python-signature\n{signature_of(short, thing)}\n```\n\n" if callable(thing) else ""
        return f"{head}\n\n{shown}{text}"
    kind = "exception" if issubclass(thing, BaseException) else "class"
    bases = ", ".join(it.__name__ for it in thing.__bases__)
    signature = signature_of(short, thing) if signature_of("", thing) != "(…)" else f"{short}({bases})"
    parts = [head, f"```python-signature\n{kind} {signature}\n```", text]
    parts += [part for part in (_fields(thing, text), *_members(name, thing, level)) if part]
    return "\n\n".join(parts)


def _fields(cls: type, said: str) -> str:
    """List the attributes that the docstring of the class has not listed already."""
    members = members_of(cls)
    lines = []
    for name, (kind, beside) in fields_of(cls).items():
        if f"- `{name}`:" not in said and name not in members:
            lines.append(f"- `{name}`: `{kind}`{'. ' if beside else ''}{' '.join(beside.split())}")
    return "**Fields**\n\n" + "\n".join(lines) if lines else ""


def _members(name: str, cls: type, level: int) -> Iterable[str]:
    for member, thing in members_of(cls).items():
        path = f"{name}.{member}"
        head = f"({_anchor(path)})=\n{'#' * (level + 1)} {path.rpartition('.')[0].rpartition('.')[2]}.{member}"
        if isinstance(thing, property):
            yield f"{head}\n\n{markdown_of(inspect.getdoc(thing) or '')}"
            continue
        function = thing.__func__ if isinstance(thing, (staticmethod, classmethod)) else thing
        shown = f"```python-signature\n{signature_of(member, function)}\n```"
        yield f"{head}\n\n{shown}\n\n{markdown_of(inspect.getdoc(getattr(cls, member)) or '')}"


def public_names(module: ModuleType) -> list[str]:
    """Return what a public module offers."""
    listed = getattr(module, "__all__", None)
    if listed is not None:
        return list(listed)
    own = vars(module).items()
    return [it for it, thing in own if not it.startswith("_") and getattr(thing, "__module__", "") == module.__name__]


def _modules_page() -> str:
    parts = ["# Public modules", "Each is imported by its own name. Made from the code: what each docstring says."]
    for path in MODULES:
        module = import_module(path)
        names = [it for it in public_names(module) if not isinstance(getattr(module, it), ModuleType)]
        text = markdown_of(inspect.getdoc(module) or "")
        parts += [f"({_anchor(path)})=\n## {path}", text, _contents(f"{path}.{it}" for it in names)]
        parts += [_thing(f"{path}.{it}", getattr(module, it), 3) for it in names]
    return "\n\n".join(parts) + "\n"


# The command line ----------------------------------------------------------------------------------------


def commands() -> dict[str, click.Command]:
    """Return every command of `whilst` by its name."""
    from whilst.cli.main import COMMANDS, group

    context = click.Context(group, **group.context_settings)
    found = {name: group.get_command(context, name) for name in COMMANDS}
    return {name: command for name, command in found.items() if command is not None}


def _command_page() -> str:
    from whilst.cli.main import group

    parts = [
        "# Every command, every flag",
        "What `whilst COMMAND --help` says. See also [the command line in real life]",
    ]
    parts[-1] += "(../../command-line.md)."
    parts.append(" · ".join(f"[`{name}`](#cli-{name})" for name in commands()))
    parts += ["## whilst", *_command("whilst", group)]
    for name, command in commands().items():
        parts += [f"(cli-{name})=\n## whilst {name}", *_command(f"whilst {name}", command)]
    return "\n\n".join(parts) + "\n"


def _command(path: str, command: click.Command) -> list[str]:
    with click.Context(command, info_name=path, **command.context_settings) as context:
        usage = " ".join([path, *command.collect_usage_pieces(context)])
        rows = []
        for parameter in command.get_params(context):
            record = parameter.get_help_record(context)
            if record is not None:
                rows.append(f"`{record[0]}`\n: {_plain(record[1])}")
    parts = [f"```text\n{usage}\n```", _help(command.help or "")]
    return [*parts, "\n\n".join(rows)]


def _help(text: str) -> str:
    """Return a command's help as Markdown; what click is told to leave as it is (after \\b) becomes a block."""
    parts = []
    for block in inspect.cleandoc(text).split("\n\n"):
        if block.startswith("\b"):
            parts.append("```text\n" + block.removeprefix("\b").strip("\n") + "\n```")
        else:
            parts.append(_plain(" ".join(block.split())))
    return "\n\n".join(part for part in parts if part)


def _plain(text: str) -> str:
    for sign in "\\*_<[|":
        text = text.replace(sign, f"\\{sign}")
    return text


# Examples ------------------------------------------------------------------------------------------------


def _examples_page() -> str:
    parts = [
        "# Examples",
        "Programs of a page each, from a loop to a whole import. Each runs as it is, in the checks too.",
    ]
    for path in sorted(EXAMPLES.glob("[0-9]*.py")):
        doc, _, code = path.read_text("utf-8").removeprefix('"""').partition('"""')
        lead = " ".join(doc.split("\n\n")[0].split()).removeprefix("Learn: ")
        title = path.stem.partition("_")[2].replace("_", " ").capitalize()
        shown = f"```{{code-block}} python\n:caption: examples/{path.name}\n\n{code.strip()}\n```"
        parts += [f"(example-{path.stem[:2]})=\n## {title}", lead[:1].upper() + lead[1:], shown]
    return "\n\n".join(parts) + "\n"


def setup(app: Any) -> dict[str, Any]:
    """Have Sphinx write the pages before it reads any."""
    app.connect("config-inited", lambda *_: write())
    return {"parallel_read_safe": True}


if __name__ == "__main__":
    write()
