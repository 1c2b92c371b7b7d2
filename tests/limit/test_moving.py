"""What moves a limit: `set`, `pause`, `resume`; and permits that are tried for, or waited for until a time is over."""

from __future__ import annotations

import asyncio
import random
import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from limitkit import idle, on_thread, virtually

import whilst

# -- models -------------------------------------------------------------------------------------------------------

KEYS = ["a", "b"]
ANY = [*KEYS, None]  # None: the whole limit

acts = st.one_of(
    st.tuples(st.just("take"), st.sampled_from(KEYS)),
    st.tuples(st.just("take"), st.sampled_from(KEYS)),
    st.tuples(st.just("release"), st.integers(0, 9)),
    st.tuples(st.just("set"), st.integers(1, 4)),
    st.tuples(st.just("pause"), st.sampled_from(ANY)),
    st.tuples(st.just("resume"), st.sampled_from(ANY)),
)


@given(st.lists(acts, max_size=40))
def test_one_by_one_it_is_as_the_words_say(acts: list[tuple[str, Any]]) -> None:
    limit, most, paused = whilst.Limit(concurrency=2, by=str), 2, set[str | None]()
    held: list[tuple[str, Any]] = []
    for act, what in acts:
        if act == "take":
            inside = sum(key == what for key, _ in held)
            permit = limit.try_acquire(what)
            assert (permit is not None) == (inside < most and not paused & {what, None})
            if permit is not None:
                held.append((what, permit))
        elif act == "release" and held:
            held.pop(what % len(held))[1].release()
        elif act == "set":
            most = what
            limit.set(concurrency=most)
        elif act == "pause":
            paused.add(what)
            limit.pause() if what is None else limit.pause(key=what)
        elif act == "resume":
            paused.discard(what)
            limit.resume() if what is None else limit.resume(key=what)
        now = limit.statistics()
        assert now.in_flight == len(held)
        assert now.concurrency == most
        assert bool(now.paused_by) == bool(paused)
    for _, permit in held:
        permit.release()
    assert idle(limit)


class Watched:
    """Somebody who moves a limit, as others see it who use it on other threads."""

    def __init__(self, limit: whilst.Limit, most: int) -> None:
        self.limit = limit
        self.guard = threading.Lock()
        self.changes: list[int] = [most]  # all there ever were
        self.done = 0  # which of them was made last; those that follow may be in force
        self.pauses = 0  # odd: it is paused, and that has been said
        self.inside = 0
        self.wrong: list[str] = []

    def use(self, how: Callable[[], Any]) -> None:
        """Take a permit and give it back, and see whether it could be had."""
        with self.guard:
            since, pauses = self.done, self.pauses
        permit = how()
        if permit is None:
            return
        with permit:
            with self.guard:
                self.inside += 1
                if self.inside > max(self.changes[since:]):
                    self.wrong.append(f"{self.inside} inside of {self.changes[since:]}")
                if pauses % 2 and self.pauses == pauses:
                    self.wrong.append("entered in a pause")
            time.sleep(random.random() / 5000)
            with self.guard:
                self.inside -= 1

    def set(self, most: int) -> None:
        with self.guard:
            self.changes.append(most)  # it may be in force from now on
        self.limit.set(concurrency=most)
        with self.guard:
            self.done = len(self.changes) - 1

    def pause(self) -> None:
        self.limit.pause()
        with self.guard:
            self.pauses += 1 - self.pauses % 2

    def resume(self) -> None:
        with self.guard:
            self.pauses += self.pauses % 2
        self.limit.resume()


moves = st.one_of(st.tuples(st.just("set"), st.integers(1, 5)), st.sampled_from([("pause", 0), ("resume", 0)]))


@settings(max_examples=25, deadline=None)
@given(st.lists(moves, min_size=5, max_size=25), st.booleans())
def test_moved_from_one_thread_and_used_by_others_it_is_as_the_words_say(
    moves: list[tuple[str, int]], rated: bool
) -> None:
    limit = whilst.Limit(concurrency=3, rate="100000/s" if rated else None)
    watched, over = Watched(limit, 3), threading.Event()

    def on_a_loop() -> None:
        async def use() -> None:
            while not over.is_set():
                with watched.guard:
                    since, pauses = watched.done, watched.pauses
                async with limit:
                    with watched.guard:
                        watched.inside += 1
                        if watched.inside > max(watched.changes[since:]):
                            watched.wrong.append("too many on a loop")
                        if pauses % 2 and watched.pauses == pauses:
                            watched.wrong.append("entered in a pause, on a loop")
                    await asyncio.sleep(0)
                    with watched.guard:
                        watched.inside -= 1

        async def main() -> None:
            await asyncio.gather(*(use() for _ in range(4)))

        asyncio.run(main())

    def on_threads(how: Callable[[], Any]) -> None:
        while not over.is_set():
            watched.use(how)

    ways: list[Callable[[], Any]] = [limit.try_acquire, limit.try_acquire, lambda: _entered(limit)]
    threads = [threading.Thread(target=on_threads, args=[way], daemon=True) for way in ways]
    threads.append(threading.Thread(target=on_a_loop, daemon=True))
    for thread in threads:
        thread.start()
    for move, most in moves:
        getattr(watched, move)(*([most] if move == "set" else []))
        time.sleep(0.0005)
    watched.resume()
    over.set()
    for thread in threads:
        thread.join(20)
    assert not any(thread.is_alive() for thread in threads), "somebody waits for ever"
    assert watched.wrong == []
    assert idle(limit)


