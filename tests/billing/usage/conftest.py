"""Two organizations, a few meters, and what the tables hold afterwards."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from decimal import Decimal
from types import MappingProxyType

import pytest
from sqlalchemy import select, text

from billing.accounts import Viewer
from billing.ids import OrgId
from billing.models import (
    Meter,
    Organization,
    QuarantinedEvent,
    Scope,
    UsageBucket,
    UsageIdentity,
    UsageSeries,
)
from billing.rules.aggregation import Aggregation
from billing.runtime import Runtime, Sessions
from billing.usage import EventVerdict, NumberText, fold_tail, parse_event
from billing.usage.scanning import EVENTS_MAX, BodyKind, scan
from billing.usage.store import Delivery, record_deliveries, require_write
from tests.billing.usage.rescan import METERS
from tests.factories import a_meter, an_organization
from tests.world import Clock

DEFAULTS: Mapping[str, object] = MappingProxyType(
    {
        "specversion": "1.0",
        "id": "e1",
        "source": "phoenix/eu-1",
        "type": "egress_gb",
        "subject": "acme",
        "time": "2026-11-10T13:20:00Z",
        "data": {"value": NumberText("1.5"), "app": "web", "region": "eu"},
    }
)


def an_event(**changes: object) -> dict[str, object]:
    """1.5 GB of egress by acme's app web, unless told otherwise; None leaves an attribute out."""
    return {name: value for name, value in {**DEFAULTS, **changes}.items() if value is not None}


def a_key(org_id: OrgId | None = None, *scopes: Scope) -> Viewer:
    """A key of the platform, or bound to one organization."""
    return Viewer(
        actor="key:ssk_test",
        scopes=frozenset(scopes or {Scope.USAGE_WRITE}),
        roles=MappingProxyType({}),
        org_id=org_id,
        user_id=None,
        is_ops=False,
    )


def a_delivery(*events: object, viewer: Viewer | None = None) -> Delivery:
    """As a request with these events in its body would be delivered."""
    try:
        found = scan(as_json(list(events)).encode(), BodyKind.BATCH, EVENTS_MAX)
    except RecursionError:
        found = None
    return Delivery([parse_event(event) for event in events], viewer or a_key(), found)


def as_json(value: object) -> str:
    """With numbers spelled as they were; what JSON does not have spoils the body."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, dict):
        items = [f"{json.dumps(key)}:{as_json(one)}" for key, one in value.items()]
        return f"{{{','.join(items)}}}"
    if isinstance(value, list):
        return f"[{','.join(map(as_json, value))}]"
    return json.dumps(value, default=lambda _: [])


@dataclass(frozen=True, slots=True)
class KeptReading:
    """A row of `usage_events`: what one event adds to one series, folded or not."""

    org_id: OrgId
    series_id: int
    source: str
    external_id: str
    occurred_at: datetime
    quantity: Decimal
    label: str | None
    recorded_at: datetime
    is_folded: bool


_READINGS = text(
    f"SELECT {', '.join(field.name for field in fields(KeptReading))} FROM usage_events"
    " ORDER BY external_id, series_id"
)


@dataclass(frozen=True, slots=True)
class Usage:
    """The store under test, and what it leaves in the tables."""

    runtime: Runtime
    clock: Clock
    acme: Organization
    globex: Organization

    async def record(
        self, *events: object, viewer: Viewer | None = None, now: datetime | None = None
    ) -> list[EventVerdict]:
        """One batch of decoded JSON, sent with the platform's key unless told otherwise."""
        delivery = a_delivery(*events, viewer=viewer)
        require_write(delivery.viewer)
        now = now or self.clock.at
        [verdicts] = await record_deliveries(self.runtime, [delivery], now=now)
        return list(verdicts)

    async def buckets(self, org: Organization | None = None) -> dict[str, UsageBucket]:
        """Every bucket once all is folded, named as `egress_gb app=web 13h`."""
        await fold_tail(self.runtime)
        statement = (
            select(UsageBucket, Meter.slug, UsageSeries.dimensions)
            .join(UsageSeries, UsageSeries.id == UsageBucket.series_id)
            .join(Meter, Meter.id == UsageSeries.meter_id)
            .where(UsageSeries.org_id == (org or self.acme).id)
        )
        async with self.runtime.sessions() as session:
            rows = await session.execute(statement)
            return {
                " ".join(
                    [
                        slug,
                        *(f"{name}={value}" for name, value in sorted(dimensions.items())),
                        f"{bucket.hour:%Hh}",
                    ]
                ): bucket
                for bucket, slug, dimensions in rows
            }

    async def totals(self, org: Organization | None = None) -> dict[str, Decimal]:
        """What each bucket adds up to."""
        return {name: bucket.total for name, bucket in (await self.buckets(org)).items()}

    async def events(self) -> list[KeptReading]:
        """Every reading kept, folded or not; most events here have just one."""
        async with self.runtime.sessions() as session:
            return [KeptReading(*row) for row in await session.execute(_READINGS)]

    async def identities(self) -> list[UsageIdentity]:
        async with self.runtime.sessions() as session:
            return list(await session.scalars(select(UsageIdentity)))

    async def quarantine(self) -> list[QuarantinedEvent]:
        async with self.runtime.sessions() as session:
            return list(
                await session.scalars(
                    select(QuarantinedEvent).order_by(QuarantinedEvent.recorded_at)
                )
            )


@pytest.fixture
async def usage(runtime: Runtime, sessions: Sessions, clock: Clock) -> Usage:
    """Acme and globex; egress_gb sums, request counts, seats takes the highest."""
    async with sessions.begin() as session:
        acme = await an_organization(session, key="acme")
        globex = await an_organization(session, key="globex")
        await a_meter(session, "egress_gb")
        await a_meter(session, "request", aggregation=Aggregation.COUNT, dimensions={"app": "app"})
        await a_meter(session, "seats", aggregation=Aggregation.MAX, dimensions={})
    return Usage(runtime, clock, acme, globex)


@pytest.fixture
async def declared(usage: Usage) -> Usage:
    """And the meters of every aggregation that a rescan knows."""
    async with usage.runtime.sessions.begin() as session:
        for meter in METERS:
            row = await a_meter(
                session,
                meter.slug,
                aggregation=Aggregation(meter.aggregation),
                dimensions={name: name for name in meter.dimensions},
                event_type=meter.event_type,
            )
            row.value_property = meter.value
    return usage
