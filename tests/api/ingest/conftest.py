"""The door for usage events, asked with one key."""

import json
from dataclasses import dataclass
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import text

from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import a_key
from tests.factories import a_meter

SINGLE = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
LINES = "application/x-ndjson"

_TOTAL = text("SELECT sum(quantity) FROM usage_events")


def an_event(**changes: object) -> dict[str, object]:
    """1.5 GB of egress by acme, unless told otherwise."""
    return {
        "specversion": "1.0",
        "id": "e1",
        "source": "rails",
        "type": "egress_gb",
        "subject": "acme",
        "time": "2026-11-10T13:20:00Z",
        "data": {"value": 1.5, "app": "web"},
        **changes,
    }


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoint, asked with one key; and what came through it."""

    http: httpx.AsyncClient
    token: str
    sessions: Sessions

    async def post(
        self, body: bytes | str | object, media_type: str = BATCH, **headers: str
    ) -> httpx.Response:
        """Text is sent as it is, everything else as JSON."""
        return await self.http.post(
            "/api/v1/events",
            content=body if isinstance(body, bytes | str) else json.dumps(body),
            headers={
                "Authorization": f"Bearer {self.token}",
                "Content-Type": media_type,
                **headers,
            },
        )

    async def total(self) -> Decimal:
        """Everything counted so far."""
        async with self.sessions() as session:
            return await session.scalar(_TOTAL) or Decimal(0)

    async def stored(self) -> int:
        """How many events were accepted so far."""
        async with self.sessions() as session:
            return await session.scalar(text("SELECT count(*) FROM usage_events")) or 0


@pytest.fixture
async def door(http: httpx.AsyncClient, org: Organization, sessions: Sessions) -> Door:
    async with sessions.begin() as session:
        await a_meter(session)
    return Door(http, await a_key(sessions, "usage:write"), sessions)
