"""Customers at Stripe."""

from dataclasses import dataclass

import stripe

from billing.ids import StripeCustomerId
from billing.stripe_gateway.errors import translated_errors
from billing.stripe_protocol import Customer
from billing.stripe_wire import PAGE_SIZE


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
                    "metadata": {"organization_id": customer.organization_id},
                },
                {"idempotency_key": key},
            )
        return StripeCustomerId(created.id)

    async def find_customer(self, customer: Customer) -> StripeCustomerId | None:
        """The oldest with our id, by its e-mail; by list, which is consistent at once."""
        with translated_errors():
            pages = await self.client.v1.customers.list_async(
                {"email": customer.email, "limit": PAGE_SIZE}
            )
            found = [one.to_dict() async for one in pages.auto_paging_iter()]
        ours = [
            x for x in found if x["metadata"].get("organization_id") == customer.organization_id
        ]
        return StripeCustomerId(ours[-1]["id"]) if ours else None

    async def update_customer(self, id_: StripeCustomerId, customer: Customer, key: str) -> None:
        """What is sent is what it shall be, so a repeat changes nothing."""
        with translated_errors():
            await self.client.v1.customers.update_async(
                id_, {"name": customer.name, "email": customer.email}, {"idempotency_key": key}
            )
