"""`growth` and what follows from it: 50,000,000 events of a year, and everything else as before."""

from datetime import UTC, date, datetime, timedelta
from statistics import median
from time import perf_counter

from sqlalchemy import select

from bench.figures import Figure, progress
from bench.load import Loader
from bench.stage import Stage
from bench.world import ESTIMATED_ORGANIZATIONS
from billing.estimates import current_estimate
from billing.models import Organization
from billing.usage.months import month_after

ESTIMATE_GOAL = 0.9
BYTES_MAX = 200.0
LOAD_SECONDS_MAX = 200.0
_ESTIMATES = 27

_BYTES = """
SELECT pg_total_relation_size('usage_identities') AS identities,
       (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'usage_chunks'::regclass)::bigint AS chunks,
       (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'usage_buckets'::regclass)::bigint AS buckets,
       (SELECT count(*) FROM usage_buckets) AS bucket_count
"""


async def measure_growth(stage: Stage, loader: Loader) -> list[Figure]:
    """Load it all, with estimates timed when one month is there and when twelve are."""
    progress(f"growth: {stage.lengths.events:,} events of twelve months")
    await stage.empty_usage()
    await loader.load_latest()
    await stage.first.execute("CHECKPOINT")
    before = await _estimate_milliseconds(stage, loader.months[0])
    await loader.load_others()
    await stage.first.execute("CHECKPOINT")
    after = await _estimate_milliseconds(stage, loader.months[0])
    size = await stage.first.fetchrow(_BYTES)
    an_event = (size["identities"] + size["chunks"]) / loader.readings
    buckets = (
        f"{size['bucket_count']:,} buckets, {size['buckets'] / size['bucket_count']:.0f} B each"
    )
    parts = (
        f"identities {size['identities'] / loader.readings:.0f}"
        f" + chunks {size['chunks'] / loader.readings:.0f}; {buckets}"
    )
    return [
        Figure(
            "growth",
            loader.seconds,
            "s to load",
            LOAD_SECONDS_MAX,
            loader.seconds / LOAD_SECONDS_MAX,
            remark=f"{loader.readings:,} events, {buckets}",
        ),
        *_estimate_figures(before, after),
        Figure(
            "growth_bytes",
            an_event,
            "B/event",
            BYTES_MAX,
            an_event / BYTES_MAX,
            1.0,
            remark=f"at most; {parts}",
        ),
    ]


def _estimate_figures(before: list[list[float]], after: list[list[float]]) -> list[Figure]:
    """Times, so the ratio is before/after: below 1 is slower than it was."""
    figures = []
    for name, old, new in zip(
        ("growth_estimate", "growth_estimate_largest"), before, after, strict=True
    ):
        value, limit = min(new), min(old)  # noise only ever adds
        figures.append(
            Figure(
                name,
                value,
                "ms",
                limit,
                limit / value,
                ESTIMATE_GOAL,
                (min(new), max(new)),
                "limit: with one month there",
            )
        )
    return figures


async def _estimate_milliseconds(stage: Stage, month: date) -> list[list[float]]:
    """How long estimates of a whole month take: of a middling organization, and the largest."""
    end = month_after(month)
    now = datetime(end.year, end.month, end.day, tzinfo=UTC) - timedelta(seconds=1)
    taken = []
    for number in reversed(ESTIMATED_ORGANIZATIONS):
        each = []
        for _ in range(_ESTIMATES):
            async with stage.runtime.sessions() as session:
                one = select(Organization).where(Organization.key == f"org-{number}")
                org = (await session.scalars(one)).one()
            async with stage.runtime.sessions() as session:
                started = perf_counter()
                estimate = await current_estimate(session, org, now)
                each.append((perf_counter() - started) * 1000)
            assert estimate.lines, "it is on a plan, and used all of it"
        taken.append(each[_ESTIMATES // 3 :])  # the first ones warm the caches
        progress(
            f"  estimate of org-{number}: {median(taken[-1]):.1f} ms, {len(estimate.lines)} lines"
        )
    return taken
