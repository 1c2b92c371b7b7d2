"""`whilst get [URL…|FILE]`: many requests, one line for each answer."""

from __future__ import annotations

import sys
from functools import partial
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from ..io.open import output_format
from ..io.refusal import closest
from ..io.rows import Rejected, Row
from .asked import Asked, check_asked, has_pages, row_flag, with_method
from .connection import check_connection
from .headers import is_secret, read_headers
from .inputs import Source
from .job import Job, Work, run_job
from .messages import Problem, agreed, is_terminal, say, short
from .options import Decorates, GroupedOption, RunOptions, output_option, rows_command, with_run_options
from .paths import Name
from .sizes import Size
from .template import Unfillable

if TYPE_CHECKING:
    from .deliver import Sinks
    from .fetch import Fetch
    from .paging import Pages
    from .room import Room
    from .saving import Saver

request_option: Decorates = partial(click.option, cls=GroupedOption, heading="Request")
page_option: Decorates = partial(click.option, cls=GroupedOption, heading="Pages")


@rows_command()
@click.argument("targets", nargs=-1, metavar="[URL…|FILE]")
@request_option(
    "--url", metavar="TEMPLATE", help="With FILE: how to make a URL of a row: 'https://…/{id}'; {} is the row."
)
@request_option("--method", metavar="NAME", help="The HTTP method; by default GET, or POST with a body.")
@request_option("--header", "plain", multiple=True, metavar="'NAME: VALUE'", help="A header that is not secret.")
@request_option(
    "--header-env",
    "from_env",
    multiple=True,
    metavar="NAME=VAR",
    help="A header; its value is in the environment variable VAR.",
)
@request_option(
    "--header-file", "from_file", multiple=True, metavar="NAME=FILE", help="A header; its value is in FILE."
)
@request_option(
    "--json-field",
    "json_fields",
    multiple=True,
    metavar="FIELD",
    help="Send this field of the row as a member of a JSON body.",
)
@request_option("--body-field", metavar="FIELD", help="Send this field of the row as the body.")
@request_option(
    "--cacert", type=Name("ca.pem"), metavar="FILE", help="Also trust the certificate authorities in FILE (PEM)."
)
@request_option("--insecure", is_flag=True, help="Accept any certificate: others can read and change everything.")
@request_option("--proxy", metavar="URL", help="Use this proxy instead of the one in the environment.")
@request_option("--yes", is_flag=True, help="Fetch the same URL for each row, if the template has no field.")
@output_option(
    "--as",
    "form",
    type=click.Choice(["json", "text", "bytes", "response"]),
    default="json",
    help="How to read answers: json by default; response adds status, headers and final URL.",
)
@output_option(
    "--save",
    type=Name("'answers/{name}'"),
    metavar="'DIR/{name}'",
    help="Save answers as files; also {host}, {line}, fields of the row.",
)
@output_option(
    "--max-size", type=Size(), metavar="SIZE", help="Largest answer in memory; by default 64MiB, no limit with --save."
)
@output_option(
    "--max-memory",
    type=Size(),
    metavar="SIZE",
    help="All answers in memory together; by default a quarter of the memory.",
)
@output_option("--items", metavar="FIELD", help="Write one line for each element of this list in the answer.")
@page_option("--next", "next_field", metavar="FIELD", help="Then fetch the URL in this field of the answer.")
@page_option("--follow", type=click.Choice(["link"]), help="Then fetch the next URL of the Link header.")
@page_option("--next-param", metavar="PARAM", help="--next names a cursor: send it as this parameter of the query.")
@page_option("--until", metavar="FIELD=VALUE", help="Stop at the page with this value: has_more=false.")
@page_option("--max-pages", type=click.IntRange(min=1), metavar="N", help="Fetch at most N pages for each row.")
@with_run_options
def command(targets: tuple[str, ...], options: RunOptions, **given: Any) -> int:
    """Fetch every URL, many at a time.

    A URL may mean many, as in 'https://pokeapi.co/api/v2/pokemon/{1..151}', {01..10} or {a,b}. FILE is - (standard
    input, one URL a line), .txt, .jsonl or .csv: rows that are URLs, have a field url, or fill --url with their fields.
    Each outcome is a line, a JSON object with input and value, or error and attempts. FIELD may be dotted.

    \b
    whilst get 'https://pokeapi.co/api/v2/pokemon/{1..151}' -o pokemon.jsonl
    whilst get ids.csv --url 'https://a.example/{id}' --header-env X-API-Key=KEY
    whilst get 'https://api.example.com/things' --next links.next --items things
    """
    return run_get(targets, Asked(**given), options)


