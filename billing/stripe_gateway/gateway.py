"""The gateway as a whole, on one pool of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import stripe

from billing.settings import Settings
from billing.stripe_gateway.credit_notes import CreditNotes
from billing.stripe_gateway.customers import Customers
from billing.stripe_gateway.invoices import Invoices
from billing.stripe_protocol import Stripe

_TIMEOUT_SECONDS = 20


@dataclass(frozen=True)
class StripeGateway(Customers, Invoices, CreditNotes):
    """`Stripe` over HTTP. Idempotency keys are the caller's; Stripe keeps them about 24 hours."""


@asynccontextmanager
async def open_stripe(settings: Settings) -> AsyncIterator[Stripe]:
    """The real gateway, on one pool of connections that is closed at the end."""
    http_client = stripe.HTTPXClient(timeout=_TIMEOUT_SECONDS)
    base = settings.stripe_api_base
    client = stripe.StripeClient(
        settings.stripe_api_key,
        base_addresses={"api": base} if base else {},
        max_network_retries=0,  # the queue retries, under one policy and the same keys
        http_client=http_client,
    )
    try:
        yield StripeGateway(client)
    finally:
        await http_client.close_async()  # type: ignore[no-untyped-call] # the SDK's gap
