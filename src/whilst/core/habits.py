"""What do people of other libraries type first, and which line works here? Loaded when somebody types one."""

from __future__ import annotations

import difflib
import dis
import sys
from collections.abc import Collection, Mapping
from typing import Any, cast

from .outcome import short

# Keywords: what others call it, the parameter it is here ("" if none), the line that works. `{n}` is the number given.
_KEYWORDS: tuple[tuple[str, str, str], ...] = (
    (
        "max_workers n_jobs workers num_workers nworkers jobs threads n_threads num_threads max_threads processes "
        "n_workers nthreads max_concurrency max_concurrent max_concurrent_tasks max_at_once max_parallel parallelism "
        "pool_size semaphore sem task_limit limiter_size max_tasks simultaneous concurrent",
        "concurrency",
        "concurrency={n}",
    ),
    ("retries max_retries max_attempts attempts tries max_tries num_retries retry_count stop", "retry", "retry={n}"),
    (
        "max_per_second max_rate rps qps per_second calls_per_second rate_limit ratelimit throttle delay interval",
        "rate",
        'rate="{n}/s"',
    ),
    ("backoff wait wait_time min_wait max_wait sleep", "retry", "retry=whilst.Retry(attempts=5, base=0.1, cap=30)"),
    ("retry_on exceptions retry_exceptions", "retry", "retry=whilst.Retry(attempts=5, on=ConnectionError)"),
    (
        "return_exceptions return_errors raise_on_error raise_exceptions on_error errors ignore_errors skip_errors "
        "error_callback suppress",
        "",
        "for outcome in whilst.map(fn, inputs).outcomes(): …  # a failure is an outcome: .ok, .error, .input",
    ),
    (
        "chunksize chunk_size batch_size pre_dispatch buffersize prefetch queue_size maxsize",
        "",
        "leave it out: inputs are read as they are needed; for calls that take many: whilst.batched({n}) in a flow",
    ),
    ("ordered_results keep_order in_order preserve_order sort order", "ordered", "ordered=True, which is the default"),
    ("unordered as_completed", "ordered", "ordered=False"),
    ("verbose show_progress progress_bar progressbar bar tqdm pbar use_tqdm", "progress", "progress=True"),
    ("disable quiet silent", "progress", "progress=False"),
    ("desc description label task_name title", "name", 'name="…"'),
    ("length n_total n_items size count", "total", "total={n}"),
    ("backend prefer use_threads pool executor_type parallel_type mode", "executor", 'executor="thread"'),
    ("task_timeout call_timeout per_call_timeout timeout_per_call request_timeout", "timeout", "timeout={n}"),
    ("total_timeout overall_timeout max_time time_limit", "deadline", "deadline={n}"),
    ("max_failures max_errors halt fail_after fail_fast", "stop_after", "stop_after={n}"),
    ("cache checkpoint joblog memory resume store", "journal", 'journal="run.db"'),
    ("args kwargs fargs common_args fixed", "", "functools.partial(fn, …): inputs give the one argument that changes"),
    (
        "initializer initargs setup session client shared",
        "use",
        'use={{"session": whilst.resource(requests.Session, per="thread")}}',
    ),
    ("callback on_result on_complete done_callback", "", "for value in whilst.map(fn, inputs): …"),
    ("loop", "", "leave it out: `await` and `async for` run on your own loop, `for` and .list() need none"),
    ("key", "by", "by=lambda item: …"),
    ("func function fn f target callable", "fn", "whilst.map(fn, inputs): the function comes first, without a name"),
    ("iterable iterables items data args_list tasks", "inputs", "whilst.map(fn, inputs): the inputs come second"),
)