def run_get(targets: tuple[str, ...], asked: Asked, options: RunOptions) -> int:
    """Run it and return the exit code; Problem if it cannot even begin."""
    return run_job(options, lambda: _prepare(targets, asked, options), "whilst get")


def _prepare(targets: tuple[str, ...], asked: Asked, options: RunOptions) -> Job:
    _check_installed()
    asked = with_method(asked)
    check_asked(asked)
    check_connection(asked.cacert, asked.insecure, asked.proxy)
    if options.dry_run is None:
        _make_client_ahead()
    from .urls import Arguments, open_targets

    source = open_targets(targets, options.rows_format, options.manner, row_flag(asked))
    fetch = _fetch(asked, options)
    total = source.total if isinstance(source, Arguments) and not has_pages(asked) else None
    return Job(source, lambda first: _work(fetch, asked, first, source), total)


def _work(fetch: Fetch, asked: Asked, first: Row | Rejected | None, source: Source) -> Work:
    from .fetch import fetcher

    fetch = _fitted(fetch, first, source)
    _check_placeholder(fetch, asked, source)
    pages = None
    if has_pages(asked):
        from .paging import Pages

        stay = any(is_secret(name) for name in fetch.headers or ())
        pages = Pages(
            fetch.url_of,
            asked.next_field,
            most=asked.max_pages,
            stay=stay,
            param=asked.next_param,
            until=asked.until,
        )
    return Work(
        name="get",
        worker=lambda prepare: fetcher(fetch, pages, prepare),
        shown=fetch.shown,
        misfit=fetch.misfit,
        after=pages.after if pages is not None else None,
        holder=fetch.room,
        subject=fetch.identity,
        through=partial(_through, fetch, pages),
        as_text=fetch.as_text,
        lacks=_without_uvloop(),
    )


def _without_uvloop() -> str:
    """Say that uvloop is missing, where there could be one."""
    if sys.platform == "win32" or find_spec("uvloop") is not None:
        return ""
    return "uvloop is not installed, with which a request takes less of the CPU: pip install 'whilst[http]'"


def _confirmed(fact: str) -> bool:
    """Ask whoever sits at the terminal; nobody there is a no."""
    if sys.stdin is None or not sys.stdin.isatty() or not is_terminal():
        return False
    say(fact)
    return agreed("ask for it once a row?")


def _through(fetch: Fetch, pages: Pages | None, sinks: Sinks) -> Sinks:
    """Have the elements of lists written each for itself, and pages followed."""
    from .spread import spread, through

    if fetch.items is not None:
        sinks = spread(sinks)
    return sinks if pages is None else through(sinks, pages.prepare, pages.write)


def _fetch(asked: Asked, options: RunOptions) -> Fetch:
    from ..http.clients import TIMEOUT
    from .fetch import Fetch

    has_body = bool(asked.body_field or asked.json_fields)
    return Fetch(
        url=asked.url,
        method=asked.method or ("POST" if has_body else "GET"),
        headers=read_headers(asked.plain, asked.from_env, asked.from_file) or None,
        body_field=asked.body_field,
        json_fields=asked.json_fields,
        # --timeout is the run's own affair; what is saved may take any time, as long as something comes.
        timeout=None if asked.save is not None else max(TIMEOUT, 2 * (options.timeout or 0)),
        form=asked.form,
        items=asked.items,
        next_field=asked.next_field,
        follow=asked.follow,
        # A journal keeps values for any output, so it needs to see those that are parts of an answer.
        as_it_came=options.journal is None and _is_jsonl(options.out),
        as_text=asked.items is None and not has_pages(asked) and asked.save is None and _is_jsonl(options.out),
        next_param=asked.next_param,
        until=asked.until,
        room=_room(asked),
        saver=_saver(asked, options),
    )


