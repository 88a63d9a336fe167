"""One organization's last periods, had it been on another plan."""

from dataclasses import replace
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Agreement
from billing.errors import Conflict, Invalid, NotFound
from billing.models import Organization, Plan
from billing.repricing.effects import (
    OrganizationEffect,
    at_once,
    check_periods,
    effects_of,
    snapshot,
)
from billing.repricing.prices import as_if_always
from billing.subscriptions import get_plan


async def on_plan(
    session: AsyncSession,
    org: Organization,
    plan_slug: str,
    now: datetime,
    *,
    periods: int,
    instead_of: str | None = None,
) -> OrganizationEffect:
    """Its latest issued periods on another plan, at the plan's prices of now. `session`: fresh.

    It leaves the plans it was on, one after the other; of several at once, `instead_of`. Raises
    `NotFound`, `Invalid` for a plan that does not fit, `Conflict` where it is not said which to
    leave, or where the plan would price what another one does.
    """
    check_periods(periods)
    await snapshot(session, org.id)
    plan = await get_plan(session, plan_slug)
    if all(price.currency != org.currency for price in plan.prices):
        raise Invalid(
            f"The plan {plan_slug!r} has no prices in {org.currency}.",
            code="CURRENCY_MISMATCH",
            field="plan",
        )
    held = as_if_always(plan, now)
    found = await effects_of(session, org, lambda x: _moved(x, held, instead_of), periods)
    if instead_of and found.effects and not any(x.has_moved for x in found.effects):
        raise NotFound(
            f"{org.name} was not on a plan {instead_of[:60]!r} then.",
            code="NOT_ON_PLAN",
            field="insteadOf",
        )
    return found


def _moved(agreement: Agreement, plan: Plan, instead_of: str | None) -> Agreement:
    if instead_of is None:
        _check_one_after_the_other(agreement)
    plans = {
        key: plan if instead_of in {None, was.slug} else was for key, was in agreement.plans.items()
    }
    return replace(agreement, plans=plans)


def _check_one_after_the_other(agreement: Agreement) -> None:
    for one, other in at_once(agreement.subscriptions):
        slugs = sorted(agreement.plans[x.plan_id].slug for x in (one, other))
        raise Conflict(
            f"{agreement.org.name} was on {' and '.join(slugs)} at once: say which of them to"
            " leave.",
            code="SEVERAL_PLANS",
            field="insteadOf",
        )
