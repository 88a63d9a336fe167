"""The hard shape: 50,000 organizations by power law, 20 meters, a million series.

Organization n (from 0) uses, of the 5 resources of meter m, the one numbered (n + m) mod 5. All of
it is there before the first event, so what is measured is usage and not the making of series.
"""

import random
from collections.abc import Sequence
from datetime import UTC, datetime

import asyncpg
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from billing.api_keys import NewKey, create_key
from billing.clock import wall_time
from billing.models import Meter, Organization, Plan, Price, PriceVersion, Scope, Subscription
from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency
from billing.settings import async_database_url
from billing.usage.fingerprints import dimensions_digest

ORGANIZATIONS = 50_000
METERS = 20
RESOURCES = 5
REGIONS = 8
LONG_AGO = datetime(2020, 1, 1, tzinfo=UTC)
ESTIMATED_ORGANIZATIONS = (0, 45)
"""Those on a plan: the largest of all, and one of the middle (600 of its series' hours a month)."""

_ORGANIZATIONS = """
INSERT INTO organizations (id, key, slug, name, currency, anchor_day, billing_email,
    invoice_prefix, invoice_sequence, opened_at, open_period_end, subscription_changes,
    recorded_at)
SELECT uuidv7(), 'org-' || n, 'org-' || n, 'Organization ' || n, 'USD', 1, 'billing@example.com',
       'ORG' || n, 0, $2, '2999-01-01Z', 0, $2
FROM generate_series(0, $1::int - 1) AS n
"""
_SERIES = """
INSERT INTO usage_series (id, org_id, meter_id, digest, dimensions, recorded_at)
SELECT n * 20 + m + 1, org.id, ($1::uuid[])[m + 1], ($2::bytea[])[(n + m) % 5 + 1],
       jsonb_build_object('resource', 'r-' || (n + m) % 5), $3
FROM (SELECT id, substring(key FROM 5)::int AS n FROM organizations) AS org,
     generate_series(0, 19) AS m
ORDER BY 1
"""
_NUMBERED = """
SELECT setval(pg_get_serial_sequence('usage_series', 'id'), (SELECT max(id) FROM usage_series))
"""


def random_organization() -> int:
    """By power law: the largest has 2.7 % of all events, half of them are of one in eight."""
    return int(ORGANIZATIONS * random.random() ** 3)


def event_type(meter: int) -> str:
    """What the events of meter number `meter` are called."""
    return f"bench.usage.{meter:02}"


def resource(organization: int, meter: int) -> str:
    """The one resource the organization uses of this meter."""
    return f"r-{(organization + meter) % RESOURCES}"


def source(organization: int) -> str:
    """Where the organization's events come from: the region it lives in."""
    return f"bench/region-{organization % REGIONS}"


async def make_world(database_url: str) -> str:
    """Everything but usage. Gives the token of a key that may write usage for everyone."""
    engine = create_async_engine(async_database_url(database_url))
    sessions = async_sessionmaker(engine, expire_on_commit=False)
    async with sessions.begin() as session:
        meters = [_meter(number) for number in range(METERS)]
        session.add_all(meters)
        new = NewKey("bench", [Scope.USAGE_WRITE])
        _, token = await create_key(session, new, actor="bench", now=wall_time())
    await _fill(database_url, meters)
    async with sessions.begin() as session:
        await _subscribe(session, meters)
    await engine.dispose()
    return token


async def _fill(database_url: str, meters: Sequence[Meter]) -> None:
    digests = [dimensions_digest({"resource": f"r-{number}"}) for number in range(RESOURCES)]
    connection = await asyncpg.connect(database_url)
    try:
        await connection.execute("SET session_replication_role = replica")  # no foreign key checks
        await connection.execute(_ORGANIZATIONS, ORGANIZATIONS, LONG_AGO)
        await connection.execute(_SERIES, [meter.id for meter in meters], digests, LONG_AGO)
        await connection.execute(_NUMBERED)
        await connection.execute("ANALYZE organizations, usage_series")
    finally:
        await connection.close()


def _meter(number: int) -> Meter:
    return Meter(
        slug=f"meter-{number:02}",
        name=f"Meter {number}",
        unit="GB",
        event_type=event_type(number),
        value_property="quantity",
        aggregation=Aggregation.SUM,
        dimensions={"resource": "resource"},
        recorded_at=LONG_AGO,
    )


async def _subscribe(session: AsyncSession, meters: Sequence[Meter]) -> None:
    """A plan that prices all meters, by tiers and with an allowance."""
    plan = Plan(slug="bench", name="Bench", recorded_at=LONG_AGO)
    plan.prices = [_price(position, meter) for position, meter in enumerate(meters)]
    session.add(plan)
    await session.flush()
    keys = [f"org-{number}" for number in ESTIMATED_ORGANIZATIONS]
    for org in await session.scalars(select(Organization).where(Organization.key.in_(keys))):
        session.add(
            Subscription(org_id=org.id, plan_id=plan.id, starts_at=LONG_AGO, recorded_at=LONG_AGO)
        )


def _price(position: int, meter: Meter) -> Price:
    tiers = [{"up_to": "250", "unit_amount": "0.02"}, {"up_to": None, "unit_amount": "0.015"}]
    version = PriceVersion(
        number=1,
        effective_from=LONG_AGO,
        terms={"model": "GRADUATED", "allowance": "100", "tiers": tiers},
        recorded_at=LONG_AGO,
    )
    return Price(
        position=position,
        slug=meter.slug,
        name=meter.name,
        currency=Currency.USD,
        meter_id=meter.id,
        filters={},
        recorded_at=LONG_AGO,
        versions=[version],
    )
