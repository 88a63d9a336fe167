"""Lists of a hundred at a time, read raw: objects of the SDK would cost ten times the CPU."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import stripe

from billing.stripe_gateway.errors import translated_errors
from billing.stripe_protocol import EventPage, EventQuery, InvoicePage, ListQuery
from billing.stripe_wire import PAGE_SIZE, read_listed, unix


@dataclass(frozen=True)
class Listing:
    """What Stripe holds, a page a call. Lists are consistent at once; its search is not."""

    client: stripe.StripeClient

    async def list_invoices(self, query: ListQuery, cursor: str | None) -> InvoicePage:
        """There is no filter by what changed, so windows are of what was created."""
        wanted: dict[str, Any] = {
            "created": {"gte": unix(query.start), "lt": unix(query.end)},
            "limit": PAGE_SIZE,
        }
        if query.status is not None:
            wanted["status"] = query.status
        rows, following = await self._page("/v1/invoices", wanted, cursor)
        return InvoicePage(tuple(read_listed(row) for row in rows), following)

    async def list_events(self, query: EventQuery, cursor: str | None) -> EventPage:
        """Whether a webhook told us of them or not."""
        wanted: dict[str, Any] = {
            "types": list(query.types),
            "created": {"gte": unix(query.start), "lt": unix(query.end)},
            "limit": PAGE_SIZE,
        }
        rows, following = await self._page("/v1/events", wanted, cursor)
        return EventPage(tuple(rows), following)

    async def webhook_endpoint_status(self, url: str) -> str | None:
        """Of several with this address, as while a version is changed, one that is on is enough."""
        found: set[str] = set()
        cursor: str | None = None
        while True:
            rows, cursor = await self._page("/v1/webhook_endpoints", {"limit": PAGE_SIZE}, cursor)
            found |= {row["status"] for row in rows if row["url"] == url}
            if cursor is None:
                return min(found, key=lambda status: (status != "enabled", status), default=None)

    async def _page(
        self, path: str, wanted: dict[str, Any], cursor: str | None
    ) -> tuple[Sequence[dict[str, Any]], str | None]:
        if cursor is not None:
            wanted["starting_after"] = cursor
        with translated_errors():
            answer = await self.client.raw_request_async("get", path, **wanted)
        body = answer.data
        rows = body["data"]
        return rows, rows[-1]["id"] if body["has_more"] and rows else None
