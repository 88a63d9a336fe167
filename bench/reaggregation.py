"""`reaggregate`: what `verify` does, beside PostgreSQL's own GROUP BY over the same readings."""

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from functools import partial
from math import ceil
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
    """Windows of each in turn, over whole days; each window has its own, together they have all."""
    share = stage.lengths.reaggregated / loader.readings / stage.lengths.rounds
    first, last = loader.months[-1], stage.since
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    days = (datetime(last.year, last.month, 1, tzinfo=UTC) - start).days * share
    span = timedelta(days=ceil(days))
    progress(f"reaggregate: {stage.lengths.rounds} times {span.days} days")
    ours, limits = [], []
    for number in range(stage.lengths.rounds):
        period = Period(start + number * span, start + (number + 1) * span)
        count = await _lay_out(stage, period)
        limits.append(count / await _seconds(partial(stage.first.execute, GROUP)))
        ours.append(count / await _seconds(partial(_verify, stage, period)))
        progress(f"  {count:,} events; ours: {ours[-1]:,.0f} events/s; GROUP BY: {limits[-1]:,.0f}")
    return [against("reaggregate", "events/s", ours, limits, goal=GOAL)]


async def _lay_out(stage: Stage, period: Period) -> int:
    """A period's readings as plain rows; answers how many."""
    await stage.first.execute("DROP TABLE IF EXISTS bench.plain_readings")
    made = PLAIN.replace("$1", f"'{period.start}'").replace("$2", f"'{period.end}'")
    await stage.first.execute(made)
    await stage.first.execute("VACUUM ANALYZE bench.plain_readings")
    count: int = await stage.first.fetchval("SELECT count(*) FROM bench.plain_readings")
    return count


async def _verify(stage: Stage, period: Period) -> None:
    for shard in range(SHARDS):
        async with stage.runtime.sessions() as session:
            if found := await differences(session, shard, period):
                raise WrongFigures(f"Shard {shard}: {len(found)} buckets, first {found[0]}.")


async def _seconds(work: Callable[[], Awaitable[object]]) -> float:
    started = perf_counter()
    await work()
    return perf_counter() - started
