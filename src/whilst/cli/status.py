"""`whilst status JOURNAL`: how a run is doing, or did; reading it disturbs nobody."""

from __future__ import annotations

import shlex
import time

import click
import msgspec

from ..core.secrets import without_secrets
from ..errors import JournalError
from .keep import problem_of
from .messages import clean, short


@click.command(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.argument("journal")
@click.option("--json", "as_json", is_flag=True, help="One JSON object, for programs.")
def command(journal: str, as_json: bool) -> int:
    """Say what is in JOURNAL, and how its run is doing, also while it runs.

    \b
    whilst status run.db
    """
    from ..journal import read_status

    try:
        status = read_status(journal)
    except JournalError as error:
        raise problem_of(error) from None
    if as_json:
        click.echo(msgspec.json.encode(status))
        return 0
    of = f" of {status.total:,}" if status.total is not None else ""
    lines = [f"{status.name or journal}: {status.done:,} done{of}, {status.failed:,} failed"]
    if status.running:
        since = time.strftime("%H:%M", time.localtime(status.started))
        lines.append(f"  running as pid {status.pid} on {status.host} since {since}, {status.rate:,.0f}/s")
    else:
        lines.append(f"  not running; last written {time.strftime('%Y-%m-%d %H:%M', time.localtime(status.updated))}")
    for kind, seen in sorted(status.kinds.items(), key=lambda entry: -entry[1].count):
        example = (
            f"  e.g. {short(seen.example.message, 100)} for {short(seen.example.input, 60)}" if seen.example else ""
        )
        lines.append(f"  {seen.count:,} {kind}{example}")
    lines += [f"  {text}" for text in (status.problem, *status.notices) if text]
    if status.command is not None:
        lines.append(f"  whilst {without_secrets(shlex.join(status.command.argv))}")
        if not status.running:
            lines.append(f"  go on: whilst resume {shlex.quote(journal)}")
    click.echo(clean("\n".join(lines)))
    return 0
