"""Usage as it was stored before it was packed (revision 0002): written with SQL alone."""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import count
from typing import Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)
FIRST = datetime(2026, 11, 8, tzinfo=UTC)
LATER = datetime(2026, 11, 9, tzinfo=UTC)
"""When some meters were added, and the events from then on were recorded."""
_numbers = count(1)

METERS: Sequence[tuple[str, str, str | None, str, dict[str, str], datetime]] = (
    ("egress_gb", "egress_gb", "value", "SUM", {"app": "app", "region": "region"}, LONG_AGO),
    ("hits", "egress_gb", None, "COUNT", {"where": "region"}, LONG_AGO),
    ("peak", "egress_gb", "highest", "MAX", {}, LONG_AGO),
    ("request", "request", None, "COUNT", {}, LONG_AGO),
    ("late_hits", "request", None, "COUNT", {"app": "app"}, LATER),
    ("late_sum", "egress_gb", "late", "SUM", {}, LATER),
    ("late_peak", "egress_gb", "value", "MAX", {"zone": "zone"}, LATER),
)
"""Slug, event type, value, aggregation, dimensions, and since when."""


@dataclass(frozen=True)
class Old:
    """An event as it was counted: what was kept of it, and what it added, by meter.

    `undeclared` was sent as well, and no meter of its day read it.
    """

    id: str
    at: datetime
    data: Mapping[str, str]
    adds: Mapping[str, tuple[str, Mapping[str, str]]]
    type: str = "egress_gb"
    source: str = "phoenix/eu-1"
    subject: str = "acme"
    has_time: bool = True
    recorded_at: datetime = FIRST
    undeclared: Mapping[str, str] = field(default_factory=dict)

    def on_the_wire(self, **changes: object) -> dict[str, object]:
        """As it is sent again, unless told otherwise."""
        event: dict[str, object] = {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "data": {**self.data, **self.undeclared},
        }
        if self.has_time:
            event["time"] = self.at.isoformat()
        return {**event, **changes}


EVENTS = (
    Old(
        "whole",
        datetime(2026, 10, 31, 23, 59, 59, 999_999, tzinfo=UTC),
        {"value": "1.5", "highest": "7", "app": "web", "region": "eu"},
        {
            "egress_gb": ("1.5", {"app": "web", "region": "eu"}),
            "hits": ("1", {"where": "eu"}),
            "peak": ("7", {}),
        },
    ),
    Old(
        "whole",
        datetime(2026, 10, 31, 23, tzinfo=UTC),
        {"value": "1"},
        {"egress_gb": ("1", {}), "hits": ("1", {})},
        subject="globex",
    ),
    Old(
        "tiny",
        datetime(2026, 11, 1, tzinfo=UTC),
        {"value": "0.000000000001"},
        {"egress_gb": ("0.000000000001", {}), "hits": ("1", {})},
        undeclared={"late": "5", "zone": "z"},
    ),
    Old(
        "é😀",
        datetime(2026, 11, 1, 0, 30, tzinfo=UTC),
        {"value": "999999999999999.999999999999", "app": 'wéb"\\😀'},
        {"egress_gb": ("999999999999999.999999999999", {"app": 'wéb"\\😀'}), "hits": ("1", {})},
        source="ｓ",
    ),
    Old(
        "timeless",
        FIRST,
        {"highest": "0", "region": "eu"},
        {"hits": ("1", {"where": "eu"}), "peak": ("0", {})},
        has_time=False,
    ),
    Old("bare", FIRST, {}, {"request": ("1", {})}, type="request", undeclared={"app": "web"}),
    Old(
        "later request",
        FIRST,
        {},
        {"request": ("1", {}), "late_hits": ("1", {})},
        type="request",
        recorded_at=LATER,
    ),
    Old(
        "later egress",
        datetime(2026, 11, 1, 0, 45, tzinfo=UTC),
        {"value": "2", "late": "3"},
        {
            "egress_gb": ("2", {}),
            "hits": ("1", {}),
            "late_sum": ("3", {}),
            "late_peak": ("2", {}),
        },
        recorded_at=LATER + timedelta(hours=1),
    ),
)


