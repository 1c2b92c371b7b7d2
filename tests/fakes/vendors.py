"""Which limits do well-known APIs have, and what do their answers say of them? A fake of each, in virtual time.

Each follows the page that `source` names, as far as limits go; numbers are scaled down where a page's would need
millions of calls. A fake answers `reply(now)`: a status and headers, all that a client sees.
"""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from math import ceil
from time import gmtime, strftime
from typing import NamedTuple

from meters import Bucket, Window

EPOCH = 1_800_000_000.0  # the wall clock of the fakes when their virtual time begins


class Headers(dict[str, str]):
    """Header names in lower case, as clients give them."""


class Reply(NamedTuple):
    """An answer: `code` is a service's own word in the body."""

    status: int
    headers: Headers
    code: str = ""


Answer = Callable[[float], Reply]
Meter = Bucket | Window


class Vendor(NamedTuple):
    """One family of limits.

    Attributes:
        name: of the vendor, and which of its limits.
        tells: what its answers say: how many calls are "left", "when" to come again after a refusal, or "no"thing.
        make: a fresh meter, and what answers by it.
        source: where its behaviour is described.
    """

    name: str
    tells: str
    make: Callable[[], tuple[Meter, Answer]]
    source: str


def answered(now: float, **headers: object) -> Headers:
    """Return headers, underscores for dashes, with the server's clock."""
    named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
    return Headers(date=formatdate(EPOCH + now, usegmt=True), **named)


def seconds(value: float) -> int:
    """Return whole seconds, rounded up, as Retry-After has them."""
    return max(1, ceil(value - 1e-9))


def github_primary() -> tuple[Meter, Answer]:
    window = Window(5000, 3600.0, first=20.0, spent=4000)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            x_ratelimit_limit=window.count,
            x_ratelimit_remaining=window.left,
            x_ratelimit_used=window.used,
            x_ratelimit_reset=ceil(EPOCH + window.ends),
            x_ratelimit_resource="core",
        )
        return Reply(200 if taken else 403, headers)

    return window, reply


def github_secondary() -> tuple[Meter, Answer]:
    window, primary = Window(900, 60.0, first=20.0), Window(15000, 3600.0)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        primary.take(now)
        headers = answered(
            now,
            x_ratelimit_limit=primary.count,
            x_ratelimit_remaining=primary.left,
            x_ratelimit_reset=ceil(EPOCH + primary.ends),
        )
        if not taken:
            headers["retry-after"] = str(seconds(window.until_new(now)))
        return Reply(200 if taken else 403, headers)

    return window, reply


def duration(value: float) -> str:
    """Return a time as OpenAI writes it: `6m0s`, `1.2s`, `120ms`."""
    if value < 1:
        return f"{ceil(value * 1000)}ms"
    minutes, rest = divmod(value, 60)
    return f"{int(minutes)}m{rest:.3f}s" if minutes else f"{rest:.3f}s"


def openai(*, retry_after: bool) -> tuple[Meter, Answer]:
    bucket = Bucket(500, 500 / 60)

    def reply(now: float) -> Reply:
        taken = bucket.take(now)
        headers = answered(
            now,
            x_ratelimit_limit_requests=500,
            x_ratelimit_remaining_requests=bucket.left,
            x_ratelimit_reset_requests=duration(bucket.until_full()),
            x_ratelimit_limit_tokens=200_000,
            x_ratelimit_remaining_tokens=199_000,
            x_ratelimit_reset_tokens="300ms",
        )
        if not taken and retry_after:
            headers["retry-after-ms"] = str(ceil(bucket.until_one() * 1000))
            headers["retry-after"] = str(seconds(bucket.until_one()))
        return Reply(200 if taken else 429, headers)

    return bucket, reply


def anthropic() -> tuple[Meter, Answer]:
    bucket = Bucket(1000, 1000 / 60)

    def reply(now: float) -> Reply:
        taken = bucket.take(now)
        full = strftime("%Y-%m-%dT%H:%M:%SZ", gmtime(ceil(EPOCH + now + bucket.until_full())))
        headers = answered(
            now,
            anthropic_ratelimit_requests_limit=1000,
            anthropic_ratelimit_requests_remaining=bucket.left,
            anthropic_ratelimit_requests_reset=full,
            anthropic_ratelimit_tokens_limit=80_000,
            anthropic_ratelimit_tokens_remaining=79_000,
            anthropic_ratelimit_tokens_reset=full,
        )
        if not taken:
            headers["retry-after"] = str(seconds(bucket.until_one()))
        return Reply(200 if taken else 429, headers)

    return bucket, reply


