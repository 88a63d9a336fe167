"""What was counted in each stretch between two cuts: the SQL under totals and curves.

What is held goes series by series through its buckets, in the order of their index: no plan can be
wrong about that, whatever the statistics say, and no sort grows with the number of hours.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime

from billing.ids import MeterId, OrgId, SeriesId
from billing.models import Meter
from billing.rules.aggregation import HELD_AGGREGATIONS, Aggregation

# Stretch s, counted from 0, is [cuts[s + 1], cuts[s + 2]) in PostgreSQL's count from 1. Series that
# agree on the dimensions `by` are one `whole`; without it, each is one.
SERIES = """
WITH asked AS NOT MATERIALIZED (
    SELECT CAST(:cuts AS timestamptz[]) AS cuts, CAST(:first AS timestamptz) AS first,
           CAST(:last AS timestamptz) AS last, CAST(:upto AS timestamptz) AS upto,
           CAST(:stretches AS int) AS stretches
), series AS MATERIALIZED (
    SELECT *, dense_rank() OVER (ORDER BY meter_id, dimensions) AS whole,
           meter_id = ANY (CAST(:held AS uuid[])) AS is_held,
           meter_id = ANY (CAST(:distinct AS uuid[])) AS is_distinct
    FROM (
        SELECT id, meter_id, CASE WHEN CAST(:by AS text[]) IS NULL THEN dimensions ELSE (
            SELECT coalesce(jsonb_object_agg(name, dimensions->name), '{}')
            FROM unnest(CAST(:by AS text[])) AS name WHERE dimensions ? name
        ) END AS dimensions
        FROM usage_series
        WHERE org_id = :org_id AND meter_id = ANY (CAST(:meters AS uuid[]))
          AND (CAST(:chosen AS bigint[]) IS NULL OR id = ANY (CAST(:chosen AS bigint[])))
    ) AS chosen
), wholes AS (
    SELECT DISTINCT whole, meter_id, dimensions FROM series
)
"""

COUNTED = """
SELECT whole, width_bucket(hour, asked.cuts) - 1 AS stretch, sum(event_count) AS events,
       sum(total) AS total, max(highest) AS highest, NULL::numeric AS latest,
       NULL::numeric AS weighted
FROM asked, series JOIN usage_buckets ON series_id = series.id
WHERE NOT is_held AND hour >= asked.first AND hour < asked.last
GROUP BY 1, 2
"""

# A bucket's `weighted` reaches from its first reading to the end of its hour. From there its last
# value is held `until` the next bucket's first reading; that of the series' last bucket until
# `upto`, or until its own last reading where that is ahead of `upto`. Within the hour of the last
# bucket that is before the hour's end, and what was counted too much is taken off again.
#
# `own` is what a stretch's buckets come to, each until the next one or the stretch's end. What is
# held into a stretch from before is added to its first bucket's stretch; a stretch without buckets
# has nothing else. Stretch -1 is the last bucket before all cuts: where a series starts.
HELD = """
SELECT whole, stretch, sum(events) AS events, sum(total) AS total, max(highest) AS highest,
       sum(latest) AS latest, sum(weighted) AS weighted
FROM asked, series CROSS JOIN LATERAL (
    WITH ordered AS (
        SELECT hour, event_count, total, highest, first_at, last_value, weighted, stretch,
               coalesce(lead(first_at) OVER later, greatest(asked.upto, last_at)) AS until,
               lead(stretch) OVER later AS next_stretch
        FROM (
            SELECT *, width_bucket(hour, asked.cuts) - 1 AS stretch
            FROM usage_buckets
            WHERE series_id = series.id AND hour < asked.last AND hour >= coalesce((
                SELECT max(hour) FROM usage_buckets
                WHERE series_id = series.id AND hour < asked.first
            ), asked.first)
        ) AS numbered
        WINDOW later AS (ORDER BY hour)
    ), filled AS (
        SELECT stretch, sum(event_count) AS events, sum(total) AS total, max(highest) AS highest,
               min(first_at) AS first_at, max(until) AS until,
               max(last_value) FILTER (WHERE is_last) AS latest,
               coalesce(max(next_stretch) FILTER (WHERE is_last), asked.stretches) AS next_stretch,
               sum(weighted + last_value * extract(epoch FROM
                   least(until, asked.cuts[stretch + 2]) - hour - interval '1 hour')) AS own
        FROM (
            SELECT *, next_stretch IS DISTINCT FROM stretch AS is_last FROM ordered
        ) AS marked
        GROUP BY stretch
    ), chained AS (
        SELECT *, lag(latest) OVER (ORDER BY stretch) AS before FROM filled
    )
    SELECT number AS stretch,
           CASE WHEN number = stretch THEN events ELSE 0 END AS events,
           CASE WHEN number = stretch THEN total ELSE 0 END AS total,
           CASE WHEN number = stretch THEN highest ELSE 0 END AS highest,
           latest,
           CASE WHEN number = stretch THEN own
                + coalesce(before * extract(epoch FROM first_at - asked.cuts[number + 1]), 0)
           ELSE latest * greatest(0, extract(epoch FROM
                least(until, asked.cuts[number + 2]) - asked.cuts[number + 1])) END AS weighted
    FROM chained, generate_series(greatest(stretch, 0), next_stretch - 1) AS number
) AS part
WHERE series.is_held
GROUP BY 1, 2
"""

LABELLED = """
SELECT DISTINCT whole, width_bucket(hour, asked.cuts) - 1 AS stretch, value
FROM asked, series JOIN usage_distinct_values ON series_id = series.id
WHERE is_distinct AND hour >= asked.first AND hour < asked.last
"""


def asked(
    org_id: OrgId,
    cuts: Sequence[datetime],
    meters: Mapping[MeterId, Meter],
    upto: datetime,
    by: Sequence[str] | None,
    chosen: Sequence[SeriesId] | None = None,
) -> dict[str, object]:
    """The parameters of all of them; `chosen` are the only series that count."""
    return {
        "org_id": org_id,
        "cuts": list(cuts),
        "first": cuts[0],
        "last": cuts[-1],
        "stretches": len(cuts) - 1,
        "upto": upto,
        "by": None if by is None else list(by),
        "meters": list(meters),
        "held": [key for key, meter in meters.items() if meter.aggregation in HELD_AGGREGATIONS],
        "distinct": distinct_meters(meters),
        "chosen": None if chosen is None else list(chosen),
    }


def distinct_meters(meters: Mapping[MeterId, Meter]) -> list[MeterId]:
    """Those that tell labels apart."""
    return [key for key, meter in meters.items() if meter.aggregation is Aggregation.UNIQUE_COUNT]


def is_any_held(meters: Mapping[MeterId, Meter]) -> bool:
    """Whether any of them keeps values until the next one."""
    return any(meter.aggregation in HELD_AGGREGATIONS for meter in meters.values())
