"""The one door to Stripe: the only product package that imports `stripe`.

Everything here waits on the network, so no caller may hold a transaction.
"""

from billing.stripe_gateway.errors import StripeRefused, TooManyLines
from billing.stripe_gateway.gateway import open_stripe
from billing.stripe_gateway.signatures import verify_webhook

__all__ = ["StripeRefused", "TooManyLines", "open_stripe", "verify_webhook"]
