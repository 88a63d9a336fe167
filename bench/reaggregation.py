"""`reaggregate`: what `verify` does, beside PostgreSQL's own GROUP BY over the same readings."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from time import perf_counter

from bench.figures import Figure, against, progress
from bench.load import Loader
from bench.stage import Stage, WrongFigures
from billing.rules.periods import Period
from billing.usage.recounting import differences
from billing.usage.shards import SHARDS

GOAL = 0.3
PLAIN = """
CREATE UNLOGGED TABLE bench.plain_readings AS
SELECT series_id, occurred_at, quantity FROM usage_readings WHERE hour >= $1 AND hour < $2
"""
GROUP = """
SELECT count(series_id), count(hour), sum(readings), sum(total), max(highest) FROM (
    SELECT series_id, date_trunc('hour', occurred_at, 'UTC') AS hour, count(*) AS readings,
           sum(quantity) AS total, max(quantity) AS highest
    FROM bench.plain_readings GROUP BY 1, 2
) AS grouped
"""
"""The outer aggregates only spare the client two million rows."""


async def measure_reaggregation(stage: Stage, loader: Loader) -> list[Figure]:
    """Windows of each in turn over the same whole days."""
    share = stage.lengths.reaggregated / loader.readings
    first, last = loader.months[-1], stage.since
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    days = round((datetime(last.year, last.month, 1, tzinfo=UTC) - start).days * share)
    span = Period(start, start + timedelta(days=days))
    await stage.first.execute("DROP TABLE IF EXISTS bench.plain_readings")
    made = PLAIN.replace("$1", f"'{span.start}'").replace("$2", f"'{span.end}'")
    await stage.first.execute(made)
    await stage.first.execute("VACUUM ANALYZE bench.plain_readings")
    count = await stage.first.fetchval("SELECT count(*) FROM bench.plain_readings")
    progress(f"reaggregate: {count:,} events of {days} days")

    async def verify() -> None:
        for shard in range(SHARDS):
            async with stage.runtime.sessions() as session:
                if found := await differences(session, shard, span):
                    raise WrongFigures(f"Shard {shard}: {len(found)} buckets, first {found[0]}.")

    async def group() -> None:
        await stage.first.execute(GROUP)

    ours, limits = [], []
    for _ in range(stage.lengths.rounds):
        limits.append(count / await _seconds(group))
        ours.append(count / await _seconds(verify))
        progress(f"  ours: {ours[-1]:,.0f} events/s; GROUP BY: {limits[-1]:,.0f}")
    return [against("reaggregate", "events/s", ours, limits, goal=GOAL)]


async def _seconds(work: Callable[[], Awaitable[None]]) -> float:
    started = perf_counter()
    await work()
    return perf_counter() - started
