"""Meters: what is counted, and how."""

from collections.abc import Sequence
from typing import Self

import strawberry

from api.context import Info
from api.nodes import Node, global_id
from billing import catalog, models
from billing.errors import NotFound
from billing.ids import MeterId
from billing.names import did_you_mean
from billing.rules.aggregation import Aggregation

strawberry.enum(Aggregation, description="How a meter turns many events into one quantity.")


@strawberry.type(description="A named thing we count, and how.")
class Meter(Node):
    """The same for every organization."""

    slug: str = strawberry.field(description="What queries and price books call it.")
    name: str = strawberry.field(description="For people.")
    unit: str = strawberry.field(description="What its quantities count, such as GB.")
    event_type: str = strawberry.field(description="The `type` of the events it counts.")
    aggregation: Aggregation = strawberry.field(description="How events become a quantity.")
    dimensions: list[str] = strawberry.field(description="What its usage can be grouped by.")

    @classmethod
    def of(cls, row: models.Meter) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("Meter", row.id),
            slug=row.slug,
            name=row.name,
            unit=row.unit,
            event_type=row.event_type,
            aggregation=row.aggregation,
            dimensions=sorted(row.dimensions),
        )


async def all_meters(info: Info) -> list[Meter]:
    """Every meter, by slug."""
    return [Meter.of(row) for row in await _rows(info)]


async def meter_by_id(info: Info, meter_id: MeterId) -> Meter:
    """Raises `NotFound`."""
    for row in await _rows(info):
        if row.id == meter_id:
            return Meter.of(row)
    raise NotFound("There is no such meter.", code="METER_NOT_FOUND")


async def get_meter(info: Info, slug: str) -> models.Meter:
    """Raises `NotFound`, with the nearest slug where one is near."""
    rows = await _rows(info)
    for row in rows:
        if row.slug == slug:
            return row
    near = did_you_mean(slug, [row.slug for row in rows])
    raise NotFound(f"There is no meter {slug[:60]!r}.{near}", code="METER_NOT_FOUND", field="meter")


async def _rows(info: Info) -> Sequence[models.Meter]:
    async with info.context.reading() as session:
        return await catalog.meters(session)