# The same where one of them means something of its own.
_OF_RETRY: tuple[tuple[str, str, str], ...] = (
    ("tries max_attempts max_tries retries max_retries stop stop_max_attempt_number", "attempts", "attempts={n}"),
    ("retry retry_on exceptions exception predicate retry_if types errors", "on", "on=ConnectionError"),
    ("wait delay backoff initial min wait_initial min_wait factor multiplier backoff_factor", "base", "base={s}"),
    ("max_delay max_wait wait_max max_interval max max_value maximum", "cap", "cap={s}"),
    ("timeout max_time stop_after_delay max_elapsed_time deadline", "total", "total={s}"),
    (
        "jitter exp_base wait_jitter wait_exp_base exponential",
        "",
        "leave it out: waits are random and double each time",
    ),
    ("reraise raise_on_giveup", "", "leave it out: the function's own exception is raised, as it is"),
    ("circuit_breaker", "breaker", "breaker=True, which is the default"),
    ("retry_if_result retry_on_result result on_result", "on_value", "on_value=lambda value: value is None"),
    ("before_sleep on_backoff before after on_failure callback", "on_retry", "on_retry=lambda event: print(event)"),
)
_OF_LIMIT: tuple[tuple[str, str, str], ...] = (
    (
        "value limit capacity total_tokens tokens max_size permits initial_value max_concurrent max_concurrency size "
        "max_workers n max_at_once",
        "concurrency",
        "concurrency={n}",
    ),
    ("max_rate calls times rate_limit rps qps max_per_second per_second requests", "rate", 'rate="{n}/s"'),
    ("period time_period per seconds interval", "rate", 'rate="100/{n}s": so many in that time'),
    ("key keys key_func", "by", "by=lambda item: …"),
    ("cost amount", "weight", "weight=lambda item: …"),
)
_OF_JOURNAL: tuple[tuple[str, str, str], ...] = (
    ("file filename name db database store url", "path", 'Journal("run.db")'),
    ("keys key_func identity id", "key", 'key=lambda row: row["id"]'),
    ("sync fsync durable durability strict mode", "commit", 'commit="strict"'),
    ("serializer serialize pickle encoder", "codec", "codec=…, a class, or an object that has encode() and decode()"),
)
_OF_PAUSE = (("seconds duration timeout time delay until", "", "limit.pause(), and limit.resume() when it may go on"),)
_OF_ONE = (("timeout seconds wait blocking block", "", "with limit.of(key, timeout={s}): …"),)
_OF_FILE = (("type kind fmt suffix extension", "format", 'format="csv"'),)
_OF_STEPS = (  # what puts steps together has no policies of its own
    ("timeout deadline", "", "whilst.step({function}(…), timeout={s})"),
    ("retry retries attempts", "", "whilst.step({function}(…), retry={n})"),
    ("concurrency max_workers rate limit", "", "whilst.step({function}(…), limit=whilst.Limit(concurrency={n}))"),
)
_OF = {
    "Retry": _OF_RETRY,
    "Limit": _OF_LIMIT,
    "Limit.pause": _OF_PAUSE,
    "Limit.try_acquire": _OF_ONE,
    "Journal": _OF_JOURNAL,
    "rows": _OF_FILE,
    "first": _OF_STEPS,
    "fallback": _OF_STEPS,
    "sequence": _OF_STEPS,
    "together": _OF_STEPS,
}