def stripe() -> tuple[Meter, Answer]:
    bucket = Bucket(100, 100.0)

    def reply(now: float) -> Reply:
        if bucket.take(now):
            return Reply(200, answered(now))
        return Reply(429, answered(now, stripe_rate_limited_reason="global-rate"))

    return bucket, reply


def shopify() -> tuple[Meter, Answer]:
    bucket = Bucket(40, 2.0)

    def reply(now: float) -> Reply:
        taken = bucket.take(now)
        headers = answered(now, x_shopify_shop_api_call_limit=f"{40 - bucket.left}/40")
        if not taken:
            headers["retry-after"] = "2.0"
        return Reply(200 if taken else 429, headers)

    return bucket, reply


def slack() -> tuple[Meter, Answer]:
    window = Window(50, 60.0, first=15.0)

    def reply(now: float) -> Reply:
        if window.take(now):
            return Reply(200, answered(now))
        return Reply(429, answered(now, retry_after=seconds(window.until_new(now))), "ratelimited")

    return window, reply


def aws(status: int, code: str, size: float, rate: float) -> tuple[Meter, Answer]:
    bucket = Bucket(size, rate)

    def reply(now: float) -> Reply:
        return Reply(200, answered(now)) if bucket.take(now) else Reply(status, answered(now), code)

    return bucket, reply


def cloudflare() -> tuple[Meter, Answer]:
    window = Window(1200, 300.0, first=20.0, spent=900)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            ratelimit=f'"default";r={window.left};t={seconds(window.until_new(now))}',
            ratelimit_policy='"default";q=1200;w=300',
        )
        if not taken:
            headers["retry-after"] = str(seconds(window.until_new(now)))
        return Reply(200 if taken else 429, headers)

    return window, reply


def draft_of_2025() -> tuple[Meter, Answer]:
    window = Window(500, 10.0)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            ratelimit=f'"each";r={window.left};t={seconds(window.until_new(now))}',
            ratelimit_policy='"each";q=500;w=10',
        )
        return Reply(200 if taken else 429, headers)

    return window, reply


def draft_of_2022() -> tuple[Meter, Answer]:
    window = Window(500, 10.0)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            ratelimit_limit=500,
            ratelimit_remaining=window.left,
            ratelimit_reset=seconds(window.until_new(now)),
            ratelimit_policy="500;w=10",
        )
        return Reply(200 if taken else 429, headers)

    return window, reply


def sentry() -> tuple[Meter, Answer]:
    window = Window(400, 10.0)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            x_sentry_rate_limit_limit=400,
            x_sentry_rate_limit_remaining=window.left,
            x_sentry_rate_limit_reset=ceil(EPOCH + window.ends),
            x_sentry_rate_limit_concurrentlimit=40,
            x_sentry_rate_limit_concurrentremaining=20,
        )
        return Reply(200 if taken else 429, headers)

    return window, reply


def hubspot() -> tuple[Meter, Answer]:
    window = Window(190, 10.0)

    def reply(now: float) -> Reply:
        taken = window.take(now)
        headers = answered(
            now,
            x_hubspot_ratelimit_max=190,
            x_hubspot_ratelimit_remaining=window.left,
            x_hubspot_ratelimit_interval_milliseconds=10_000,
            x_hubspot_ratelimit_daily=250_000,
            x_hubspot_ratelimit_daily_remaining=240_000,
        )
        return Reply(200 if taken else 429, headers)

    return window, reply


def naive_window() -> tuple[Meter, Answer]:
    window = Window(1000, 10.0)

    def reply(now: float) -> Reply:
        return Reply(200 if window.take(now) else 429, answered(now))

    return window, reply


def leaky_bucket() -> tuple[Meter, Answer]:
    bucket = Bucket(20, 100.0)

    def reply(now: float) -> Reply:
        return Reply(200 if bucket.take(now) else 503, answered(now))

    return bucket, reply


def quota_per_day() -> tuple[Meter, Answer]:
    window = Window(2000, 86_400.0, first=30_000.0)

    def reply(now: float) -> Reply:
        if window.take(now):
            return Reply(200, answered(now))
        return Reply(429, answered(now, retry_after=formatdate(EPOCH + window.ends, usegmt=True)))

    return window, reply


