"""No secret leaves a run: a hundred texts with one, as failures, over everything that a run writes and says."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import commandkit
import pytest

sys.path.insert(0, str(Path(__file__).parent.parent / "core"))
from canaries import CANARY, TEXTS

import whilst

JOBS = """\
import json
from pathlib import Path
import whilst
TEXTS = json.loads(Path("texts.json").read_text())
def fail(number):
    raise RuntimeError(TEXTS[int(number)])
def same(number):
    raise AttributeError("no token 'CANARY' of https://me:CANARY@host/?k=CANARY")
def ends(number):
    raise SystemExit(TEXTS[int(number)])
def returns(number):
    return {"why": object(), "text": TEXTS[int(number)]}
flow = whilst.sequence(int, whilst.together(a=fail, b=fail))
def one_run(inputs):
    return fail(0)
""".replace("CANARY", CANARY)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.py").write_text(JOBS)
    (tmp_path / "texts.json").write_text(json.dumps(TEXTS))
    (tmp_path / "inputs.txt").write_text("".join(f"{number}\n" for number in range(len(TEXTS))))
    return tmp_path


def said(*arguments: str, stdin: str = "") -> str:
    code, out, err = commandkit.run(*arguments, stdin=stdin.encode())
    assert code != 0 or arguments[0] in ("status", "export"), (arguments, out, err)
    assert "Traceback" not in err.decode()
    return out.decode() + err.decode()


def left_in(folder: Path, *texts: str) -> list[str]:
    """Return where the secret is, but for where it was put."""
    places = [text[max(0, text.find(CANARY) - 80) :][:160] for text in texts if CANARY in text]
    files = [path for path in folder.iterdir() if path.is_file() and path.name not in ("jobs.py", "texts.json")]
    return [*places, *(path.name for path in files if CANARY.encode() in path.read_bytes())]


def test_no_secret_of_a_failure_is_in_any_output_of_a_command(here: Path) -> None:
    shown = [
        said("map", "jobs.py:fail", "inputs.txt", "--stop-after", "100%"),
        said(
            "map", "jobs.py:fail", "inputs.txt", "--stop-after", "100%", "-o", "out.jsonl", "--failed", "failed.jsonl"
        ),
        said("map", "jobs.py:fail", "inputs.txt", "--stop-after", "100%", "-o", "out.csv"),
        said("map", "jobs.py:fail", "inputs.txt", "--stop-after", "100%", "-o", "sqlite:out.db?table=t"),
        said("map", "jobs.py:fail", "inputs.txt", "--stop-after", "100%", "--journal", "run.db", "-o", "kept.jsonl"),
        said("map", "jobs.py:fail", "inputs.txt", "--stop-after", "3", "-o", "few.jsonl"),
        said("map", "jobs.py:same", "inputs.txt", "-o", "same.jsonl"),
        said("map", "jobs.py:ends", "inputs.txt", "-o", "ends.jsonl"),
        said("map", "jobs.py:returns", "inputs.txt", "--values", "--stop-after", "100%"),
        said("map", "jobs.py:flow", "inputs.txt", "--stop-after", "100%", "-o", "flow.jsonl"),
        said("run", "jobs.py:one_run", "inputs.txt"),
        said("status", "run.db"),
        said("status", "run.db", "--json"),
        said("export", "run.db", "-o", "export.jsonl"),
        said("export", "run.db", "-o", "export.csv"),
    ]
    assert left_in(here, *shown) == []
    assert len((here / "failed.jsonl").read_text().splitlines()) == len(TEXTS)  # nothing is left out for it
    assert json.loads((here / "run.db.status.json").read_text())["failed"] == len(TEXTS)


def test_no_secret_of_a_command_line_is_in_the_status_beside_its_journal(here: Path) -> None:
    arguments = ["map", "jobs.py:fail", "inputs.txt", "--stop-after", "1", "--journal", "run.db"]
    said(*arguments, "-o", f"postgresql://me:{CANARY}@127.0.0.1:9/db?table=t")
    said("get", f"http://127.0.0.1:9/?api_key={CANARY}", "--journal", "get.db")
    shown = [said("status", "get.db"), said("status", "get.db", "--json")]
    assert CANARY not in "".join(shown)
    assert CANARY not in "".join(path.read_text() for path in here.glob("*.status.json"))


@pytest.mark.parametrize(
    "arguments",
    [
        ["map", "jobs.py:fail", f"https://bucket.example/x.jsonl?X-Amz-Signature={CANARY}&{{}}"],
        ["map", "jobs.py:fail", "inputs.txt", "-o", f"postgresql://me:{CANARY}@127.0.0.1:9/db"],
        ["map", "jobs.py:fail", "inputs.txt", f"--token={CANARY}"],
        ["map", "jobs.py:fail", f"https://me:{CANARY}@127.0.0.1:9/x.jsonl?a={CANARY}"],
        ["get", f"https://host.example/{{a?token={CANARY}"],
        ["get", f"https://me:{CANARY}@host.example/"],
        ["get", f"htps://me:{CANARY}@host.example/?k={CANARY}"],
        ["get", f"host.example/?k={CANARY}"],
        ["get", "http://127.0.0.1:9/", f"token={CANARY}"],
        ["get", "http://127.0.0.1:9/", "--header", f"Authorization: {CANARY}"],
        ["get", "http://127.0.0.1:9/", "--header-env", f"Authorization=Bearer {CANARY}"],
        ["status", f"/nowhere/?token={CANARY}"],
        ["resume", f"/nowhere/?token={CANARY}"],
    ],
)
def test_no_secret_of_an_argument_is_in_what_is_said_about_it(here: Path, arguments: list[str]) -> None:
    code, out, err = commandkit.run(*arguments)
    assert code != 0
    assert CANARY not in (out + err).decode()


def test_no_secret_is_in_notes_and_errors_of_a_run_in_python(tmp_path: Path) -> None:
    def fail(text: str) -> None:
        raise AttributeError(text)

    def unstorable(text: str) -> Any:
        return {text: object()}

    shown: list[str] = []
    for number, text in enumerate(TEXTS):
        with pytest.raises(AttributeError) as failed:
            whilst.map(fail, [text]).list()
        shown += failed.value.__notes__
        with pytest.raises(whilst.Unstorable) as refused:
            whilst.map(unstorable, [text], journal=tmp_path / f"{number}.db").list()
        shown.append(str(refused.value))
        outcome = next(iter(whilst.map(fail, [text], stop_after=2).outcomes()))
        shown += [repr(outcome), repr(whilst.map(fail, [text]))]
        with pytest.raises(whilst.Stopped) as stopped:
            list(whilst.map(fail, [text] * 100, stop_after=2).outcomes())
        shown.append(str(stopped.value))
        with pytest.raises(whilst.Stopped) as hopeless:
            list(whilst.map(fail, [text] * 100).outcomes())
        shown.append(str(hopeless.value))
        with pytest.raises(TypeError) as no_key:
            whilst.Journal(tmp_path / "x.db", key=text)  # type: ignore[arg-type]
        shown.append(str(no_key.value))
    assert [text for text in shown if CANARY in text] == []
    assert len(shown) >= 6 * len(TEXTS)
