"""`whilst report TRACE|JOURNAL`: the picture of a run, made of what it left behind."""

from __future__ import annotations

import os
import shlex
import sys
from typing import TYPE_CHECKING

import click

from ..errors import JournalError, JournalLocked
from .keep import problem_of
from .messages import DISK, Problem, clean, say
from .paths import Name

if TYPE_CHECKING:
    from ..insight.recorded import Recorded
    from ..reporting import Form

FORMS = {"html": ".html", "json": ".json", "chrome": ".chrome.json"}


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("recording", type=Name(), metavar="TRACE|JOURNAL")
@click.option("-o", "--out", type=Name(), metavar="OUT", help="Write the page to OUT; TRACE.html if not given.")
@click.option(
    "--as",
    "form",
    type=click.Choice([*FORMS]),
    help="A page, JSON for programs, or a trace for Perfetto; if not given, the name of OUT decides.",
)
@click.option("--journal", type=Name(), metavar="JOURNAL", help="The journal of the run: shows the inputs of TRACE.")
@click.option("--overwrite", is_flag=True, help="Replace OUT even if it is not a report.")
def command(recording: str, out: str | None, form: Form | None, journal: str | None, overwrite: bool) -> int:
    """Make a web page of a run: when each call was made, what failed, where the time went, what to change.

    TRACE is a file of --trace or trace=. The run may go on, have ended, or have been killed. For a JOURNAL the page
    shows the last call of each input, and you can search for inputs; also for a TRACE with its --journal. The page is
    one file and loads nothing else.

    \b
    whilst map jobs.py:check hosts.txt -o out.jsonl --trace run.trace
    whilst report run.trace
    whilst report run.trace --journal run.db
    whilst report run.trace -o run.chrome.json.gz
    """
    from ..reporting import form_of, write_report

    path = out if out is not None else _beside(recording, form or "html")
    wanted = form or form_of(path)
    if wanted is None:
        raise Problem(
            f"{path}: its ending names no form of a report",
            remedy="-o run.html, -o run.json, -o run.chrome.json, or --as html",
        )
    _check_out(path, recording, overwrite)
    found = _recorded(recording, journal)
    try:
        write_report(found, path, wanted)
    except OSError as error:
        raise Problem(f"{path} cannot be written: {error.strerror or error}", code=DISK) from None
    click.echo(os.fsencode(clean(path)))  # which may be no text
    if wanted == "html":
        say(f"open it: {opener()} {shlex.quote(path)}")
    elif wanted == "chrome":
        say("open it: https://ui.perfetto.dev, or chrome://tracing")
    return 0


def _recorded(path: str, journal: str | None) -> Recorded:
    from ..insight.tracefile import NoTrace
    from ..reporting import recorded_of

    try:
        return recorded_of(path, journal)
    except NoTrace as error:
        raise Problem(error.fact, remedy=error.remedy) from None
    except JournalLocked as error:
        fact, _, _ = str(error).partition("\n")
        instead = f"whilst {'status' if journal is None else 'report'} {shlex.quote(path)}"
        raise Problem(fact, "a journal can be shown once its run has ended", remedy=instead) from None
    except JournalError as error:
        raise problem_of(error) from None
    except FileNotFoundError:
        raise Problem(f"there is no trace or journal at {path}", remedy="the FILE of your --trace FILE") from None
    except OSError as error:
        raise Problem(f"{path} cannot be read: {error.strerror or error}") from None


def _beside(recording: str, form: Form) -> str:
    return os.path.splitext(recording)[0] + FORMS[form]


def _check_out(path: str, recording: str, overwrite: bool) -> None:
    """Problem if something is there that was not meant."""
    from ..reporting import is_report

    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise Problem(f"{path}: there is no directory {folder}", remedy=f"mkdir -p {shlex.quote(folder)}")
    if os.path.isdir(path):
        raise Problem(f"{path} is a directory", remedy=f"-o {os.path.join(path, 'run.html')}")
    if os.path.exists(path) and os.path.exists(recording) and os.path.samefile(path, recording):
        raise Problem(f"{path} is the input of the report", remedy="-o run.html")
    if os.path.exists(path) and not overwrite and not is_report(path):
        raise Problem(
            f"{path} is there, and is not a report", "it is not replaced", remedy="--overwrite, or another name"
        )


def opener() -> str:
    """Return the command that opens a page on this system."""
    return {"darwin": "open", "win32": "start"}.get(sys.platform, "xdg-open")
