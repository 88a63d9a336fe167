"""What an organization is on, changed: every change at a whole hour, with its effect in money."""

from billing.subscribing.cancelling import cancel_subscription, resume_subscription
from billing.subscribing.changing import change_plan
from billing.subscribing.closing_organizations import close_organization
from billing.subscribing.holding import ChangeInClosedPeriod, ChangePending, OrganizationClosed
from billing.subscribing.overriding import NewOverride, override_price
from billing.subscribing.previewing import Effect, LineChange, effect_of, preview
from billing.subscribing.starting import StartInClosedPeriod, start_subscription

__all__ = [
    "ChangeInClosedPeriod",
    "ChangePending",
    "Effect",
    "LineChange",
    "NewOverride",
    "OrganizationClosed",
    "StartInClosedPeriod",
    "cancel_subscription",
    "change_plan",
    "close_organization",
    "effect_of",
    "override_price",
    "preview",
    "resume_subscription",
    "start_subscription",
]
