"""The SQL of `load.py`: ten days drawn event by event, and what is as they are moved elsewhere.

Of what is moved, only instants and sources are made anew; a chunk was recorded when its hour ended.
The rest is copied as PostgreSQL has packed it.
"""

SESSION = """
SET work_mem = '1GB';
SET maintenance_work_mem = '4GB';
SET max_parallel_workers_per_gather = 0;
SET max_parallel_maintenance_workers = 0;
SET enable_sort = off;
SET jit = off
"""
PLACES = """
DROP TABLE IF EXISTS bench.series_places;
CREATE UNLOGGED TABLE bench.series_places AS
SELECT series.id, (get_byte(uuid_send(series.org_id), 15) & 15)::smallint AS shard,
       right(series.org_id::text, 8) AS key_start
FROM usage_series AS series;
CREATE UNIQUE INDEX ON bench.series_places (id);
ANALYZE bench.series_places
"""
TABLES = """
DROP TABLE IF EXISTS bench.drawn_identities, bench.drawn_buckets, bench.drawn_chunks;
CREATE UNLOGGED TABLE bench.drawn_identities AS SELECT * FROM usage_identities WITH NO DATA;
CREATE UNLOGGED TABLE bench.drawn_buckets AS SELECT * FROM usage_buckets WITH NO DATA;
CREATE UNLOGGED TABLE bench.drawn_chunks AS
SELECT 0 AS readings, hour, shard, series_ids, occurred_at, quantities, external_ids
FROM usage_chunks WITH NO DATA;
ALTER TABLE bench.drawn_chunks ALTER external_ids SET STORAGE EXTERNAL
"""
DRAW = """
WITH drawn AS (
    SELECT hour, floor(50000 * power(random(), 3))::int * 20 + random(1, 20) AS series_id
    FROM generate_series($1::timestamptz, $2::timestamptz - interval '1 hour', '1 hour') AS hour,
         generate_series(1, $3::int)
), series_hours AS MATERIALIZED (
    SELECT hour, shard, series_id, key_start, count(*) * 5 AS readings
    FROM drawn JOIN bench.series_places AS place ON place.id = series_id
    GROUP BY hour, shard, series_id, key_start ORDER BY hour, shard, series_id
), readings AS MATERIALIZED (
    SELECT hour, shard, series_id, key_start, hour + random() * interval '1 hour' AS occurred_at,
           random(0.00, 9.99) AS quantity,
           'evt-' || md5($4::text || row_number() OVER ()) AS external_id
    FROM series_hours, generate_series(1, readings)
), claimed AS (
    INSERT INTO bench.drawn_identities (key, fingerprint, occurred_at, is_time_given)
    SELECT (key_start || '00' || substr(external_id, 5, 22))::uuid,
           hashtextextended(external_id, 0), occurred_at, true
    FROM readings
), counted AS (
    INSERT INTO bench.drawn_buckets (series_id, hour, event_count, total, highest)
    SELECT series_id, hour, count(*), sum(quantity), max(quantity)
    FROM readings GROUP BY series_id, hour
)
INSERT INTO bench.drawn_chunks
SELECT count(*), hour, shard, array_agg(series_id), array_agg(occurred_at), array_agg(quantity),
       array_agg(external_id)
FROM readings GROUP BY hour, shard
"""
SOURCES = """
DROP TABLE IF EXISTS bench.sources;
CREATE UNLOGGED TABLE bench.sources AS
SELECT number, readings, array_fill('bench/load/' || number, ARRAY[readings]) AS sources
FROM generate_series(0, {last}) AS number,
     (SELECT DISTINCT readings FROM bench.drawn_chunks) AS each;
CREATE UNIQUE INDEX ON bench.sources (number, readings);
ANALYZE bench.sources
"""
DRAWN_IDENTITIES = """
SELECT key, fingerprint, occurred_at, is_time_given FROM bench.drawn_identities ORDER BY key
"""
MOVE_CHUNKS = """
WITH moved AS (
    INSERT INTO usage_chunks (hour, shard, form, series_ids, occurred_at, quantities, sources,
                              external_ids, recorded_at)
    SELECT hour - make_interval(hours => $2), shard, 'COUNTED', series_ids,
           ARRAY(SELECT at - make_interval(hours => $2) FROM unnest(occurred_at) AS at),
           quantities, sources, external_ids,
           array_fill(hour - make_interval(hours => $2 - 1), ARRAY[readings])
    FROM bench.drawn_chunks JOIN (
        SELECT readings, sources FROM bench.sources WHERE number = $1
    ) AS same USING (readings)
    WHERE hour - make_interval(hours => $2) >= $3 AND hour - make_interval(hours => $2) < $4
)
SELECT coalesce(sum(readings), 0) FROM bench.drawn_chunks
WHERE hour - make_interval(hours => $2) >= $3 AND hour - make_interval(hours => $2) < $4
"""
MOVE_BUCKETS = """
INSERT INTO usage_buckets (series_id, hour, event_count, total, highest)
SELECT series_id, hour - make_interval(hours => $1), event_count, total, highest
FROM bench.drawn_buckets
WHERE hour - make_interval(hours => $1) >= $2 AND hour - make_interval(hours => $1) < $3
"""