def second_of_burst() -> tuple[Meter, Answer]:
    bucket = Bucket(50, 50.0)

    def reply(now: float) -> Reply:
        if bucket.take(now):
            return Reply(200, answered(now))
        return Reply(429, answered(now, retry_after=seconds(bucket.until_one())))

    return bucket, reply


def by_its_seconds(first: float = 1.0) -> tuple[Meter, Answer]:
    window = Window(50, 1.0, first=first)

    def reply(now: float) -> Reply:
        if window.take(now):
            return Reply(200, answered(now))
        return Reply(429, answered(now, retry_after=seconds(window.until_new(now))))

    return window, reply


GITHUB = "https://docs.github.com/en/rest/using-the-rest-api/rate-limits-for-the-rest-api"
DRAFT = "draft-ietf-httpapi-ratelimit-headers"
DEMO = Vendor("demo API", "when", second_of_burst, "whilst.demo.pokeapi: a second's worth at once, Retry-After of 1")
BY_ITS_SECONDS = Vendor(
    "window of a second", "when", by_its_seconds, "50 in each second of its clock, Retry-After in whole seconds"
)

VENDORS = (
    Vendor("GitHub, primary", "left", github_primary, GITHUB),
    Vendor("GitHub, secondary", "when", github_secondary, GITHUB),
    Vendor(
        "OpenAI",
        "left",
        lambda: openai(retry_after=False),
        "https://platform.openai.com/docs/guides/rate-limits (reset: until the limit is in its initial state)",
    ),
    Vendor(
        "OpenAI, Retry-After",
        "left",
        lambda: openai(retry_after=True),
        "the same; `retry-after-ms` as the openai client reads it (openai/_base_client.py)",
    ),
    Vendor(
        "Anthropic",
        "left",
        anthropic,
        "https://docs.anthropic.com/en/api/rate-limits (token bucket; reset: when fully replenished, RFC 3339)",
    ),
    Vendor("Stripe", "no", stripe, "https://docs.stripe.com/rate-limits (100 a second, Stripe-Rate-Limited-Reason)"),
    Vendor(
        "Shopify",
        "left",
        shopify,
        "https://help.shopify.com/en/api/reference/rest-admin-api-rate-limits (bucket of 40, leaks 2 a second)",
    ),
    Vendor("Slack", "when", slack, "https://api.slack.com/docs/rate-limits (tier 3: 50 a minute, Retry-After)"),
    Vendor(
        "AWS, SlowDown",
        "no",
        lambda: aws(503, "SlowDown", 200, 200.0),
        "https://repost.aws/knowledge-center/s3-resolve-503-slowdown-throttling (scaled down from 5,500 a second)",
    ),
    Vendor(
        "AWS, ThrottlingException",
        "no",
        lambda: aws(400, "ThrottlingException", 100, 50.0),
        "https://docs.aws.amazon.com/AWSEC2/latest/APIReference/throttling.html (bucket of 100, 50 a second)",
    ),
    Vendor(
        "Cloudflare",
        "left",
        cloudflare,
        "https://developers.cloudflare.com/fundamentals/api/reference/limits (1,200 in five minutes)",
    ),
    Vendor("RateLimit, draft of 2025", "left", draft_of_2025, f"{DRAFT}-10"),
    Vendor("RateLimit, draft of 2022", "left", draft_of_2022, f"{DRAFT}-06"),
    Vendor(
        "Sentry",
        "left",
        sentry,
        "https://docs.sentry.io/api/ratelimits (fixed windows, whose number and length differ)",
    ),
    Vendor(
        "HubSpot",
        "left",
        hubspot,
        "https://developers.hubspot.com/docs/api/usage-details (190 in ten seconds; not how much of them is over)",
    ),
    Vendor("fixed window", "no", naive_window, "1,000 in each ten seconds, 429 and nothing else"),
    Vendor(
        "leaky bucket", "no", leaky_bucket, "https://nginx.org/en/docs/http/ngx_http_limit_req_module.html (nodelay)"
    ),
    Vendor("quota per day", "when", quota_per_day, "RFC 9110 section 10.2.3: Retry-After with a date, hours away"),
    DEMO,
)