@settings(max_examples=10, deadline=None)
@given(st.lists(st.lists(acts, max_size=15), min_size=2, max_size=4))
def test_moved_from_several_threads_at_once_nothing_is_lost(scripts: list[list[Any]]) -> None:
    limit, most, guard = whilst.Limit(concurrency=2, by=str), Counter[str](), threading.Lock()
    inside, errors, over = Counter[str](), list[BaseException](), threading.Event()

    async def call(key: str) -> None:
        with guard:
            inside[key] += 1
            most[key] = max(most[key], inside[key])
        await asyncio.sleep(0.0005)
        with guard:
            inside[key] -= 1

    def run() -> None:
        try:
            whilst.map(call, KEYS * 60, limit=limit).list()
        except BaseException as error:
            errors.append(error)

    def move(script: list[Any]) -> None:
        while not over.is_set():
            for act, what in script:
                if act == "set":
                    limit.set(concurrency=what)
                elif act in ("pause", "resume"):
                    getattr(limit, act)(**({} if what is None else {"key": what}))
                elif act == "take" and (permit := limit.try_acquire(what)) is not None:
                    permit.release()
            limit.resume()
            for key in KEYS:
                limit.resume(key=key)
            time.sleep(0.0005)

    runs = [threading.Thread(target=run, daemon=True) for _ in range(2)]
    movers = [threading.Thread(target=move, args=[script], daemon=True) for script in scripts]
    for thread in (*movers, *runs):
        thread.start()
    for thread in runs:
        thread.join(30)
    over.set()
    for thread in movers:
        thread.join(30)
    assert not any(thread.is_alive() for thread in (*runs, *movers)), "somebody waits for ever"
    assert errors == []
    assert all(0 < count <= 4 for count in most.values())  # the most that `acts` may set
    limit.set(concurrency=1)
    permit = limit.try_acquire("a")
    assert permit is not None, "somebody has kept a permit"
    assert limit.try_acquire("a") is None
    permit.release()
    assert idle(limit)


def _entered(limit: whilst.Limit) -> Any:
    """Return what is held already, and given back at the end of a block."""
    limit.__enter__()

    class Held:
        def __enter__(self) -> None: ...

        def __exit__(self, *_: object) -> None:
            limit.__exit__(None, None, None)

    return Held()


# -- permits ------------------------------------------------------------------------------------------------------


def test_a_permit_is_tried_for_and_given_back() -> None:
    limit = whilst.Limit(concurrency=1)
    permit = limit.try_acquire()
    assert permit is not None
    assert limit.try_acquire() is None
    with permit as same:
        assert same is permit
        assert limit.try_acquire() is None
    assert idle(limit)
    permit.release()  # is back already
    assert idle(limit)


@virtually
async def test_a_permit_serves_both_colours() -> None:
    limit = whilst.Limit(rate="1/s", burst=2)
    one, two = limit.try_acquire(), limit.try_acquire()
    assert one is not None
    assert two is not None
    assert limit.try_acquire() is None
    async with one:
        pass
    with two:
        pass
    await asyncio.sleep(1)
    three = limit.try_acquire()
    assert three is not None
    three.release()
    assert idle(limit)


def test_nobody_is_passed_who_waits() -> None:
    limit = whilst.Limit(rate="1/s")
    with limit:
        pass
    waits = threading.Thread(target=lambda: on_thread(lambda: limit.__enter__().__exit__(None, None, None)))
    waits.start()
    while not limit.statistics().waiting:
        time.sleep(0.0005)
    assert limit.try_acquire() is None
    waits.join(20)


def test_a_failure_in_the_block_of_a_permit_is_heard() -> None:
    limit = whilst.Limit(concurrency=2)
    permit = limit.try_acquire()
    assert permit is not None
    with pytest.raises(whilst.Throttled), permit:
        raise whilst.Throttled(retry_after=30)
    assert limit.statistics().paused_for > 29
    assert limit.try_acquire() is None


