"""A May that has long been settled, and months archived in tests."""

import io
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from sqlalchemy import text

from billing.accounts import COMMAND_LINE
from billing.errors import BillingError
from billing.rules.aggregation import Aggregation
from billing.rules.periods import Period
from billing.usage import SHARDS, fold_tail
from billing.usage.archive import Contents, MonthState, detach_month, export_month, months_kept
from billing.usage.recounting import differences
from billing.usage.voids import Voiding
from tests.billing.usage import voiding
from tests.billing.usage.conftest import Usage, an_event
from tests.factories import a_meter

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
IN_MAY = datetime(2026, 5, 20, tzinfo=UTC)
SETTLED = datetime(2026, 7, 5, tzinfo=UTC)
"""34 days after the end of May."""

YEAR = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def in_may(id: str, **changes: object) -> dict[str, object]:
    return an_event(id=id, time="2026-05-19T10:15:00Z", **changes)


def a_gauge(id: str, value: str = "7", time: str = "2026-05-18T10:15:00Z") -> dict[str, object]:
    return an_event(id=id, type="disk", time=time, data={"value": value})


@asynccontextmanager
async def settled_may(usage: Usage) -> AsyncIterator[Usage]:
    """A sum, a count and a gauge in May, one of them voided, and something in June."""
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "disk", aggregation=Aggregation.TIME_WEIGHTED, dimensions={})
    events = [in_may(f"m{n}", subject="globex" if n % 3 else "acme") for n in range(20)]
    await usage.record(*events, a_gauge("g1"), now=IN_MAY)
    await usage.record(
        an_event(id="j1", time="2026-06-02T00:00:00Z"), now=datetime(2026, 6, 3, tzinfo=UTC)
    )
    assert await void(usage, "m0", now=IN_MAY) == (Voiding.VOIDED, None)
    await fold_tail(usage.runtime)
    usage.clock.at = datetime(2026, 11, 10, 14, tzinfo=UTC)
    yield usage
    async with usage.runtime.engine.begin() as connection:
        tables = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relname ~ '^usage_archive_\\d{4}_\\d\\d$'")
        )
        for name in tables.all():
            await connection.exec_driver_sql(f"DROP TABLE {name}")


async def void(usage: Usage, id: str, now: datetime | None = None) -> tuple[Voiding, str | None]:
    """By staff, who may void at any age."""
    [one] = await voiding.void(usage, id, viewer=COMMAND_LINE, now=now)
    return one.verdict, one.code


async def detach(usage: Usage, now: datetime | None = None) -> Contents:
    return await detach_month(usage.runtime.sessions, MAY, now=now or usage.clock.at)


async def exported(usage: Usage) -> bytes:
    file = io.BytesIO()
    await export_month(usage.runtime.sessions, MAY, file)
    return file.getvalue()


async def states(usage: Usage) -> dict[date, MonthState]:
    """Of the two months in question: partitions of other tests may be there as well."""
    async with usage.runtime.sessions() as session:
        kept = await months_kept(session)
    return {x.month: x.state for x in kept if x.month in {MAY, JUNE}}


async def figures(usage: Usage) -> dict[str, Decimal]:
    return {
        **await usage.totals(),
        **{f"globex {k}": v for k, v in (await usage.totals(usage.globex)).items()},
    }


async def all_differences(usage: Usage) -> int:
    total = 0
    for shard in range(SHARDS):
        async with usage.runtime.sessions() as session:
            total += len(await differences(session, shard, YEAR))
    return total


async def refusal(what: Awaitable[object]) -> str:
    with pytest.raises(BillingError) as refused:
        await what
    return refused.value.code