_NAMES = {
    "gather": "await whilst.map(fn, inputs), or whilst.together(f, g)(x) for different functions of one value",
    "wait": "for value in whilst.map(fn, inputs, ordered=False): …",
    "as_completed": "for value in whilst.map(fn, inputs, ordered=False): …",
    "imap": "for value in whilst.map(fn, inputs): …",
    "imap_unordered": "for value in whilst.map(fn, inputs, ordered=False): …",
    "map_unordered": "for value in whilst.map(fn, inputs, ordered=False): …",
    "amap": "async for value in whilst.map(fn, inputs): …",
    "aio_map": "async for value in whilst.map(fn, inputs): …",
    "async_map": "async for value in whilst.map(fn, inputs): …",
    "map_async": "async for value in whilst.map(fn, inputs): …",
    "starmap": "whilst.map(whilst.spread(fn), rows)",
    "starmap_async": "whilst.map(whilst.spread(fn), rows)",
    "thread_map": "whilst.map(fn, inputs).list()",
    "process_map": "whilst.map(fn, inputs).list()",
    "pmap": "whilst.map(fn, inputs).list()",
    "parallel": "whilst.map(fn, inputs).list()",
    "Parallel": "whilst.map(fn, inputs, concurrency=8).list()",
    "delayed": "whilst.map(fn, inputs).list(), with the function as it is",
    "apply": "whilst.map(fn, inputs).list()",
    "submit": "whilst.map(fn, inputs): one call for all inputs",
    "run": "whilst.map(fn, inputs).list(), or flow(value)",
    "start": "whilst.map(fn, inputs): it starts when it is iterated or awaited",
    "create_task": "whilst.together(f, g)(x), or whilst.map(fn, inputs)",
    "ensure_future": "whilst.together(f, g)(x), or whilst.map(fn, inputs)",
    "TaskGroup": "whilst.map(fn, inputs), or whilst.together(f, g)(x)",
    "create_task_group": "whilst.map(fn, inputs), or whilst.together(f, g)(x)",
    "open_nursery": "whilst.map(fn, inputs), or whilst.together(f, g)(x)",
    "start_soon": "whilst.map(fn, inputs), or whilst.together(f, g)(x)",
    "race": "whilst.first(f, g)(x)",
    "any": "whilst.first(f, g)(x)",
    "all": "whilst.together(f, g)(x)",
    "pipe": "whilst.sequence(f, g)(x)",
    "pipeline": "whilst.sequence(f, g)(x)",
    "chain": "whilst.sequence(f, g)(x)",
    "compose": "whilst.sequence(f, g)(x)",
    "flat_map": "whilst.sequence(fn, whilst.flatten())",
    "flatmap": "whilst.sequence(fn, whilst.flatten())",
    "chunked": "whilst.batched(100)",
    "batch": "whilst.batched(100)",
    "Pool": "whilst.map(fn, inputs, concurrency=8)",
    "ThreadPool": "whilst.map(fn, inputs, concurrency=8)",
    "Executor": "whilst.map(fn, inputs, concurrency=8)",
    "ThreadPoolExecutor": "whilst.map(fn, inputs, concurrency=8)",
    "ProcessPoolExecutor": "whilst.map(fn, inputs, concurrency=8)",
    "Semaphore": "whilst.Limit(concurrency=5), with `with limit:` or `async with limit:`",
    "BoundedSemaphore": "whilst.Limit(concurrency=5), with `with limit:` or `async with limit:`",
    "CapacityLimiter": "whilst.Limit(concurrency=5), with `with limit:` or `async with limit:`",
    "Limiter": 'whilst.Limit(rate="100/s")',
    "RateLimiter": 'whilst.Limit(rate="100/s")',
    "AsyncLimiter": 'whilst.Limit(rate="100/s")',
    "Throttler": 'whilst.Limit(rate="100/s")',
    "rate_limit": 'whilst.map(fn, inputs, rate="100/s")',
    "limit": 'whilst.Limit(concurrency=5, rate="100/s")',
    "retry": "@whilst.Retry(attempts=5), or whilst.map(fn, inputs, retry=5)",
    "retrying": "@whilst.Retry(attempts=5), or whilst.map(fn, inputs, retry=5)",
    "Retrying": "whilst.Retry(attempts=5).call(fn, x), or whilst.map(fn, inputs, retry=5)",
    "AsyncRetrying": "await whilst.Retry(attempts=5).call(fn, x), or await whilst.map(fn, inputs, retry=5)",
    "stop_after_attempt": "whilst.Retry(attempts=5)",
    "wait_exponential": "whilst.Retry(base=0.1, cap=30)",
    "wait_random_exponential": "whilst.Retry(base=0.1, cap=30)",
    "retry_if_exception_type": "whilst.Retry(on=ConnectionError)",
    "timeout": "whilst.map(fn, inputs, timeout=5), or whilst.step(fn, timeout=5)",
    "wait_for": "whilst.step(fn, timeout=5)(x)",
    "fail_after": "whilst.map(fn, inputs, timeout=5)",
    "move_on_after": "whilst.map(fn, inputs, timeout=5).outcomes()",
    "to_thread": "await whilst.unblock(fn)(x)",
    "run_sync": "await whilst.unblock(fn)(x)",
    "run_in_executor": "await whilst.unblock(fn)(x)",
    "sync_to_async": "whilst.unblock(fn)",
    "asyncify": "whilst.unblock(fn)",
    "async_to_sync": "whilst.block(fn)",
    "syncify": "whilst.block(fn)",
    "from_thread": "whilst.block(fn)",
    "sleep": 'whilst.map(fn, inputs, rate="10/s") for a pace; to wait: time.sleep or asyncio.sleep',
    "tqdm": "whilst.map(fn, inputs, progress=True)",
    "progress": "whilst.map(fn, inputs, progress=True)",
    "trange": "whilst.map(fn, range(20), progress=True)",
    "cache": 'whilst.map(fn, inputs, journal="run.db")',
    "Memory": 'whilst.map(fn, inputs, journal="run.db")',
    **{name: f"whilst.http.{name}(…)" for name in ("get_json", "get_text", "get_bytes", "request")},
    "get": "whilst.map(whilst.http.get_json, urls)",
    "fetch": "whilst.map(whilst.http.get_json, urls)",
    "outcomes": "for outcome in whilst.map(fn, inputs).outcomes(): …",
    "stream": "for value in whilst.map(fn, inputs): …, or flow.stream(value)",
}

