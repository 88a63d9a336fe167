"""What Stripe tells us: kept first (`inbox`), then looked up and written (`handling`, `applying`).

Only an event's id and its object's are believed; the invoice is fetched.
"""

from billing.stripe_events.applying import apply_stripe_state
from billing.stripe_events.handling import ATTEMPTS_MAX, AnotherCarriesOurId, handle_due
from billing.stripe_events.inbox import receive

__all__ = [
    "ATTEMPTS_MAX",
    "AnotherCarriesOurId",
    "apply_stripe_state",
    "handle_due",
    "receive",
]