def test_a_permit_that_is_dropped_says_so() -> None:
    limit = whilst.Limit(concurrency=1)
    with pytest.warns(ResourceWarning, match=r"a permit for None .*was dropped and not given back"):
        limit.try_acquire()


@virtually
async def test_a_wait_for_a_permit_is_over_in_time() -> None:
    limit = whilst.Limit(concurrency=1)
    loop = asyncio.get_running_loop()
    taken = limit.try_acquire()
    assert taken is not None
    began = loop.time()
    with pytest.raises(TimeoutError, match=r"no permit of <Limit 1/1 in flight, 1 waiting> within 2 s"):
        async with limit.of(2, timeout=2):
            pass
    assert loop.time() - began == pytest.approx(2)
    assert limit.statistics().waiting == 0
    loop.call_later(1, taken.release)
    async with limit.of(3, timeout=2):
        assert loop.time() - began == pytest.approx(3)
    assert idle(limit)


def test_a_wait_on_a_thread_is_over_in_time() -> None:
    limit = whilst.Limit(concurrency=1)

    def wait() -> None:
        with limit.of(2, timeout=0.02):
            pass

    with limit.of(1), pytest.raises(TimeoutError, match="no permit of"):
        on_thread(wait)
    on_thread(wait)
    assert idle(limit)


@virtually
async def test_a_call_may_say_its_own_weight() -> None:
    limit = whilst.Limit(rate="10/s")
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with limit.of(None, weight=20):
        pass
    async with limit.of(None):
        pass
    assert loop.time() - began == pytest.approx(2, abs=0.01)
    assert limit.try_acquire(weight=5) is None
    await asyncio.sleep(0.1)
    permit = limit.try_acquire(weight=5)
    assert permit is not None
    permit.release()


@virtually
@pytest.mark.parametrize("rate", ["100/s", ["1000/s", "100/s"], "6000/min"])
@pytest.mark.parametrize("cost", [1.0, 10.0, 30.0])
async def test_what_a_call_cost_indeed_is_counted(rate: Any, cost: float) -> None:
    if isinstance(rate, list):
        rate = ["1000/s", "600/6s"]
    limit = whilst.Limit(rate=rate, weight=lambda item: 10)
    loop = asyncio.get_running_loop()

    async def call(_: int) -> None:
        async with limit.of(0) as permit:
            await asyncio.sleep(0.05)
            permit.spent(999)
            permit.spent(cost)  # the last word holds

    began = loop.time()
    calls = 400
    await asyncio.gather(*(call(item) for item in range(calls)))
    wanted = calls * cost / 100
    took = loop.time() - began
    if isinstance(rate, str):
        assert took == pytest.approx(wanted, rel=0.06, abs=0.6)
    else:
        assert wanted - 8 < took < wanted + 8  # a window more or less


# -- bad input ----------------------------------------------------------------------------------------------------

PLAIN = whilst.Limit(concurrency=2)
KEYED = whilst.Limit(concurrency=2, rate="10/s", by=len)
FOUND = whilst.Limit(concurrency="adaptive")
PACED = whilst.Limit(rate=["10/s", "50/min"])


