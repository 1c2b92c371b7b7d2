"""Where figures stand on a page: between two marks, so that none of them is written by hand."""

from pathlib import Path

README = Path(__file__).parent / "README.md"


def marks(name: str) -> tuple[str, str]:
    """The lines around the figures of one bench."""
    return f"<!-- {name}:start -->", f"<!-- {name}:end -->"


def has_marks(page: Path, name: str = "bench") -> bool:
    text = page.read_text(encoding="utf-8")
    start, end = map(text.find, marks(name))
    return 0 <= start < end


def fill(page: Path, between: str, name: str = "bench") -> None:
    """Write beside and move over, so that an interrupted bench leaves the old page."""
    text = page.read_text(encoding="utf-8")
    start, end = marks(name)
    before, after = text[: text.index(start)], text[text.index(end) + len(end) :]
    beside = page.with_suffix(".new")
    beside.write_text(f"{before}{start}{between}{end}{after}", encoding="utf-8")
    beside.replace(page)
