"""Which meter a price is for, by the name that lines bear: grants may be for one meter alone."""

from collections.abc import Iterable

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import Meter, Plan, Price


async def meters_of_prices(session: AsyncSession, names: Iterable[str]) -> dict[str, str]:
    """The meter of each price such as `pro/egress/USD`; fees, and other lines, have none."""
    parts = {name: tuple(name.split("/")) for name in names}
    plans = {part[0] for part in parts.values()}
    rows = await session.execute(
        select(Plan.slug, Price.slug, Price.currency, Meter.slug)
        .join(Price, Price.plan_id == Plan.id)
        .join(Meter, Meter.id == Price.meter_id)
        .where(Plan.slug.in_(plans))
    )
    found = {(plan, price, str(currency)): meter for plan, price, currency, meter in rows}
    return {name: found[part] for name, part in parts.items() if part in found}