@pytest.mark.parametrize(
    ("call", "error", "said"),
    [
        (lambda: PLAIN.set(), TypeError, r"set\(\) changes nothing\n  try: limit.set\(concurrency=6\)"),
        (lambda: PLAIN.set(concurrency="adaptive"), ValueError, 'it cannot become "adaptive"\n  try: whilst.Limit'),
        (lambda: FOUND.set(concurrency=4), ValueError, "cannot become 4\n  try: whilst.Limit"),
        (lambda: PLAIN.set(concurrency=None), ValueError, "keeps its concurrency"),
        (lambda: PLAIN.set(concurrency=0), ValueError, "concurrency must be at least 1, got 0"),
        (lambda: PLAIN.set(concurrency="6"), TypeError, "concurrency must be a whole number"),
        (lambda: PLAIN.set(rate=5), TypeError, "rate must be text, got 5"),
        (lambda: PLAIN.set(concurrency=3, rate="5/fortnight"), ValueError, "rate must be a count per unit"),
        (
            lambda: PLAIN.set(concurrency=lambda key: 4),
            TypeError,
            "called with each key, and without by= there are no keys",
        ),
        (lambda: KEYED.set(rate=lambda: "4/s"), TypeError, "rate is called with one argument, the key"),
        (lambda: PLAIN.pause(key="a"), TypeError, "no by=, so it has no key 'a' to pause\n  try: limit.pause\\(\\)"),
        (lambda: PLAIN.resume(key="a"), TypeError, "no by=, so it has no key 'a' to resume"),
        (lambda: KEYED.pause(key=[]), TypeError, r"a key must be hashable"),
        (lambda: KEYED.try_acquire(), TypeError, r"has by=, so it needs the item\n  try: limit.try_acquire\(item\)"),
        (lambda: PLAIN.of("a", weight=3), TypeError, "weight= needs a rate to count against"),
        (lambda: PACED.of("a", weight="3"), TypeError, "weight must be a number, got '3'"),
        (lambda: PACED.of("a", weight=-1), ValueError, "weight must be a number of at least 0"),
        (lambda: PACED.try_acquire(weight=51), ValueError, "weight=51' weighs 51, more than 50/min can ever allow"),
        (lambda: PLAIN.of("a", timeout=0), ValueError, "timeout must be more than 0 seconds"),
        (lambda: PLAIN.of("a", timeout="3"), TypeError, "timeout must be a number of seconds"),
        (lambda: PACED.of("a").spent(3), RuntimeError, "this permit is not held"),
        (lambda: PACED.of("a", weight=2).spent("3"), TypeError, "what a call has spent must be a number"),
        (lambda: PACED.of("a", weight=2).spent(float("nan")), ValueError, "must be a number of at least 0"),
        (lambda: whilst.Limit(rate=lambda key: "1/s"), TypeError, "without by= there are no keys"),
    ],
)
def test_what_cannot_be_meant_is_answered_with_what_can(call: Any, error: type[Exception], said: str) -> None:
    before = [repr(limit) for limit in (PLAIN, KEYED, FOUND, PACED)]
    with pytest.raises(error, match=said):
        call()
    assert [repr(limit) for limit in (PLAIN, KEYED, FOUND, PACED)] == before


def test_a_cost_is_for_limits_that_weigh() -> None:
    with (
        PLAIN.of(1) as permit,
        pytest.raises(RuntimeError, match="has no weight=, so there is nothing to correct"),
    ):
        permit.spent(3)


def test_what_a_function_of_the_key_answers_is_checked() -> None:
    limit = whilst.Limit(by=str, rate={"a": "5/s", "b": "fast"}.get, concurrency={"c": "many"}.get)
    with limit.of("a"):
        pass
    with pytest.raises(ValueError, match="rate for the key 'b': rate must be a count per unit"):
        limit.of("b").__enter__()
    with pytest.raises(TypeError, match="concurrency for the key 'c': must be a whole number, got 'many'"):
        limit.of("c").__enter__()
    with pytest.raises(KeyError):
        limit.set(rate={}.__getitem__)
    assert limit.statistics().rates == ("rate=dict.get",)  # nothing has changed
    outcomes = whilst.map(str, ["a", "b"], limit=limit).outcomes().list()
    assert [outcome.ok for outcome in outcomes] == [True, False]


def test_what_would_be_ignored_is_refused() -> None:
    limit: Any = whilst.Limit(concurrency=2)
    with pytest.raises(AttributeError, match=r"nothing would change\n  try: limit.set\(concurrency=5\)"):
        limit.concurrency = 5
    with pytest.raises(AttributeError, match=r"limit.set\(rate='5/s'\)"):
        limit.rate = "5/s"
    with pytest.raises(AttributeError, match="no attribute 'burst' to be assigned"):
        limit.burst = 3


def test_statistics_and_repr_say_what_is_paused_and_since_when() -> None:
    limit = whilst.Limit(concurrency=2, by=str)
    for key in "abcd":
        limit.pause(key=key)
    assert limit.statistics().paused_by.startswith("a paused by limit.pause() since ")
    assert limit.statistics().paused_by.endswith("1 more keys paused")
    limit.pause()
    assert repr(limit).endswith(f"keys, {limit.statistics().paused_by}>")
    assert limit.statistics().paused_by == f"paused by limit.pause() since {time.strftime('%H:%M')}"
    limit.resume()
    for key in "abcd":
        limit.resume(key=key)
    assert limit.statistics().paused_by == ""


def test_a_pause_saves_up_nothing() -> None:
    @virtually
    async def main() -> None:
        limit, starts = whilst.Limit(concurrency=4, rate="10/s"), list[float]()
        clock = asyncio.get_running_loop().time

        async def call(_: int) -> None:
            starts.append(clock())
            await asyncio.sleep(2)

        task = asyncio.ensure_future(_all(whilst.map(call, range(12), limit=limit)))
        await asyncio.sleep(1)
        limit.pause()
        await asyncio.sleep(100)
        limit.resume()
        await task
        after = [at for at in starts if at > 50]
        assert after[3] - after[0] >= 0.29

    main()


async def _all(run: Any) -> Any:
    return [value async for value in run]
