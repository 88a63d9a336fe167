"""Payments of an invoice at Stripe, and what went back of them."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import stripe

from billing.ids import StripeInvoiceId
from billing.stripe_gateway.errors import translated_errors
from billing.stripe_protocol import MoneyBack
from billing.stripe_wire import PAGE_SIZE

_PATHS = {
    "charge": "/v1/charges",
    "charge.dispute": "/v1/disputes",
    "credit_note": "/v1/credit_notes",
    "invoice_payment": "/v1/invoice_payments",
    "refund": "/v1/refunds",
}
_GIVEN_BACK = {"succeeded", "pending", "requires_action"}
_DISPUTE_ENDED_WELL = {"won", "warning_closed", "prevented"}


@dataclass(frozen=True)
class Payments:
    """Read raw: these objects come in many shapes, and we need a few ids and amounts."""

    client: stripe.StripeClient

    async def invoice_about(self, noun: str, id_: str) -> StripeInvoiceId | None:
        """None where there is no such object, or it was no payment of an invoice."""
        path = _PATHS.get(noun)
        found = None if path is None else await self._one(f"{path}/{id_}")
        if found is None:
            return None
        if invoice := _id_of(found.get("invoice")):
            return StripeInvoiceId(invoice)
        intent = _id_of(found.get("payment_intent"))
        if intent is None:
            return None
        payment = {"type": "payment_intent", "payment_intent": intent}
        paid = await self._all("/v1/invoice_payments", payment=payment)
        invoices = [_id_of(one["invoice"]) for one in paid]
        return StripeInvoiceId(invoices[0]) if invoices and invoices[0] else None

    async def money_back(self, id_: StripeInvoiceId) -> MoneyBack:
        """Of all its payments. A refund that failed went nowhere, a dispute that we won neither."""
        refunded = disputed = 0
        status: str | None = None
        for payment in await self._all("/v1/invoice_payments", invoice=id_):
            intent = _id_of(payment["payment"].get("payment_intent"))
            if intent is None:
                continue
            for refund in await self._all("/v1/refunds", payment_intent=intent):
                refunded += refund["amount"] if refund["status"] in _GIVEN_BACK else 0
            for dispute in await self._all("/v1/disputes", payment_intent=intent):
                status = status or dispute["status"]  # newest first
                if dispute["status"] not in _DISPUTE_ENDED_WELL:
                    disputed += dispute["amount"]
        return MoneyBack(refunded, disputed, status)

    async def _one(self, path: str) -> dict[str, Any] | None:
        with translated_errors():
            try:
                answer = await self.client.raw_request_async("get", path)
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return None
                raise
        found: dict[str, Any] = answer.data
        return found

    async def _all(self, path: str, **wanted: Any) -> Sequence[dict[str, Any]]:  # noqa: ANN401
        """All pages of a list that is short: payments of one invoice, refunds of one payment."""
        rows: list[dict[str, Any]] = []
        cursor: dict[str, str] = {}
        while True:
            with translated_errors():
                answer = await self.client.raw_request_async(
                    "get", path, limit=PAGE_SIZE, **wanted, **cursor
                )
            rows += answer.data["data"]
            if not answer.data["has_more"]:
                return rows
            cursor = {"starting_after": rows[-1]["id"]}


def _id_of(named: object) -> str | None:
    """An id, or an expanded object's."""
    if isinstance(named, dict):
        named = named.get("id")
    return named if isinstance(named, str) else None
