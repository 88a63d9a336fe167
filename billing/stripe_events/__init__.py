"""What Stripe tells us: kept first (`inbox`), then looked up and written (`handling`, `applying`).

Only an event's id and its object's are believed; the invoice is fetched (`refreshing`). `backfill`
reads Stripe's own list for what no webhook told, `replaying` acts on what came once more.
"""

from billing.stripe_events.applying import apply_stripe_state
from billing.stripe_events.backfill import backfill_due, find_cursor
from billing.stripe_events.handling import ATTEMPTS_MAX, handle_due
from billing.stripe_events.inbox import is_of_another_version, receive
from billing.stripe_events.nouns import HANDLED_TYPES
from billing.stripe_events.reading import InboxHealth, inbox_health, received_events
from billing.stripe_events.refreshing import AnotherCarriesOurId, refresh
from billing.stripe_events.replaying import (
    Change,
    Preview,
    events_between,
    get_events,
    preview,
    replay_events,
)

__all__ = [
    "ATTEMPTS_MAX",
    "HANDLED_TYPES",
    "AnotherCarriesOurId",
    "Change",
    "InboxHealth",
    "Preview",
    "apply_stripe_state",
    "backfill_due",
    "events_between",
    "find_cursor",
    "get_events",
    "handle_due",
    "inbox_health",
    "is_of_another_version",
    "preview",
    "receive",
    "received_events",
    "refresh",
    "replay_events",
]
