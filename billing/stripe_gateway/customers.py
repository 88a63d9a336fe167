"""Customers at Stripe."""

import logging
from dataclasses import dataclass
from typing import Any

import stripe

from billing.ids import StripeCustomerId
from billing.stripe_gateway.errors import StripeRefused, translated_errors
from billing.stripe_protocol import Customer
from billing.stripe_wire import PAGE_SIZE

log = logging.getLogger(__name__)

_OUR_ID = "organization_id"


@dataclass(frozen=True)
class Customers:
    """Whom Stripe bills, found again by our id."""

    client: stripe.StripeClient

    async def create_customer(self, customer: Customer, key: str) -> StripeCustomerId:
        """Only what invoices and mails need, and our id to find it by."""
        with translated_errors():
            created = await self.client.v1.customers.create_async(
                {
                    "name": customer.name,
                    "email": customer.email,
                    "metadata": {_OUR_ID: customer.organization_id},
                },
                {"idempotency_key": key},
            )
        return StripeCustomerId(created.id)

    async def find_customer(self, customer: Customer) -> StripeCustomerId | None:
        """The oldest with our id: by its e-mail in the list, which is consistent at once.

        Stripe may know it by an older address, and lists by nothing else that stays; so then by
        its search, which has our id. That lags by a minute, or an hour in an outage.
        """
        listed = await self._found("/v1/customers", customer, email=customer.email)
        by_id = f"metadata['{_OUR_ID}']:'{customer.organization_id}'"
        ours = listed or await self._searched(customer, by_id)
        oldest = min(reversed(ours), key=lambda one: one["created"], default=None)
        return None if oldest is None else StripeCustomerId(oldest["id"])

    async def _searched(self, customer: Customer, query: str) -> list[dict[str, Any]]:
        """Nothing where Stripe has no search for this account: then the list is all there is."""
        try:
            return await self._found("/v1/customers/search", customer, query=query)
        except StripeRefused as refusal:
            log.warning("customers are not searched for: %s", refusal)
            return []

    async def _found(self, path: str, customer: Customer, **wanted: str) -> list[dict[str, Any]]:
        """All pages; a search's are followed by its own token."""
        found: list[dict[str, Any]] = []
        following: dict[str, str] = {}
        while True:
            with translated_errors():
                answer = await self.client.raw_request_async(
                    "get", path, limit=PAGE_SIZE, **wanted, **following
                )
            page = answer.data
            found += page["data"]
            if not page["has_more"]:
                break
            token = page.get("next_page")
            following = {"page": token} if token else {"starting_after": found[-1]["id"]}
        return [one for one in found if one["metadata"].get(_OUR_ID) == customer.organization_id]

    async def has_customer(self, id_: StripeCustomerId) -> bool:
        """False for a deleted one, of which Stripe keeps a stub."""
        with translated_errors():
            try:
                answer = await self.client.raw_request_async("get", f"/v1/customers/{id_}")
            except stripe.InvalidRequestError as error:
                if error.http_status == 404:
                    return False
                raise
        return not answer.data.get("deleted")

    async def update_customer(self, id_: StripeCustomerId, customer: Customer, key: str) -> None:
        """What is sent is what it shall be, so a repeat changes nothing."""
        with translated_errors():
            await self.client.v1.customers.update_async(
                id_, {"name": customer.name, "email": customer.email}, {"idempotency_key": key}
            )
