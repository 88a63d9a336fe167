"""The designs' tables and statements, without the indexes an audit would want on row events."""

SHARDS = 16

TABLES = """
DROP TABLE IF EXISTS bench.identities, bench.events, bench.rows_to_fold, bench.tail, bench.chunks,
    bench.buckets;
CREATE TABLE bench.identities (
    key uuid PRIMARY KEY, fingerprint bigint NOT NULL, occurred_at timestamptz NOT NULL,
    is_time_given boolean NOT NULL
);
CREATE TABLE bench.events (
    series_id bigint NOT NULL, occurred_at timestamptz NOT NULL, quantity numeric NOT NULL,
    source text NOT NULL, external_id text NOT NULL, recorded_at timestamptz NOT NULL
);
CREATE TABLE bench.rows_to_fold (
    series_id bigint NOT NULL, occurred_at timestamptz NOT NULL, quantity numeric NOT NULL
);
CREATE TABLE bench.tail (
    shard smallint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY,
    recorded_at timestamptz NOT NULL, series_ids bigint[] NOT NULL,
    occurred_at timestamptz[] NOT NULL, quantities numeric[] NOT NULL, sources text[] NOT NULL,
    external_ids text[] NOT NULL, PRIMARY KEY (shard, id)
) WITH (toast_tuple_target = 8160);
CREATE TABLE bench.chunks (
    hour timestamptz NOT NULL, shard smallint NOT NULL, id bigint GENERATED ALWAYS AS IDENTITY,
    series_ids bigint[] NOT NULL, occurred_at timestamptz[] NOT NULL,
    quantities numeric[] NOT NULL, sources text[] NOT NULL, external_ids text[] NOT NULL,
    recorded_at timestamptz[] NOT NULL, PRIMARY KEY (hour, shard, id)
);
CREATE TABLE bench.buckets (
    series_id bigint NOT NULL, hour timestamptz NOT NULL, event_count bigint NOT NULL,
    total numeric NOT NULL, highest numeric NOT NULL, PRIMARY KEY (series_id, hour)
) WITH (fillfactor = 90)
"""
CLAIM = """
INSERT INTO bench.identities
SELECT * FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::boolean[])
ON CONFLICT DO NOTHING
"""
KEEP_ROWS = """
INSERT INTO bench.events
SELECT *, now() FROM unnest(
    $1::bigint[], $2::timestamptz[], ($3::text[])::numeric[], $4::text[], $5::text[]
)
"""
_ADD = """
ON CONFLICT (series_id, hour) DO UPDATE SET
    event_count = bucket.event_count + excluded.event_count,
    total = bucket.total + excluded.total,
    highest = greatest(bucket.highest, excluded.highest)
"""
_SUMS = """
INSERT INTO bench.buckets AS bucket
SELECT series_id, date_trunc('hour', occurred_at, 'UTC') AS hour, count(*), sum(quantity),
       max(quantity)
"""
COUNT = f"""
{_SUMS} FROM unnest($1::bigint[], $2::timestamptz[], ($3::text[])::numeric[])
    AS each (series_id, occurred_at, quantity)
GROUP BY 1, 2 ORDER BY 1, 2 {_ADD}
"""
TAIL_ROWS = """
INSERT INTO bench.rows_to_fold
SELECT * FROM unnest($1::bigint[], $2::timestamptz[], ($3::text[])::numeric[])
"""
KEEP_PACKED = """
INSERT INTO bench.tail (shard, recorded_at, series_ids, occurred_at, quantities, sources,
                        external_ids)
VALUES ($1, now(), $2, $3, ($4::text[])::numeric[], $5, $6)
"""
FOLD_ROWS = """
WITH taken AS (DELETE FROM bench.rows_to_fold WHERE $1::int = 0 RETURNING *)
SUMS FROM taken GROUP BY 1, 2 ORDER BY 1, 2 ADD
""".replace("SUMS", _SUMS).replace("ADD", _ADD)
FOLD_PACKED = """
WITH taken AS (
    DELETE FROM bench.tail WHERE shard = $1 RETURNING *
), readings AS MATERIALIZED (
    SELECT taken.recorded_at, each.* FROM taken, unnest(
        taken.series_ids, taken.occurred_at, taken.quantities, taken.sources, taken.external_ids
    ) AS each (series_id, occurred_at, quantity, source, external_id)
    ORDER BY series_id, occurred_at
), kept AS (
    INSERT INTO bench.chunks (hour, shard, series_ids, occurred_at, quantities, sources,
                              external_ids, recorded_at)
    SELECT date_trunc('hour', occurred_at, 'UTC'), $1, array_agg(series_id),
           array_agg(occurred_at), array_agg(quantity), array_agg(source),
           array_agg(external_id), array_agg(recorded_at)
    FROM readings GROUP BY 1
)
SUMS FROM readings GROUP BY 1, 2 ORDER BY 1, 2 ADD
""".replace("SUMS", _SUMS).replace("ADD", _ADD)
BUCKETS = "SELECT sum(event_count) FROM bench.buckets"