ADD_TO_BUCKET = """
ON CONFLICT (series_id, hour) DO UPDATE SET event_count = bucket.event_count + 1,
    total = bucket.total + excluded.total, highest = greatest(bucket.highest, excluded.highest)
"""


def id_of(at: datetime) -> UUID:
    """A UUID of version 7, as every row's: it starts with when it was made, in milliseconds."""
    milliseconds = (at - EPOCH) // timedelta(milliseconds=1)
    return UUID(int=milliseconds << 80 | 7 << 76 | 2 << 62 | next(_numbers))


class OldStore:
    """Writes these rows as they were written."""

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection
        self._ids: dict[object, UUID] = {}

    async def write(self, events: Iterable[Old]) -> None:
        """Two organizations, the meters, and everything counted of the events."""
        for key in ("acme", "globex"):
            await self._organization(key)
        for meter in METERS:
            await self._meter(*meter)
        for event in events:
            await self._event(event)
            for slug, (quantity, dimensions) in event.adds.items():
                await self._count(event, slug, Decimal(quantity), dimensions)

    async def _insert(self, table: str, /, **columns: Any) -> None:
        """A bucket is added to where it is there."""
        places = ", ".join(f"${number + 1}" for number in range(len(columns)))
        ending = ADD_TO_BUCKET if table == "usage_buckets AS bucket" else ""
        statement = f"INSERT INTO {table} ({', '.join(columns)}) VALUES ({places}) {ending}"
        await self._connection.exec_driver_sql(statement, tuple(columns.values()))

    async def _organization(self, key: str) -> None:
        self._ids[key] = id_of(LONG_AGO)
        await self._insert(
            "organizations",
            id=self._ids[key],
            key=key,
            slug=key,
            name=key,
            currency="USD",
            anchor_day=1,
            billing_email=f"{key}@example.com",
            invoice_prefix=key,
            invoice_sequence=0,
            opened_at=LONG_AGO,
            open_period_end=datetime(2026, 12, 1, tzinfo=UTC),
            subscription_changes=0,
            recorded_at=LONG_AGO,
        )

    async def _meter(
        self,
        slug: str,
        event_type: str,
        value: str | None,
        aggregation: str,
        dimensions: Mapping[str, str],
        since: datetime,
    ) -> None:
        self._ids[slug, "meter"] = id_of(since)
        await self._insert(
            "meters",
            id=self._ids[slug, "meter"],
            slug=slug,
            name=slug,
            unit="u",
            event_type=event_type,
            value_property=value,
            aggregation=aggregation,
            dimensions=json.dumps(dimensions),
            recorded_at=since,
        )

    async def _event(self, event: Old) -> None:
        event_id = id_of(event.recorded_at)
        named: dict[str, Any] = {
            "org_id": self._ids[event.subject],
            "source": event.source,
            "external_id": event.id,
            "recorded_at": event.recorded_at,
        }
        data = json.dumps(dict(event.data))
        await self._insert(
            "usage_events",
            id=event_id,
            event_type=event.type,
            occurred_at=event.at,
            data=data,
            **named,
        )
        await self._insert(
            "usage_identities",
            event_id=event_id,
            fingerprint=b"sixteen bytes of",
            given_time=event.at if event.has_time else None,
            **named,
        )

    async def _count(
        self, event: Old, slug: str, quantity: Decimal, dimensions: Mapping[str, str]
    ) -> None:
        org_id, meter_id = self._ids[event.subject], self._ids[slug, "meter"]
        text = json.dumps(sorted(dimensions.items()), separators=(",", ":"))
        series = (org_id, meter_id, text)
        if series not in self._ids:
            self._ids[series] = id_of(event.recorded_at)
            await self._insert(
                "usage_series",
                id=self._ids[series],
                org_id=org_id,
                meter_id=meter_id,
                digest=blake2b(text.encode(), digest_size=16).digest(),
                dimensions=json.dumps(dict(dimensions)),
                recorded_at=event.recorded_at,
            )
        await self._insert(
            "usage_buckets AS bucket",
            series_id=self._ids[series],
            hour=event.at.replace(minute=0, second=0, microsecond=0),
            org_id=org_id,
            meter_id=meter_id,
            event_count=1,
            total=quantity,
            highest=quantity,
            last_value=quantity,
            last_at=event.at,
            last_source=event.source,
            last_external_id=event.id,
        )
