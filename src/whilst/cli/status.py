"""`whilst status JOURNAL`: how a run is doing, or did; reading it disturbs nobody."""

from __future__ import annotations

import shlex
import time
from typing import TYPE_CHECKING

import click
import msgspec

from ..core.secrets import without_secrets, without_secrets_in
from ..errors import JournalError
from .keep import problem_of
from .messages import clean, short
from .paths import Name

if TYPE_CHECKING:
    from ..journal import Status


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal", type=Name())
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(journal: str, as_json: bool) -> int:
    """Show what is in JOURNAL, and the progress of its run, even while it runs.

    \b
    whilst status run.db
    """
    from ..journal import read_status

    try:
        status = read_status(journal)
    except JournalError as error:
        raise problem_of(error) from None
    status = status._without_secrets()
    if as_json:
        click.echo(msgspec.json.encode(status))
        return 0
    of = f" of {status.total:,}" if status.total is not None else ""
    lines = [f"{status.name or journal}: {status.done:,} done{of}, {status.failed:,} failed"]
    if status.running:
        since = time.strftime("%H:%M", time.localtime(status.started))
        lines.append(f"  running as pid {status.pid} on {status.host} since {since}, {status.rate:,.0f}/s")
    else:
        how = "not running" if status.ended else "not running: it was killed"
        lines.append(f"  {how}; last written {time.strftime('%Y-%m-%d %H:%M', time.localtime(status.updated))}")
    for kind, seen in sorted(status.kinds.items(), key=lambda entry: -entry[1].count):
        example = (
            f"  e.g. {short(seen.example.message, 100)} for {short(seen.example.input, 60)}" if seen.example else ""
        )
        lines.append(f"  {seen.count:,} {kind}{example}")
    lines += [f"  {text}" for text in (status.problem, *status.notices) if text]
    if status.command is not None:
        lines.append(f"  whilst {shlex.join(without_secrets_in(status.command.argv))}")
        if not status.running and (what := _what_is_left(status)):
            lines.append(f"  {what}: whilst resume {shlex.quote(journal)}")
    click.echo(clean(without_secrets("\n".join(lines))))
    return 0


def _what_is_left(status: Status) -> str:
    """Say what `resume` would do, as far as there is anything."""
    if status.total is None or status.done + status.failed < status.total:
        return "go on"
    return "try the failed ones again" if status.failed else ""
