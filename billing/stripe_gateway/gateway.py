"""The gateway as a whole, on one pool of connections."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import httpx
import stripe

from billing.settings import Settings
from billing.stripe_gateway.credit_notes import CreditNotes
from billing.stripe_gateway.customers import Customers
from billing.stripe_gateway.invoices import Invoices
from billing.stripe_gateway.listing import Listing
from billing.stripe_gateway.payments import Payments
from billing.stripe_gateway.transport import LimitedTransport
from billing.stripe_limits import Unlimited
from billing.stripe_limits.limiter import Limits
from billing.stripe_protocol import Stripe


@dataclass(frozen=True)
class StripeGateway(Customers, Invoices, CreditNotes, Listing, Payments):
    """`Stripe` over HTTP. Idempotency keys are the caller's; Stripe keeps them about 24 hours."""


@asynccontextmanager
async def open_stripe(
    settings: Settings,
    limits: Limits | None = None,
    *,
    wire: httpx.AsyncBaseTransport | None = None,
) -> AsyncIterator[Stripe]:
    """The real gateway, on one pool of connections that is closed at the end.

    A process gives its `limits`; what has none to keep, such as a test of something else, does not.
    """
    http_client = LimitedTransport(limits or Unlimited(), wire)
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
