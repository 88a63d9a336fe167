"""The faults that such a store is known for: planted one by one, each must fail its check."""

from collections.abc import AsyncIterator

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.usage import folding, identities, recounting, wholesale
from tests.billing.usage import checks
from tests.billing.usage.checks import Check
from tests.billing.usage.conftest import Usage

CLAIMED = ("DELETE FROM usage_tail", "SELECT * FROM usage_tail")
RETURNED = (") RETURNING *", ")")
SINCE = (
    "ORDER BY id LIMIT",
    "AND id > coalesce((SELECT max(tail_id) FROM planted_watermark WHERE shard = $1), 0)"
    " ORDER BY id LIMIT",
)
REMEMBERED = (
    ") RETURNING *",
    ")), watermark AS (INSERT INTO planted_watermark"
    " SELECT $1, max(id) FROM taken HAVING count(*) > 0",
)

CLAIM_BY_MONTH = """
WITH offered AS (
    SELECT key AS whole, md5(key || to_char(occurred_at AT TIME ZONE 'UTC', 'YYYYMM'))::uuid AS key,
           fingerprint, occurred_at, is_time_given
    FROM unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::boolean[])
         AS each (key, fingerprint, occurred_at, is_time_given)
), won AS (
    INSERT INTO usage_identities SELECT key, fingerprint, occurred_at, is_time_given FROM offered
    ON CONFLICT DO NOTHING RETURNING key
)
SELECT coalesce(array_agg(whole), '{}') AS won_only FROM won JOIN offered USING (key)
"""
FIND_BY_MONTH = """
SELECT whole AS key, fingerprint, occurred_at, is_time_given
FROM unnest($1::uuid[]) AS whole JOIN usage_identities AS held
  ON held.key = md5(whole || to_char(held.occurred_at AT TIME ZONE 'UTC', 'YYYYMM'))::uuid
"""

WHOLESALE_BY_MONTH = (
    "SELECT key, fingerprint,",
    "SELECT md5(key || to_char((timestamptz 'epoch' + instant * interval '1 microsecond')"
    " AT TIME ZONE 'UTC', 'YYYYMM'))::uuid, fingerprint,",
)

Fault = tuple[object, str, tuple[str, str]]
"""Module, its statement's name, and what stands there instead of a part of it."""

FAULTS: dict[str, tuple[Check, list[Fault]]] = {
    "fold by id > max": (
        checks.late_commits_are_folded,
        [(folding, "_FOLD", part) for part in (CLAIMED, SINCE, REMEMBERED)],
    ),
    "fold without claiming": (
        checks.folds_add_up,
        [(folding, "_FOLD", part) for part in (CLAIMED, RETURNED)],
    ),
    "one too many in the rollup": (
        checks.folds_add_up,
        [(folding, "_FOLD", ("= bucket.event_count +", "= 1 + bucket.event_count +"))],
    ),
    "identity by month": (
        checks.identities_last_beyond_their_month,
        [
            (identities, "_CLAIM", (identities._CLAIM, CLAIM_BY_MONTH)),
            (identities, "_FIND", (identities._FIND, FIND_BY_MONTH)),
            (wholesale, "_AT_ONCE", WHOLESALE_BY_MONTH),
        ],
    ),
    "ties by arrival": (
        checks.ties_are_no_matter_of_arrival,
        [(recounting, "_COUNT", (', source COLLATE "C", external_id COLLATE "C"', ""))],
    ),
}


def planted(statement: str | tuple[str, ...], part: str, instead: str) -> str | tuple[str, ...]:
    """The statement, or a few, with the part replaced where it stands: once, or all is void."""
    whole = [statement] if isinstance(statement, str) else list(statement)
    assert sum(one.count(part) for one in whole) == 1, "the fault still fits"
    faulty = tuple(one.replace(part, instead) for one in whole)
    return faulty[0] if isinstance(statement, str) else faulty


@pytest.fixture
async def watermarks(engine: AsyncEngine) -> AsyncIterator[None]:
    """A table for the fault that remembers where it stopped."""
    async with engine.begin() as connection:
        await connection.execute(
            text("CREATE TABLE planted_watermark (shard smallint, tail_id bigint)")
        )
    yield
    async with engine.begin() as connection:
        await connection.execute(text("DROP TABLE planted_watermark"))


@pytest.mark.parametrize("name", FAULTS)
@pytest.mark.usefixtures("watermarks")
async def test_a_planted_fault_fails_its_check(
    declared: Usage, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    check, faults = FAULTS[name]
    await check(declared)
    for module, name_of_it, (part, instead) in faults:
        faulty = planted(getattr(module, name_of_it), part, instead)
        monkeypatch.setattr(module, name_of_it, faulty)

    with pytest.raises(AssertionError):
        await check(declared)


async def test_identities_by_month_hold_within_the_month(
    declared: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The planted fault is the month alone: else it would prove nothing."""
    _, faults = FAULTS["identity by month"]
    for module, name_of_it, (part, instead) in faults:
        faulty = planted(getattr(module, name_of_it), part, instead)
        monkeypatch.setattr(module, name_of_it, faulty)

    await checks.folds_add_up(declared)
