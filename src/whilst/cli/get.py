"""`whilst get [URL…|FILE]`: many requests, one line for each answer."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any, cast

import click
import msgspec

from ..io.open import output_format
from ..io.refusal import closest
from ..io.rows import Rejected, Row
from .headers import is_secret, read_headers
from .inputs import Source
from .job import Job, Work, run_job
from .messages import Problem, short
from .options import Decorates, GroupedOption, RunOptions, output_option, rows_command, with_run_options
from .template import Unfillable

if TYPE_CHECKING:
    from .deliver import Sinks
    from .fetch import Fetch
    from .paging import Pages

METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
request_option: Decorates = partial(click.option, cls=GroupedOption, heading="Request")
page_option: Decorates = partial(click.option, cls=GroupedOption, heading="Pages")


@rows_command()
@click.argument("targets", nargs=-1, metavar="[URL…|FILE]")
@request_option("--url", metavar="TEMPLATE", help="With FILE: the URL of a row, as in 'https://…/{id}'; {} is the row.")
@request_option("--method", type=click.Choice(METHODS, case_sensitive=False), help="GET, or POST when there is a body.")
@request_option("--header", "plain", multiple=True, metavar="'NAME: VALUE'", help="A header that is no secret.")
@request_option("--header-env", "from_env", multiple=True, metavar="NAME=VAR", help="A header, from the environment.")
@request_option("--header-file", "from_file", multiple=True, metavar="NAME=FILE", help="A header, from a file.")
@request_option("--json-field", "json_fields", multiple=True, metavar="FIELD", help="A member of a JSON body.")
@request_option("--body-field", metavar="FIELD", help="The field that is the body.")
@output_option(
    "--as", "form", type=click.Choice(["json", "text", "bytes"]), default="json", help="What answers are: json."
)
@output_option("--items", metavar="FIELD", help="Write a line for each element of this list in the answer.")
@page_option("--next", "next_field", metavar="FIELD", help="Go on with the URL in this field of the answer.")
@page_option("--follow", type=click.Choice(["link"]), help="Go on with the next one of the Link header.")
@page_option("--max-pages", type=click.IntRange(min=1), metavar="N", help="At most N pages from each row.")
@with_run_options
def command(targets: tuple[str, ...], options: RunOptions, **given: Any) -> int:
    """Fetch every URL, many at a time.

    A URL may stand for many, as in 'https://pokeapi.co/api/v2/pokemon/{1..151}', {01..10} or {a,b}. FILE is - (standard
    input, a URL a line), .txt, .jsonl or .csv: rows that are URLs, have a field url, or fill --url with their fields.
    Each outcome is one JSON object a line, with input and value, or error and attempts. FIELD may be dotted.

    \b
    whilst get 'https://pokeapi.co/api/v2/pokemon/{1..151}' -o pokemon.jsonl
    whilst get ids.csv --url 'https://api.example.com/v1/{id}' --header-env Authorization=API_TOKEN
    whilst get 'https://api.example.com/v1/things' --next links.next --items things --values
    """
    return run_get(targets, Asked(**given), options)


class Asked(msgspec.Struct, frozen=True):
    """The command line's own part, as click read it."""

    url: str | None
    method: str | None
    plain: tuple[str, ...]
    from_env: tuple[str, ...]
    from_file: tuple[str, ...]
    json_fields: tuple[str, ...]
    body_field: str | None
    form: Any
    items: str | None
    next_field: str | None
    follow: str | None
    max_pages: int | None


def run_get(targets: tuple[str, ...], asked: Asked, options: RunOptions) -> int:
    """Run it and return the exit code; Problem if it cannot even begin."""
    return run_job(options, lambda: _prepare(targets, asked, options), "whilst get")


def _prepare(targets: tuple[str, ...], asked: Asked, options: RunOptions) -> Job:
    _check_installed()
    _check_asked(asked)
    if options.dry_run is None:
        _make_client_ahead()
    from .urls import Arguments, open_targets

    source = open_targets(targets, options.format, _row_flag(asked))
    fetch = _fetch(asked, options)
    total = source.total if isinstance(source, Arguments) and not _pages(asked) else None
    return Job(source, lambda first: _work(fetch, asked, first, source), total)


def _work(fetch: Fetch, asked: Asked, first: Row | Rejected | None, source: Source) -> Work:
    from .fetch import fetcher

    fetch = _fitted(fetch, first, source)
    pages = None
    if _pages(asked):
        from .paging import Pages

        stay = any(is_secret(name) for name in fetch.headers or ())
        pages = Pages(fetch.url_of, asked.next_field, most=asked.max_pages, stay=stay)
    return Work(
        name="get",
        worker=lambda prepare: fetcher(fetch, pages, prepare),
        shown=fetch.shown,
        misfit=fetch.misfit,
        after=pages.after if pages is not None else None,
        subject=fetch.identity,
        through=partial(_through, fetch, pages),
    )


def _through(fetch: Fetch, pages: Pages | None, sinks: Sinks) -> Sinks:
    """Have the elements of lists written each for itself, and pages followed."""
    from .spread import spread, through

    if fetch.items is not None:
        sinks = spread(sinks)
    return sinks if pages is None else through(sinks, pages.prepare, pages.write)


def _pages(asked: Asked) -> bool:
    return asked.next_field is not None or asked.follow is not None


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
        timeout=max(TIMEOUT, 2 * (options.timeout or 0)),  # --timeout is the run's own affair
        form=asked.form,
        items=asked.items,
        next_field=asked.next_field,
        follow=asked.follow,
        # A journal keeps values for any output, so it needs to see them.
        as_it_came=options.journal is None and _is_jsonl(options.out),
    )


def _row_flag(asked: Asked) -> str:
    """Return a flag that was given and speaks of rows."""
    flags = {"--url": asked.url, "--body-field": asked.body_field, "--json-field": asked.json_fields}
    return next((flag for flag, given in flags.items() if given), "")


def _is_jsonl(name: str) -> bool:
    try:
        return output_format(name) == "jsonl"
    except ValueError:  # is said when the outputs are looked at
        return True


def _check_installed() -> None:
    from importlib.util import find_spec

    if find_spec("pyreqwest") is None:
        raise Problem("whilst get needs pyreqwest, which is not installed", remedy="pip install 'whilst[http]'")


def _make_client_ahead() -> None:
    from ..http.clients import make_ahead

    make_ahead()


def _check_asked(asked: Asked) -> None:
    if asked.body_field and asked.json_fields:
        raise Problem("--body-field and --json-field are two bodies", remedy="leave out one of them")
    if (asked.body_field or asked.json_fields) and asked.method in ("GET", "HEAD"):
        raise Problem(f"a {asked.method} has no body", remedy="--method POST")
    if asked.next_field and asked.follow:
        raise Problem("--next and --follow are two ways to the next page", remedy="leave out one of them")
    if asked.max_pages and not _pages(asked):
        raise Problem("--max-pages needs to know where the next page is", remedy="--next FIELD or --follow link")
    if asked.form != "json" and (asked.items or asked.next_field):
        flag = "--items" if asked.items else "--next"
        raise Problem(f"{flag} looks into JSON, and --as is {asked.form}", remedy="--as json")


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
                "nothing says which URL a row stands for",
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
