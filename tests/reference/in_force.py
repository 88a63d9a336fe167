"""Which prices are in force when (§4): the period cut wherever a subscription or version changes.

Everything is asked as known at an instant: a subscription, or its end, that is recorded later is
not known yet, and neither is an override. The catalogue is taken to be known from the beginning.
"""

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise

from tests.reference.periods import Period, hour_down, hour_up
from tests.reference.world import Plan, Price, PriceVersion, Subscription, World

FOREVER = datetime(9999, 1, 1, tzinfo=UTC)
FilterKey = tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(frozen=True)
class Active:
    """A subscription's whole hours, as far as known."""

    subscription: Subscription
    start: datetime
    end: datetime
    fees_from: datetime


@dataclass(frozen=True)
class InForce:
    """One price by one version, of the how-manieth subscription and place in its plan."""

    subscribed: int
    position: int
    name: str
    price: Price
    version: PriceVersion


@dataclass(frozen=True)
class Stretch:
    """A part of the period in which nothing changes."""

    start: datetime
    end: datetime
    prices: tuple[InForce, ...]


def as_known(world: World, now: datetime) -> World:
    """The plans with the organization's own prices in their places, as far as these are known."""
    plans = tuple(
        replace(plan, prices=tuple(_own_price(world, plan, price, now) for price in plan.prices))
        for plan in world.plans
    )
    return replace(world, plans=plans)


def _own_price(world: World, plan: Plan, price: Price, now: datetime) -> Price:
    """Own terms hold from their hour until the next own ones; without terms, the plan's again."""
    own = sorted(
        (
            one
            for one in world.overrides
            if (one.plan, one.price) == (plan.slug, price.slug) and one.recorded_at <= now
        ),
        key=lambda one: one.effective_from,
    )
    versions = list(price.versions)
    ends = [*(x.effective_from for x in own[1:]), FOREVER]
    for one, until in zip(own, ends, strict=False):
        standing = one.terms or version_at(price, one.effective_from)
        assert standing is not None, "every price is older than the world"
        inside = [v for v in price.versions if one.effective_from < v.effective_from < until]
        versions = [v for v in versions if v.effective_from < one.effective_from]
        versions.append(replace(standing, effective_from=one.effective_from))
        versions += [] if one.terms else inside
    return replace(price, versions=tuple(versions))


def plan_of(world: World, slug: str) -> Plan:
    """The plan with this slug."""
    (plan,) = [plan for plan in world.plans if plan.slug == slug]
    return plan


def active_subscriptions(world: World, now: datetime) -> list[Active]:
    """Subscriptions known at `now`, by start, with their ends if these are known at `now` too."""
    known = [s for s in world.subscriptions if s.created_at <= now]
    actives = [_active(subscription, now) for subscription in known]
    return sorted(actives, key=lambda active: active.start)


def _active(subscription: Subscription, now: datetime) -> Active:
    # the second half of a plan change is no start: it begins where the first half, rounded up, ends
    start = (hour_up if subscription.changes else hour_down)(subscription.starts_at)
    end = FOREVER
    if subscription.ends_at and (subscription.end_recorded_at or subscription.ends_at) <= now:
        end = hour_up(subscription.ends_at)
    taken_back = subscription.resumed
    if taken_back and taken_back.recorded_at <= now < taken_back.taken_back_at:
        end = hour_up(taken_back.ends_at)
    trial = hour_up(subscription.trial_ends_at) if subscription.trial_ends_at else start
    return Active(subscription, start, end, max(start, trial))


def version_at(price: Price, instant: datetime) -> PriceVersion | None:
    """The last version that has begun."""
    begun = [v for v in price.versions if hour_up(v.effective_from) <= instant]
    return max(begun, key=lambda version: version.effective_from, default=None)


def terms_of(version: PriceVersion) -> PriceVersion:
    """A version without its date, to compare what it charges."""
    return replace(version, effective_from=FOREVER)


def filter_key(price: Price) -> FilterKey:
    """Filters as a value: with the meter, the identity of a ladder."""
    return tuple(sorted((name, tuple(sorted(values))) for name, values in price.filters.items()))


def stretches_of(world: World, period: Period, now: datetime) -> list[Stretch]:
    """The period in parts, each with the metered prices in force throughout it."""
    active = active_subscriptions(world, now)
    cuts = {period.start, period.end}
    for one in active:
        cuts |= {one.start, one.end}
        for price in plan_of(world, one.subscription.plan).prices:
            cuts |= {hour_up(version.effective_from) for version in price.versions}
    inside = sorted(cut for cut in cuts if period.start <= cut <= period.end)
    return [
        Stretch(start, end, tuple(_prices_at(world, active, start)))
        for start, end in pairwise(inside)
    ]


def _prices_at(world: World, active: list[Active], instant: datetime) -> list[InForce]:
    found = []
    for number, one in enumerate(active):
        if not one.start <= instant < one.end:
            continue
        plan = plan_of(world, one.subscription.plan)
        for position, price in enumerate(plan.prices):
            version = version_at(price, instant)
            if price.meter and version:
                name = f"{plan.slug}/{price.slug}"
                found.append(InForce(number, position, name, price, version))
    return found
