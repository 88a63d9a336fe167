"""`growth` and what follows from it: 50,000,000 events of a year, and everything else as before."""

from datetime import UTC, date, datetime, timedelta
from statistics import median
from time import perf_counter

from sqlalchemy import select

from bench.figures import Figure, against, progress, suspicion
from bench.ingest import GOAL, Ingest, Rates
from bench.limits import USUAL_STEADY
from bench.load import Loader
from bench.stage import Acknowledged, Stage
from bench.world import ESTIMATED_ORGANIZATIONS
from billing.estimates import current_estimate
from billing.models import Organization
from billing.usage.months import month_after

INGEST_GOAL = 0.75
ESTIMATE_GOAL = 0.9
BYTES_MAX = 200.0
LOAD_SECONDS_MAX = 200.0
_ESTIMATES = 15

_BYTES = """
SELECT pg_total_relation_size('usage_identities') AS identities,
       (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'usage_chunks'::regclass)::bigint AS chunks,
       (SELECT sum(pg_total_relation_size(inhrelid)) FROM pg_inherits
        WHERE inhparent = 'usage_buckets'::regclass)::bigint AS buckets,
       (SELECT count(*) FROM usage_buckets) AS bucket_count
"""


async def measure_growth(stage: Stage) -> tuple[list[Figure], Loader]:
    """Load it all, with estimates timed when one month is there and when twelve are."""
    progress(f"growth: {stage.lengths.events:,} events of twelve months")
    loader = Loader(stage)
    await stage.empty_usage()
    await loader.load_latest()
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
    ], loader


def _estimate_figures(before: list[list[float]], after: list[list[float]]) -> list[Figure]:
    """Times, so the ratio is before/after: below 1 is slower than it was."""
    figures = []
    for name, old, new in zip(
        ("growth_estimate", "growth_estimate_largest"), before, after, strict=True
    ):
        value, limit = median(new), median(old)
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


async def measure_grown_ingest(ingest: Ingest, loader: Loader) -> list[Figure]:
    """`ingest_batch_steady` and `growth_ingest`: the same windows, on top of all that."""
    stage = ingest.stage
    progress("growth_ingest: ingest_batch on top, the current month empty")
    limit = stage.limit()
    await limit.preload(stage.lengths.limit_rows)
    await stage.first.execute("CHECKPOINT")
    rates, known = Rates(), Acknowledged(loader.readings)
    for _ in range(stage.lengths.rounds):
        await limit.measure()
        progress(f"  limit: {limit.inserts[-1]:,.0f} rows/s, COPY {limit.copies[-1]:,.0f}")
        await ingest.window(rates, known)
    await stage.check(known)
    return [
        against(
            "ingest_batch_steady",
            "events/s",
            rates.acknowledged,
            limit.inserts,
            goal=GOAL,
            remark=suspicion(limit.inserts, limit.copies, USUAL_STEADY),
        ),
        against(
            "growth_ingest",
            "events/s",
            rates.acknowledged,
            ingest.empty.acknowledged,
            goal=INGEST_GOAL,
            remark="limit: ingest_batch on empty tables",
        ),
    ]