def _room(asked: Asked) -> Room:
    from ..http.reading import Largest
    from .room import Room, default_memory

    if asked.save is None:
        return Room(asked.max_memory or default_memory(), asked.max_size)
    room = Room(1 << 60, asked.max_size)
    if asked.max_size is None:
        room.largest = Largest(None)
    return room


def _saver(asked: Asked, options: RunOptions) -> Saver | None:
    if asked.save is None:
        return None
    from .saving import Saver

    return Saver(asked.save, overwrite=options.overwrite)


def _check_placeholder(fetch: Fetch, asked: Asked, source: Source) -> None:
    """Ask first where every row would be the same request: a field was forgotten, most likely."""
    if fetch.url is None or fetch.fields or fetch.body_field or fetch.json_fields or asked.yes:
        return
    from ..http.address import shown_url

    fact = f"every row of {source.name} would ask for the same: {fetch.method} {shown_url(fetch.url)}"
    if not _confirmed(fact):
        raise Problem(fact, "--url names no field of a row", remedy="--url '…/{}', or --yes if that is meant")


def _is_jsonl(name: str) -> bool:
    try:
        return output_format(name) == "jsonl"
    except ValueError:  # is said when the outputs are looked at
        return True


def _check_installed() -> None:
    if find_spec("pyreqwest") is None:
        raise Problem("whilst get needs pyreqwest, which is not installed", remedy="pip install 'whilst[http]'")


def _make_client_ahead() -> None:
    from ..http.clients import make_ahead

    make_ahead()


def _fitted(fetch: Fetch, first: Row | Rejected | None, source: Source) -> Fetch:
    """Settle where a row's URL is, by the first; Problem if it has none."""
    if not isinstance(first, Row):
        return fetch
    value = first.value
    if fetch.url is None and isinstance(value, dict):
        names = list(cast("dict[str, Any]", value))
        chosen = "url" if "url" in names else names[0] if len(names) == 1 else None
        if chosen is None:
            raise Problem(
                "it is not clear how to make a URL from a row",
                f"row {first.line} of {source.name} has the fields {short(', '.join(names), 100)}",
                remedy=f"--url 'https://…/{{{names[0] if names else 'id'}}}', or a field named url",
            )
        return msgspec.structs.replace(fetch, url_field=chosen)
    try:
        fetch.url_of(value)
        if reason := fetch.misfit(value):
            raise Unfillable(reason)
    except Unfillable as error:
        if fetch.url is None and fetch.body_field is None and not fetch.json_fields:
            return fetch  # a row that is no URL is rejected as any other, with its line
        raise Problem(
            f"row {first.line} of {source.name}: {error}", *_evidence(value), remedy=_remedy(fetch, value)
        ) from None
    return fetch


def _evidence(value: Any) -> list[str]:
    return [f"its fields are {short(', '.join(cast('dict[str, Any]', value)), 100)}"] if isinstance(value, dict) else []


def _remedy(fetch: Fetch, value: Any) -> str:
    wanted = [*fetch.fields, *fetch.json_fields, *([fetch.body_field] if fetch.body_field else [])]
    for name in wanted:
        if isinstance(value, dict) and name not in value:
            close = closest(name, cast("dict[str, Any]", value))
            return f"{{{close}}} instead of {{{name}}}" if close else ""
    return "{} for a row that has no fields" if not isinstance(value, dict) else ""