# Options of the command line: what others call them, what it is here, the words to show.
_FLAGS: tuple[tuple[str, str, str], ...] = (
    (
        "--jobs --max-procs -P --workers --max-workers --threads --parallel --processes --num-workers -c",
        "--concurrency",
        "-j N",
    ),
    ("--retries --tries --max-retries --retry-max --attempts", "--retry", "--retry N"),
    ("--delay --wait --sleep --interval --limit-rate --rps", "--rate", "--rate 10/s"),
    ("--halt --halt-on-error --max-failures --fail-early", "--stop-after", "--stop-after N"),
    ("--joblog --log", "--journal", "--journal FILE, and --times for when and how long"),
    ("--resume --resume-failed --continue", "--journal", "--journal FILE, then: whilst resume FILE"),
    ("--results --outputdir --output --output-file", "--out", "-o FILE"),
    ("--max-time --connect-timeout", "--timeout", "--timeout S"),
    ("--keep-order -k", "--ordered", "--ordered, which is the default"),
    ("--completed-order", "--unordered", "--unordered"),
    ("--bar --eta --verbose -v", "--progress", "--progress"),
    ("--silent -s --no-progress", "--quiet", "-q"),
    ("--colsep --sep --separator -d -t", "--delimiter", "--delimiter C"),
    ("--max-args -n --chunk-size --chunksize --batch-size", "--batch", "--batch N"),
    ("--limit --head --max --count", "--take", "--take N"),
    ("--arg-file -a --input --input-file -i", "--format", "the file as the word behind the target"),
    ("--dryrun", "--dry-run", "--dry-run 3"),
    ("--force --clobber", "--overwrite", "--overwrite"),
    ("--user -u --netrc", "--header-env", "--header-env Authorization=NAME"),
    ("--request -X", "--method", "--method NAME"),
    ("--data -d --data-raw", "--body-field", "--json-field FIELD or --body-field FIELD"),
)

_ATTRIBUTES = {
    "Run": {
        "results result get collect to_list tolist all values gather wait join": "run.list(), or await run",
        "errors failures exceptions failed": "[o for o in run.outcomes() if not o.ok]",
        "as_completed imap": "for value in whilst.map(fn, inputs, ordered=False): …",
        "close shutdown aclose terminate stop abort kill": "run.cancel(), run.drain(), or `with run:` around the loop",
        "start run execute submit": "for value in run: …, run.list(), or await run: that starts it",
        "done progress status stats statistics count total": "run.summary()",
        "add_done_callback then": "for value in run: …",
        "apply map filter": "[… for value in run]",
        "next send": "next(iter(run))",
    },
    "Flow": {
        "map starmap imap": "whilst.map(flow, inputs)",
        "run execute invoke apply submit": "flow(value), await flow.aio(value), or whilst.map(flow, inputs)",
        "result list": "whilst.map(flow, inputs).list()",
        "then pipe and_then chain add": "whilst.sequence(flow, fn)",
        "tree show draw describe": "flow.plan()",
    },
    "Outcome": {
        "result get output data return_value": "outcome.value, or outcome.unwrap(), which raises the failure",
        "exception exc err failure": "outcome.error",
        "success succeeded successful is_ok": "outcome.ok",
        "failed is_err": "not outcome.ok",
        "item arg args key": "outcome.input",
        "duration elapsed time seconds": "outcome.took",
        "retries tries": "outcome.attempts",
    },
    "Limit": {
        "acquire release locked wait acquire_on_behalf_of": "with limit: …, or async with limit: …",
        "ratelimit delay limit wrap decorate": "whilst.step(fn, limit=limit), or `with limit:` inside the function",
        "available value available_tokens borrowed_tokens stats": "limit.statistics()",
    },
}


