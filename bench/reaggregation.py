"""`reaggregate`: what `verify` does, beside PostgreSQL's own GROUP BY over the same readings."""

from collections import Counter
from collections.abc import Awaitable, Iterable
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
SELECT each.* FROM usage_chunks AS chunk,
     unnest(chunk.series_ids, chunk.occurred_at, chunk.quantities)
         AS each (series_id, occurred_at, quantity)
WHERE hour >= $1 AND hour < $2
"""
OF_SHARDS = """
SELECT shard::int, sum(cardinality(series_ids)) FROM usage_chunks
WHERE hour >= $1 AND hour < $2 GROUP BY shard
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
    """Windows of each in turn: ours of a part of the shards each, together of all."""
    share = stage.lengths.reaggregated / loader.readings
    first, last = loader.months[-1], stage.since
    start = datetime(first.year, first.month, 1, tzinfo=UTC)
    days = round((datetime(last.year, last.month, 1, tzinfo=UTC) - start).days * share)
    span = Period(start, start + timedelta(days=days))
    readings = await _lay_out(stage, span)
    count = sum(readings.values())
    progress(f"reaggregate: {count:,} events of {days} days")
    ours, limits = [], []
    for number in range(stage.lengths.rounds):
        shards = range(number, SHARDS, stage.lengths.rounds)
        limits.append(count / await _seconds(stage.first.execute(GROUP)))
        part = sum(readings[shard] for shard in shards)
        ours.append(part / await _seconds(_verify(stage, shards, span)))
        progress(f"  ours: {ours[-1]:,.0f} events/s; GROUP BY: {limits[-1]:,.0f}")
    return [against("reaggregate", "events/s", ours, limits, goal=GOAL)]


async def _lay_out(stage: Stage, span: Period) -> Counter[int]:
    """All readings as plain rows; answers how many there are of each shard."""
    await stage.first.execute("DROP TABLE IF EXISTS bench.plain_readings")
    made = PLAIN.replace("$1", f"'{span.start}'").replace("$2", f"'{span.end}'")
    await stage.first.execute(made)
    await stage.first.execute("VACUUM ANALYZE bench.plain_readings")
    return Counter(dict(await stage.first.fetch(OF_SHARDS, span.start, span.end)))


async def _verify(stage: Stage, shards: Iterable[int], span: Period) -> None:
    for shard in shards:
        async with stage.runtime.sessions() as session:
            if found := await differences(session, shard, span):
                raise WrongFigures(f"Shard {shard}: {len(found)} buckets, first {found[0]}.")


async def _seconds(work: Awaitable[object]) -> float:
    started = perf_counter()
    await work
    return perf_counter() - started
