"""Who is on which plan, and what the plan offers them in a period."""

from billing.subscriptions.deciding import decide_end, withdraw_subscription
from billing.subscriptions.in_force import (
    NotOnPlan,
    Standing,
    get_plan,
    get_subscription,
    pending_change,
    plans_with_prices,
    standing_subscriptions,
    subscriptions_in,
)
from billing.subscriptions.offers import offers_of, override_name, version_name
from billing.subscriptions.refusals import (
    AlreadyOnPlan,
    MeterPricedTwice,
    refuse_pricing_twice,
    refuse_twice,
)

__all__ = [
    "AlreadyOnPlan",
    "MeterPricedTwice",
    "NotOnPlan",
    "Standing",
    "decide_end",
    "get_plan",
    "get_subscription",
    "offers_of",
    "override_name",
    "pending_change",
    "plans_with_prices",
    "refuse_pricing_twice",
    "refuse_twice",
    "standing_subscriptions",
    "subscriptions_in",
    "version_name",
    "withdraw_subscription",
]