_ONE_FUNCTION = ("step", "each", "filter")


def unknown_keyword(function: str, given: Mapping[str, Any], known: Collection[str]) -> TypeError:
    """Return what to raise for the first keyword that `function` does not know: what it is here, or what is alike."""
    word = next(name for name in given if name not in known)
    value = given[word]
    for words, parameter, line in (*_OF.get(function, ()), *_KEYWORDS):
        if word in words.split() and (not parameter or parameter in known):
            n = short(value, 20) if isinstance(value, int) and not isinstance(value, bool) and value > 0 else "8"
            s = short(value, 20) if isinstance(value, (int, float)) and not isinstance(value, bool) else "1.0"
            return TypeError(
                f"{function}() has no {word}=\n  try: {line.format(n=n, s=s, function=f'whilst.{function}')}"
            )
    close = difflib.get_close_matches(word, known, 1, 0.7)
    takes = f"\n  it takes: {', '.join(known)}" if known else ": it takes no keyword"
    remedy = f"\n  try: {close[0]}=…" if close else takes
    return TypeError(f"{function}() has no {word}={remedy}")


def policy_of_steps(function: str, given: Mapping[str, Any]) -> TypeError | None:
    """Return what to raise for a policy that is given to what puts steps together, if one is among these."""
    policies = {word for words, _, _ in _OF_STEPS for word in words.split()} & given.keys()
    return unknown_keyword(function, given, given.keys() - policies) if policies else None


def unknown_position(function: str, given: tuple[Any, ...], known: Collection[str], most: int) -> TypeError | None:
    """Return what to raise for more than `most` or too few values without a name, where it is known what was meant."""
    if function == "map":
        return _map_without_inputs(given[0]) if len(given) == 1 else None
    last = given[-1] if given else None
    if isinstance(last, int) and not isinstance(last, bool) and "concurrency" in known:
        line = f"concurrency={last}"
    elif isinstance(last, str) and "/" in last and "rate" in known:
        line = f"rate={last!r}"
    elif len(given) > most and len(known) == most + 1 and isinstance(last, (int, float, str)):
        line = f"{[*known][-1]}={short(last, 40)}"
    else:
        by_name = [f"{name}=…" for name in [*known][most:]]
        too_many = len(given) > most and by_name
        said = f"{function}() takes {_counted(most)} without a name, got {len(given)}"
        return TypeError(f"{said}\n  by their names: {', '.join(by_name)}") if too_many else None
    before = "fn, " if "fn" in known else "…, " if most else ""
    called = f"limit.{function.removeprefix('Limit.')}" if "." in function else f"whilst.{function}"
    return TypeError(f"{function}() takes {short(last, 40)} by its name\n  try: {called}({before}{line})")


def _counted(count: int) -> str:
    return {0: "nothing", 1: "one value"}.get(count, f"{count} values")


def unknown_name(name: str, public: Collection[str] = ()) -> str:
    """Return what to say of a name that the package does not have, with `public` names.

    >>> print(unknown_name("as_completed"))
    module 'whilst' has no attribute 'as_completed'
      try: for value in whilst.map(fn, inputs, ordered=False): …
    """
    said = f"module 'whilst' has no attribute {name!r}"
    if name in _NAMES:
        return f"{said}\n  try: {_NAMES[name]}"
    close = difflib.get_close_matches(name, public, 1, 0.75)
    return f"{said}\n  try: whilst.{close[0]}" if close else said


def unknown_attribute(owner: str, name: str) -> AttributeError:
    """Return what to raise for an attribute that a public object does not have."""
    said = f"{owner!r} object has no attribute {name!r}"
    for words, line in _ATTRIBUTES[owner].items():
        if name in words.split():
            return AttributeError(f"{said}\n  try: {line}")
    return AttributeError(said)


