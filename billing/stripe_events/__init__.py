"""What Stripe tells us: kept first (`inbox`), then looked up and written (`handling`, `applying`).

Only an event's id and its object's are believed; the invoice is fetched (`refreshing`). `backfill`
reads Stripe's own list for what no webhook told, `replaying` acts on what came once more.
`endpoint` asks whether Stripe still sends at all, `pruning` forgets.
"""

from billing.stripe_events.applying import apply_stripe_state
from billing.stripe_events.backfill import backfill_due, find_cursor
from billing.stripe_events.endpoint import ENABLED, check_endpoint_due, find_endpoint
from billing.stripe_events.handling import ATTEMPTS_MAX, handle_due
from billing.stripe_events.inbox import is_of_another_version, receive
from billing.stripe_events.nouns import HANDLED_TYPES
from billing.stripe_events.pruning import prune_events
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
    "ENABLED",
    "HANDLED_TYPES",
    "AnotherCarriesOurId",
    "Change",
    "InboxHealth",
    "Preview",
    "apply_stripe_state",
    "backfill_due",
    "check_endpoint_due",
    "events_between",
    "find_cursor",
    "find_endpoint",
    "get_events",
    "handle_due",
    "inbox_health",
    "is_of_another_version",
    "preview",
    "prune_events",
    "receive",
    "received_events",
    "refresh",
    "replay_events",
]
