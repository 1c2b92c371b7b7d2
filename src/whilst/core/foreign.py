"""Which words of other libraries and tools mean what here? Tables: what others call it, and the line that works.

How a word is looked up, and what is said of it, is the business of `habits`.
"""

from __future__ import annotations

# Keywords: what others call it, the parameter it is here ("" if none), the line that works. `{n}` is the number given,
# `{s}` the seconds, `{r}` the rate.
KEYWORDS: tuple[tuple[str, str, str], ...] = (
    (
        "max_workers n_jobs workers num_workers nworkers jobs threads n_threads num_threads max_threads processes "
        "n_workers nthreads max_concurrency max_concurrent max_concurrent_tasks max_at_once max_parallel parallelism "
        "pool_size semaphore sem task_limit limiter_size max_tasks simultaneous concurrent max_concurrent_calls "
        "thread_count process_count worker_count npartitions num_partitions cores num_cpus autoscale",
        "concurrency",
        "concurrency={n}",
    ),
    ("retries max_retries max_attempts attempts tries max_tries num_retries retry_count stop", "retry", "retry={n}"),
    ("max_per_second max_rate rps qps per_second calls_per_second rate_limit ratelimit throttle", "rate", 'rate="{r}"'),
    ("delay interval min_interval", "rate", 'rate="1/{s}s": one call in that time'),
    ("limiter rate_limiter throttler capacity_limiter", "limit", 'limit=whilst.Limit(concurrency=8, rate="10/s")'),
    (
        "backoff wait wait_time min_wait max_wait sleep retry_backoff retry_delay retry_wait retry_jitter "
        "backoff_factor backoff_max default_retry_delay",
        "retry",
        "retry=whilst.Retry(attempts=5, base=0.1, cap=30)",
    ),
    (
        "retry_on exceptions retry_exceptions autoretry_for retry_for status_forcelist",
        "retry",
        "retry=whilst.Retry(attempts=5, on=ConnectionError)",
    ),
    ("dedupe deduplicate unique distinct pure", "share", "share=True: equal inputs in flight share one call"),
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
    (
        "verbose show_progress progress_bar progressbar bar tqdm pbar use_tqdm tqdm_class unit unit_scale leave ncols "
        "mininterval maxinterval miniters colour color position dynamic_ncols ascii bar_format smoothing postfix",
        "progress",
        "progress=True: a line of one form, on stderr",
    ),
    ("disable quiet silent", "progress", "progress=False"),
    ("desc description label task_name title", "name", 'name="…"'),
    ("length n_total n_items size count", "total", "total={n}"),
    ("backend prefer use_threads pool executor_type parallel_type mode scheduler", "executor", 'executor="thread"'),
    ("use_processes multiprocess multiprocessing mp_context", "executor", 'executor="process"'),
    ("num_gpus ray_actor_options", "executor", 'executor=whilst.ray.Ray(options={{"num_gpus": {n}}})'),
    (
        "max_tasks_per_child maxtasksperchild max_calls worker_max_tasks_per_child",
        "executor",
        "executor=whilst.processes.Processes(recycle={n})",
    ),
    (
        "require temp_folder max_nbytes mmap_mode inner_max_num_threads thread_name_prefix daemon countdown eta",
        "",
        "leave it out: a run starts when you iterate over it, on threads or a loop of its own that end with it",
    ),
    (
        "return_as return_generator generator lazy stream streaming",
        "",
        "for value in whilst.map(fn, inputs): … gives each as soon as it is its turn; .list() gives all",
    ),
    (
        "task_timeout call_timeout per_call_timeout timeout_per_call request_timeout soft_time_limit",
        "timeout",
        "timeout={n}",
    ),
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
OF_RETRY: tuple[tuple[str, str, str], ...] = (
    ("tries max_attempts max_tries retries max_retries stop stop_max_attempt_number", "attempts", "attempts={n}"),
    ("retry retry_on exceptions exception predicate retry_if types errors", "on", "on=ConnectionError"),
    ("status_forcelist statuses status_codes codes", "on", 'on=lambda error: getattr(error, "status", 0) == 503'),
    ("giveup give_up fatal", "on", "on=lambda error: …, which is True where another attempt is worth it"),
    (
        "wait delay backoff initial min wait_initial min_wait factor multiplier backoff_factor wait_fixed wait_random "
        "wait_random_min wait_incrementing_start wait_exponential_multiplier sleep interval retry_delay",
        "base",
        "base={s}",
    ),
    (
        "max_delay max_wait wait_max max_interval max max_value maximum backoff_max wait_random_max "
        "wait_exponential_max",
        "cap",
        "cap={s}",
    ),
    ("timeout max_time stop_after_delay stop_max_delay max_elapsed_time deadline", "total", "total={s}"),
    (
        "jitter exp_base wait_jitter wait_exp_base exponential",
        "",
        "leave it out: waits are random and double each time",
    ),
    (
        "reraise raise_on_giveup retry_error_cls retry_error_callback raise_on_status",
        "",
        "leave it out: the function's own exception is raised, as it is",
    ),
    ("respect_retry_after_header retry_after", "", "leave it out: a Retry-After is always waited for"),
    ("circuit_breaker", "breaker", "breaker=True, which is the default"),
    ("retry_if_result retry_on_result result on_result", "on_value", "on_value=lambda value: value is None"),
    ("before_sleep on_backoff before after on_failure callback", "on_retry", "on_retry=lambda event: print(event)"),
)
OF_LIMIT: tuple[tuple[str, str, str], ...] = (
    (
        "value limit capacity total_tokens tokens max_size permits initial_value max_concurrent max_concurrency size "
        "max_workers n max_at_once concurrent concurrency_limit workers",
        "concurrency",
        "concurrency={n}",
    ),
    ("max_rate calls times rate_limit rps qps max_per_second per_second requests refill_rate", "rate", 'rate="{r}"'),
    ("period time_period per seconds interval window time_window", "rate", 'rate="100/{n}s": so many in that time'),
    ("bucket_size max_burst", "burst", "burst={n}"),
    ("key keys key_func", "by", "by=lambda item: …"),
    ("cost amount", "weight", "weight=lambda item: …"),
)
_OF_JOURNAL: tuple[tuple[str, str, str], ...] = (
    ("file filename name db database store url", "path", 'Journal("run.db")'),
    ("keys key_func identity id", "key", 'key=lambda row: row["id"]'),
    ("sync fsync durable durability strict mode", "commit", 'commit="strict"'),
    ("overwrite fresh reset clear restart", "accept", 'accept="fresh": the old file is moved aside'),
    ("resume append continue_ skip_done", "", "leave it out: a run over the same inputs continues where it ended"),
    ("serializer serialize pickle encoder", "codec", "codec=…, a class, or an object that has encode() and decode()"),
)
_OF_PAUSE = (("seconds duration timeout time delay until", "", "limit.pause(), and limit.resume() when it may go on"),)
_OF_ONE = (("timeout seconds wait blocking block", "", "with limit.of(key, timeout={s}): …"),)
_OF_FILE = (("type kind fmt suffix extension", "format", 'format="csv"'),)
_OF_EACH = (
    (
        "return_exceptions on_error errors ignore_errors skip_errors raise_on_error suppress",
        "failures",
        'failures="skip", or failures="pass", which gives the exceptions',
    ),
)
_OF_BATCHED = (
    ("size batch_size chunk_size chunksize max_size max_batch_size count", "n", "whilst.batched({n})"),
    ("timeout max_wait max_latency linger wait interval flush_every every", "within", "within={s}"),
)
_OF_RESOURCE = (
    ("scope lifetime lifespan level", "per", 'per="thread", per="run" or per="process"'),
    (
        "close teardown cleanup finalizer on_close",
        "",
        "a factory that yields it, as contextlib.contextmanager wants it",
    ),
)
OF_STEPS = (  # what puts steps together has no policies of its own
    ("timeout deadline", "", "whilst.step({function}(…), timeout={s})"),
    ("retry retries attempts", "", "whilst.step({function}(…), retry={n})"),
    ("concurrency max_workers rate limit", "", "whilst.step({function}(…), limit=whilst.Limit(concurrency={n}))"),
)
_OF_FALLBACK = (("default default_value value", "", "whilst.fallback(fn, lambda value: 0)"), *OF_STEPS)
OF: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Retry": OF_RETRY,
    "Limit": OF_LIMIT,
    "Limit.pause": _OF_PAUSE,
    "Limit.try_acquire": _OF_ONE,
    "Journal": _OF_JOURNAL,
    "each": _OF_EACH,
    "batched": _OF_BATCHED,
    "resource": _OF_RESOURCE,
    "rows": _OF_FILE,
    "first": OF_STEPS,
    "fallback": _OF_FALLBACK,
    "sequence": OF_STEPS,
    "together": OF_STEPS,
}
# Names of other libraries, and the line that works.
LINES = {
    "gather": "await whilst.map(fn, inputs), or whilst.together(f, g)(x) for different functions of one value",
    "wait as_completed imap_unordered map_unordered": "for value in whilst.map(fn, inputs, ordered=False): …",
    "imap foreach for_each parallel_for run_on_each from_sequence Map": "for value in whilst.map(fn, inputs): …",
    "amap aio_map async_map map_async": "async for value in whilst.map(fn, inputs): …",
    "starmap starmap_async istarmap": "whilst.map(whilst.spread(fn), rows)",
    (
        "thread_map pmap parallel parallel_map parallelize parallelise concurrent concurrent_map threaded "
        "threads pool run_all execute compute progress_map run_async bag apply apply_async"
    ): ("whilst.map(fn, inputs).list()"),
    "process_map to_process Process Manager get_context parallel_backend parallel_config": (
        'whilst.map(fn, inputs, executor="process").list()'
    ),
    "Parallel": "whilst.map(fn, inputs, concurrency=8).list()",
    "delayed": "whilst.map(fn, inputs).list(), with the function as it is",
    "submit": "whilst.map(fn, inputs): one call for all inputs",
    "remote init Ray ActorPool": "whilst.map(fn, inputs, executor=whilst.ray.Ray())",
    "Client LocalCluster Cluster": (
        "whilst.map(fn, inputs).list(), or executor=whilst.ray.Ray() for more than one machine"
    ),
    "Celery task shared_task job enqueue": (
        'whilst.map(fn, inputs, journal="run.db"): there is no queue to declare, and no worker to start'
    ),
    "group chord": "whilst.map(fn, inputs).list(), and call the next function with it",
    "signature": "functools.partial(fn, …)",
    "reduce": "functools.reduce(fn, whilst.map(…))",
    "zip": "whilst.map(fn, xs, ys), or builtins.zip",
    "map_batches": "whilst.sequence(whilst.batched(100), whilst.each(fn))",
    "create_memory_object_stream open_memory_channel": (
        "whilst.sequence(f, whilst.each(g)): what one gives is handed to the next"
    ),
    "Queue JoinableQueue SimpleQueue": (
        "run.add(x), or whilst.current_call().add(x) inside a call; run.write(…) for outputs"
    ),
    "Lock RLock": "whilst.Limit(concurrency=1), with `with limit:` or `async with limit:`",
    "Future Task Thread Worker": "whilst.map(fn, inputs): it makes the calls, and gives their values",
    "get_event_loop new_event_loop run_until_complete run_coroutine_threadsafe run_from_thread": (
        "whilst.map(fn, inputs).list() in plain code, or whilst.block(fn)(x) for one call: a loop is there already"
    ),
    "cpu_count": 'leave concurrency out: 32 calls that wait, or one for each processor with executor="process"',
    "shield": "run.drain() ends a run and finishes the calls in flight",
    "CancelScope timeout_at fail_at": "whilst.map(fn, inputs, timeout=5), or deadline=60",
    "run": "whilst.map(fn, inputs).list(), or flow(value)",
    "start": "whilst.map(fn, inputs): it starts when it is iterated or awaited",
    "create_task ensure_future": "whilst.together(f, g)(x), or whilst.map(fn, inputs)",
    "TaskGroup task_group taskgroup create_task_group open_nursery nursery Nursery start_soon soonify": (
        "whilst.map(fn, inputs), or whilst.together(f, g)(x)"
    ),
    "run_any race any": "whilst.first(f, g)(x)",
    "all": "whilst.together(f, g)(x)",
    "pipe pipeline chain compose": "whilst.sequence(f, g)(x)",
    "flat_map flatmap": "whilst.sequence(fn, whilst.flatten())",
    "chunked batch": "whilst.batched(100)",
    "Pool ThreadPool Executor ThreadPoolExecutor ProcessPoolExecutor": "whilst.map(fn, inputs, concurrency=8)",
    "Semaphore BoundedSemaphore CapacityLimiter": (
        "whilst.Limit(concurrency=5), with `with limit:` or `async with limit:`"
    ),
    "Limiter RateLimiter AsyncLimiter Throttler": 'whilst.Limit(rate="100/s")',
    "rate_limit": 'whilst.map(fn, inputs, rate="100/s")',
    "limit": 'whilst.Limit(concurrency=5, rate="100/s")',
    "retry retrying": "@whilst.Retry(attempts=5), or whilst.map(fn, inputs, retry=5)",
    "Retrying": "whilst.Retry(attempts=5).call(fn, x), or whilst.map(fn, inputs, retry=5)",
    "AsyncRetrying": "await whilst.Retry(attempts=5).call(fn, x), or await whilst.map(fn, inputs, retry=5)",
    "stop_after_attempt": "whilst.Retry(attempts=5)",
    "on_exception retry_context": "@whilst.Retry(attempts=5, on=ConnectionError)",
    "retry_if_result on_predicate": "whilst.Retry(on_value=lambda value: value is None)",
    "retry_if_not_exception_type retry_if_exception": "whilst.Retry(on=lambda error: …)",
    "before_sleep_log before_log after_log": "whilst.Retry(on_retry=lambda event: print(event))",
    "wait_fixed wait_random wait_incrementing expo fibo wait_exponential wait_random_exponential": (
        "whilst.Retry(base=0.1, cap=30)"
    ),
    "stop_after_delay": "whilst.Retry(total=30)",
    "RetryError": "catch the function's own exception: it is raised as it is, after the last attempt",
    "retry_if_exception_type": "whilst.Retry(on=ConnectionError)",
    "timeout": "whilst.map(fn, inputs, timeout=5), or whilst.step(fn, timeout=5)",
    "wait_for": "whilst.step(fn, timeout=5)(x)",
    "fail_after": "whilst.map(fn, inputs, timeout=5)",
    "move_on_after": "whilst.map(fn, inputs, timeout=5).outcomes()",
    "to_thread run_sync run_in_executor": "await whilst.unblock(fn)(x)",
    "sync_to_async asyncify": "whilst.unblock(fn)",
    "async_to_sync syncify from_thread": "whilst.block(fn)",
    "sleep": 'whilst.map(fn, inputs, rate="10/s") for a pace; to wait: time.sleep or asyncio.sleep',
    "tqdm progress": "whilst.map(fn, inputs, progress=True)",
    "trange": "whilst.map(fn, range(20), progress=True)",
    "cache Memory": 'whilst.map(fn, inputs, journal="run.db")',
    "get fetch": "whilst.map(whilst.http.get_json, urls)",
    "Timeout TimeoutError": "except TimeoutError, the builtin one: a late call raises it",
    "RateLimitError TooManyRequests RateLimited": "whilst.Throttled: raise it in a function that is told to wait",
    "Error WhilstException": "whilst.WhilstError",
    "CancelledError Cancelled": "whilst.RunCancelled",
    "version VERSION": "whilst.__version__",
    "csv read_csv read_jsonl open": 'whilst.rows("in.csv")',
    "logger log": 'logging.getLogger("whilst")',
    "config configure settings set_concurrency defaults": "whilst.map(fn, inputs, concurrency=8): none is global",
    "outcomes": "for outcome in whilst.map(fn, inputs).outcomes(): …",
    "stream": "for value in whilst.map(fn, inputs): …, or flow.stream(value)",
}
NAMES = {
    **{word: line for words, line in LINES.items() for word in words.split()},
    **{name: f"whilst.http.{name}(…)" for name in ("get_json", "get_text", "get_bytes", "request")},
}
# Options of the command line: what others call them, what it is here, the words to show.
FLAGS: tuple[tuple[str, str, str], ...] = (
    (
        "--jobs --max-procs -P --workers --max-workers --threads --parallel --processes --num-workers -c "
        "--n-jobs --num-cpus --concurrent --cpus",
        "--concurrency",
        "-j N",
    ),
    ("--load --memfree --autoscale --adaptive", "--concurrency", "-j adaptive"),
    ("--retries --tries --max-retries --retry-max --attempts", "--retry", "--retry N"),
    ("--backoff --retry-delay --retry-wait --retry-max-time", "--retry", "--retry N: the waits are random, and double"),
    ("--delay --wait --sleep --interval --limit-rate --rps --qps --rate-limit --throttle", "--rate", "--rate 10/s"),
    (
        "--halt --halt-on-error --max-failures --fail-early --fail-fast --max-errors --exitfirst -x",
        "--stop-after",
        "--stop-after N",
    ),
    ("--joblog", "--journal", "--journal FILE, and --times for when and how long"),
    ("--loglevel --log-level --log-format --debug", "--log", "--log text"),
    ("--resume --resume-failed --continue", "--journal", "--journal FILE, then: whilst resume FILE"),
    ("--retry-failed --cache --checkpoint", "--journal", "--journal FILE: again, it calls what is missing or failed"),
    ("--results --outputdir --output --output-file --out-dir --json --jsonl --csv --pretty", "--out", "-o out.jsonl"),
    ("--errors --failures --error-file --stderr", "--failed", "--failed FILE"),
    (
        "--on-error --keep-going --ignore-errors --continue-on-error",
        "--failed",
        "--failed FILE: other inputs go on when one fails",
    ),
    ("--max-time --connect-timeout", "--timeout", "--timeout S"),
    ("--keep-order -k", "--ordered", "--ordered, which is the default"),
    ("--completed-order", "--unordered", "--unordered"),
    ("--bar --eta --verbose -v --desc --ncols --unit --color --colour", "--progress", "--progress"),
    ("--ungroup --line-buffer --linebuffer --lb -u", "--unordered", "--unordered"),
    ("--tag --tagstring", "--values", "leave --values out: each line has its input"),
    ("--interactive --confirm -p", "--dry-run", "--dry-run 3"),
    ("--replace -I -i", "--call", "--call one, --call names or --call none: TARGET is a function"),
    ("--sshlogin --slf -S", "--executor", "--executor ray --address HOST:PORT"),
    ("--process --multiprocess", "--executor", "--executor process"),
    (
        "--stdin --pipe",
        "--format",
        "leave it out: without INPUT, or with - in its place, rows come from standard input",
    ),
    ("--version -V", "--help", "--help, or: whilst version"),
    ("--silent -s --no-progress", "--quiet", "-q"),
    ("--colsep --sep --separator -d -t", "--delimiter", "--delimiter C"),
    ("--max-args --max-replace-args -n -N -L --chunk --chunk-size --chunksize --batch-size", "--batch", "--batch N"),
    ("--limit --head --max --count", "--take", "--take N"),
    ("--arg-file -a --input --input-file", "--format", "the file as the word behind the target"),
    ("--dryrun", "--dry-run", "--dry-run 3"),
    ("--force --clobber", "--overwrite", "--overwrite"),
    ("--user -u --netrc", "--header-env", "--header-env Authorization=NAME"),
    ("--request -X", "--method", "--method NAME"),
    ("--data -d --data-raw", "--body-field", "--json-field FIELD or --body-field FIELD"),
)
ATTRIBUTES = {
    "Run": {
        "results result get collect to_list tolist all values gather wait join compute": "run.list(), or await run",
        "errors failures exceptions failed exception": "[o for o in run.outcomes() if not o.ok]",
        "to_df df to_pandas to_frame to_dataframe": "pandas.DataFrame(o.to_dict() for o in run.outcomes())",
        "to_csv to_json to_parquet to_sql save dump export": 'run.write("out.csv"), .jsonl, .parquet, or a URL',
        "dict to_dict items": "{o.input: o.value for o in run.outcomes() if o.ok}",
        "first head take limit": "itertools.islice(run, 10)",
        "sum min max reduce mean": "sum(run), max(run), functools.reduce(fn, run)",
        "sort sorted": "sorted(run)",
        "append extend put push send": "run.add(x)",
        "tqdm set_description set_postfix update write_line": 'whilst.map(fn, inputs, progress=True, name="…")',
        "map_batches batch batched chunks": "whilst.sequence(whilst.batched(100), whilst.each(fn)).stream(inputs)",
        "as_completed imap": "for value in whilst.map(fn, inputs, ordered=False): …",
        "close shutdown aclose terminate stop abort kill": "run.cancel(), run.drain(), or `with run:` around the loop",
        "start run execute submit": "for value in run: …, run.list(), or await run: that starts it",
        "done progress status stats statistics count total ready successful running cancelled": "run.summary()",
        "add_done_callback then": "for value in run: …, or asyncio.ensure_future(run) for a task",
        "apply map filter": "[… for value in run]",
        "next pop": "next(iter(run))",
    },
    "Flow": {
        "map starmap imap": "whilst.map(flow, inputs)",
        "run execute invoke apply submit delay apply_async s si remote compute ainvoke": (
            "flow(value), await flow.aio(value), or whilst.map(flow, inputs)"
        ),
        "result results list collect get batch outcomes": "whilst.map(flow, inputs).list()",
        "then pipe and_then chain add": "whilst.sequence(flow, fn)",
        "tree show draw describe visualize graph explain": "flow.plan()",
        "retry with_retry timeout limit": "whilst.step(flow, retry=3), which has timeout= and limit=, too",
    },
    "Summary": {
        "errors error_counts exceptions": "summary.failures: how many of each kind",
        "success successes succeeded completed": "summary.ok",
        "failure failure_count failed_count error_count": "summary.failed",
        "duration time seconds took runtime": "summary.elapsed",
        "retries": "summary.retried",
        "running active": "summary.in_flight",
        "remaining pending left": "summary.total, and summary.finished",
        "throughput speed": "summary.rate",
    },
    "Outcomes": {
        "results result get collect to_list tolist all gather wait": "run.outcomes().list(), or await run.outcomes()",
        "values": "[o.value for o in run.outcomes() if o.ok]",
        "errors failures exceptions failed": "[o for o in run.outcomes() if not o.ok]",
        "to_df df to_pandas to_frame to_dataframe": "pandas.DataFrame(o.to_dict() for o in run.outcomes())",
        "to_csv to_json to_jsonl to_parquet save dump export write": 'run.write("out.csv"), .jsonl, .parquet, or a URL',
        "summary cancel drain pause add report": "run = whilst.map(…): run.outcomes() and run.summary() belong to it",
    },
    "Outcome": {
        "result get output data return_value": "outcome.value, or outcome.unwrap(), which raises the failure",
        "exception exc err failure": "outcome.error",
        "success succeeded successful is_ok": "outcome.ok",
        "failed is_err": "not outcome.ok",
        "status state": "outcome.ok, and outcome.error",
        "unwrap_or get_or default value_or": "outcome.value if outcome.ok else default",
        "raise_for_error raise_for_status raise_if_failed": "outcome.unwrap()",
        "is_error is_failure has_error": "not outcome.ok",
        "traceback tb exc_info": "outcome.error.__traceback__, or outcome.unwrap(), which raises it",
        "item arg args key": "outcome.input",
        "duration elapsed time seconds": "outcome.took",
        "retries tries": "outcome.attempts",
    },
    "Limit": {
        "acquire release locked wait acquire_on_behalf_of": "with limit: …, or async with limit: …",
        "ratelimit delay limit wrap decorate": "whilst.step(fn, limit=limit), or `with limit:` inside the function",
        "available value available_tokens borrowed_tokens stats remaining has_capacity rate": "limit.statistics()",
        "hit consume take try_consume test": "with limit: …, or limit.try_acquire()",
        "reset clear": "a new whilst.Limit(…), or limit.set(…)",
        "map run call": "whilst.map(fn, inputs, limit=limit)",
    },
}