def is_imported(name: str) -> bool:
    """Whether `from whilst import NAME` asks for it: its own error would hide what an AttributeError says."""
    if name not in _NAMES:
        return False
    asking = sys._getframe(3)  # behind this, _unknown() and __getattr__() of the package
    return asking.f_code.co_code[asking.f_lasti] == dis.opmap["IMPORT_FROM"]


def is_awaited() -> bool:
    """Whether what the public method behind the caller returns is awaited at once: `await run.list()`."""
    user = sys._getframe(3)
    if user.f_lasti < 0:
        return False
    following = (it.opname for it in dis.get_instructions(user.f_code) if it.offset > user.f_lasti)
    return next((name for name in following if name != "CACHE"), "") == "GET_AWAITABLE"


def not_inputs(given: Any) -> str:
    """Return the line that works instead of inputs that are not many things, or an empty string."""
    if isinstance(given, int) and not isinstance(given, bool):
        return f"\n  try: range({given}) for the numbers below {given}, or concurrency={given} beside the inputs"
    if hasattr(given, "__await__"):
        return "\n  try: await it first: inputs = await …"
    if callable(given):
        name = getattr(given, "__name__", "it")
        return f"\n  try: {name}() if its call gives the inputs, or whilst.map({name}, inputs)"
    return "" if given is None else "\n  try: [it] for one input"


def not_a_function(given: Any, of: str = "map") -> str:
    """Return the line that works instead of something that cannot be called, given to the function `of`.

    >>> print(not_a_function([len, abs], "sequence"))
    <BLANKLINE>
      try: whilst.sequence(*steps): each step by itself
    """
    name = getattr(given, "__name__", "fn") if hasattr(given, "__await__") else "fn"
    if of == "map":
        also = "…)" if hasattr(given, "__await__") else "inputs): the function comes first, and is not called"
        return f"\n  try: whilst.map({name}, {also}"
    if of in _ONE_FUNCTION:
        return f"\n  try: whilst.{of}({name}): the function itself, without calling it"
    if "." in of:
        return f"\n  try: whilst.{of.replace('.', '(')}={name}): a function, without calling it"
    if isinstance(given, (list, tuple)):
        parts, part = ("steps", "step") if of == "sequence" else ("branches", "branch")
        return f"\n  try: whilst.{of}(*{parts}): each {part} by itself"
    return f"\n  try: whilst.{of}({name}, …): functions, without calling them"


def columns(frame: Any) -> str:
    """Return what to say of a DataFrame as inputs, where going over it would give the names of its columns."""
    names = [str(name) for name in list(frame.columns)[:1]]
    column = f"df[{names[0]!r}]" if names else 'df["url"]'
    rows = 'df.to_dict("records")' if type(frame).__module__.startswith("pandas") else "df.iter_rows(named=True)"
    return (
        f"inputs is a DataFrame, and going over one gives the names of its columns\n"
        f"  try: whilst.map(fn, {column}) for one column, whilst.map(fn, {rows}) for its rows as dicts"
    )


def flag(given: str, known: Collection[str]) -> str | None:
    """Return the option that a command has instead of one of parallel, xargs, curl or tqdm.

    >>> flag("--joblog", ["--journal", "--rate"])
    '--journal FILE, and --times for when and how long'
    """
    for words, option, line in _FLAGS:
        if given in words.split() and option in known:
            return line
    return None


def _map_without_inputs(given: Any) -> TypeError | None:
    several = isinstance(given, (list, tuple, set))
    coroutines = [one for one in cast("list[Any]", given) if hasattr(one, "cr_frame")] if several else []
    for one in coroutines:
        one.close()  # nobody will await it
    if coroutines:
        name = coroutines[0].__name__
        return TypeError(
            "map() takes a function and its inputs, got coroutines, and these are calls that were already made\n"
            f"  try: whilst.map({name}, inputs)"
        )
    if callable(given):
        return TypeError(
            f"map() takes a function and its inputs, got the function alone\n"
            f"  try: whilst.map({getattr(given, '__name__', 'fn')}, inputs)"
        )
    return TypeError("map() takes a function and its inputs, got one thing\n  try: whilst.map(fn, inputs)")
