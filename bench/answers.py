"""What does it cost to read of an answer how many calls are left? One contestant an API, with headers as it sends them.

The count goes down from answer to answer and the clock goes on: nothing is remembered that is not in real life.
"""

import time
from collections.abc import Callable
from email.utils import formatdate

from bench.model import Contestant, Job, Sample

TURNS = 7
NOW = 1_700_000_000.0
AT = "2023-11-14T22:13:30Z"
OTHERS = {"content-type": "application/json", "etag": "x", "vary": "y", "server": "z"}
APIS = {
    "GitHub": ("x-ratelimit-remaining", "{}", {"x-ratelimit-limit": "5000", "x-ratelimit-reset": f"{NOW + 600:.0f}"}),
    "OpenAI": (
        "x-ratelimit-remaining-requests",
        "{}",
        {
            "x-ratelimit-limit-requests": "5000",
            "x-ratelimit-reset-requests": "120ms",
            "x-ratelimit-remaining-tokens": "199000",
            "x-ratelimit-reset-tokens": "300ms",
        },
    ),
    "Anthropic": (
        "anthropic-ratelimit-requests-remaining",
        "{}",
        {
            "anthropic-ratelimit-requests-limit": "5000",
            "anthropic-ratelimit-requests-reset": AT,
            **{
                f"anthropic-ratelimit-{what}-{name}": text
                for what in ("tokens", "input-tokens", "output-tokens")
                for name, text in (("limit", "80000"), ("remaining", "79000"), ("reset", AT))
            },
        },
    ),
    "Shopify": ("x-shopify-shop-api-call-limit", "{}/4000", {}),
    "the draft of today": ("ratelimit", '"default";r={};t=30', {"ratelimit-policy": '"default";q=5000;w=60'}),
    "the draft of today, two policies": (
        "ratelimit",
        '"burst";r={};t=30, "day";r=90000;t=3000',
        {"ratelimit-policy": '"burst";q=5000;w=60, "day";q=100000;w=86400'},
    ),
    "the earlier draft": ("ratelimit-remaining", "{}", {"ratelimit-limit": "5000", "ratelimit-reset": "30"}),
}


def reader(api: str) -> Callable[[Job], None]:
    """Read an answer for each input."""

    def run(job: Job) -> None:
        from whilst.core.glance import Glance

        glance, take = Glance(), job.take
        for answer in answers(api, len(list(job.inputs))):
            left = glance.at(answer, time.time)
            assert left is not None
            take(int(left.calls))

    return run


def answers(api: str, n: int) -> list[dict[str, str]]:
    """Make answers whose count goes down, a second for every 50 of them."""
    name, form, others = APIS[api]
    dates = [formatdate(NOW + second, usegmt=True) for second in range(n // 50 + 1)]
    return [
        {**OTHERS, **others, name: form.format(3900 - place % 3800), "date": dates[place // 50]} for place in range(n)
    ]


CONTESTANTS = tuple(Contestant(api, reader(api), needs="whilst", kind="whilst") for api in APIS)


def cost(contestant: Contestant, n: int) -> Sample:
    """Measure µs an answer."""
    from whilst.core.glance import Glance

    given, best = answers(contestant.name, n // TURNS), float("inf")
    for _ in range(TURNS):
        at = Glance().at
        began = time.thread_time()
        for answer in given:
            at(answer, time.time)
        best = min(best, time.thread_time() - began)
    return Sample(n, best / len(given) * 1e6)
