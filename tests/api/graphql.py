"""Asking GraphQL in tests, and what there is to ask about."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from sqlalchemy import event
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.api_keys import NewKey, create_key
from billing.closing import close_period_now
from billing.models import Invoice, Organization
from billing.runtime import Sessions
from tests.factories import DECEMBER, EGRESS, a_meter, a_plan, a_price, counted, subscribed
from tests.world import NOVEMBER_10

RESPONSE_TYPE = "application/graphql-response+json"


@dataclass(frozen=True, slots=True)
class Graph:
    """GraphQL over HTTP, asked with one key."""

    http: httpx.AsyncClient
    token: str

    async def post(self, query: str, /, **variables: Any) -> httpx.Response:
        """The whole answer."""
        return await self.http.post(
            "/graphql",
            json={"query": query, "variables": variables},
            headers={"Authorization": f"Bearer {self.token}"},
        )

    async def ask(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The data of an answer without errors."""
        answer = (await self.post(query, **variables)).json()
        assert "errors" not in answer, answer["errors"]
        data: dict[str, Any] = answer["data"]
        return data

    async def refusal(self, query: str, /, **variables: Any) -> dict[str, Any]:
        """The one error of an answer."""
        (error,) = (await self.post(query, **variables)).json()["errors"]
        refusal: dict[str, Any] = error
        return refusal

    async def code(self, query: str, /, **variables: Any) -> str:
        """The code of the one error of an answer."""
        return str((await self.refusal(query, **variables))["extensions"]["code"])


async def a_key(sessions: Sessions, *scopes: str, org: Organization | None = None) -> str:
    """The token of a new key."""
    new = NewKey("test", scopes, org.id if org else None)
    async with sessions.begin() as session:
        _, token = await create_key(session, new, actor="test", now=NOVEMBER_10)
    return token


async def on_a_plan(sessions: Sessions, org: Organization) -> None:
    """Worked example 4 over three apps in November: 5.94, and a fee in advance."""
    fee = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}
    async with sessions.begin() as session:
        meter = await a_meter(session)
        plan = await a_plan(session)
        await a_price(session, plan, EGRESS, meter=meter, slug="egress")
        await a_price(session, plan, fee, slug="base")
        await subscribed(session, org, plan, free_until=DECEMBER)
        for day, app, quantity in ((2, "api", "301.2"), (3, "worker", "98"), (9, "old", "13.4")):
            at = datetime(2026, 11, day, 12, tzinfo=UTC)
            await counted(session, org.id, meter, quantity, at, app=app, region="fra")


async def closed_months(
    sessions: Sessions, org: Organization, months: int, *, after: int = 0
) -> list[Invoice]:
    """Invoices of the months from November 2026 on, oldest first, `after` of them left out."""
    invoices = []
    for number in range(11 + after, 11 + after + months):
        end = datetime(2026 + number // 12, number % 12 + 1, 1, tzinfo=UTC)
        async with sessions.begin() as session:
            invoices.append(await close_period_now(session, org, end, actor="test", now=end))
    return invoices


@contextmanager
def statements(engine: AsyncEngine) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_c: object, _cursor: object, statement: str, *_rest: object) -> None:
        sent.append(statement)

    event.listen(engine.sync_engine, "before_cursor_execute", note)
    yield sent
    event.remove(engine.sync_engine, "before_cursor_execute", note)
