"""Other terms of one price for one organization: its own version, never edited."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.catalog import terms_of
from billing.errors import Conflict, Invalid, NotFound
from billing.models import Organization, Plan, Price, PriceOverride, Subscription
from billing.models.base import Json
from billing.names import checked_name, did_you_mean
from billing.price_book.given import read_given_terms
from billing.rules.periods import ceil_hour
from billing.rules.prices import Model, Timing
from billing.subscribing.holding import check_reach, held, open_since
from billing.subscriptions import get_plan, override_name


@dataclass(frozen=True, slots=True)
class NewOverride:
    """What `plan`'s price is to cost one organization, from `effective_from` (None: now) on.

    `terms` are a price book version's fields, every figure a text; None: the plan's own again.
    """

    plan: str
    price: str
    terms: Mapping[str, object] | None
    reason: str
    effective_from: datetime | None = None


class PaidPeriod(Conflict):
    """The fee is paid in advance, at the price it had."""

    code = "PAID_PERIOD"


class VersionEdited(Conflict):
    """A version is never edited."""

    code = "VERSION_EDITED"


class NotOverridden(Conflict):
    """There are no terms of the organization's own to end."""

    code = "NOT_OVERRIDDEN"


async def override_price(
    session: AsyncSession, org: Organization, new: NewOverride, *, actor: str, now: datetime
) -> PriceOverride:
    """Give `org` its own terms of a price, or end them, from a whole hour on, rounded up.

    The same override again is answered the same. Raises `NotFound`, `Invalid` (with a price book's
    codes), `ChangeInClosedPeriod`, `OrganizationClosed`, `PaidPeriod`, `VersionEdited` or
    `NotOverridden`.
    """
    plan = await get_plan(session, new.plan)
    price = _price(org, plan, new.price)
    terms = None if new.terms is None else _checked_terms(price, new.terms)
    reason = checked_name(new.reason, field="reason")
    org = await held(session, org)
    starts = ceil_hour(now if new.effective_from is None else new.effective_from)
    own = await _overrides(session, org, price)
    if (standing := _same_instant(own, starts, price, terms)) is not None:
        return standing
    check_reach(org, starts, field="effectiveFrom")
    if price.versions[0].terms.get("timing") == Timing.ADVANCE:
        await _refuse_paid(session, org, plan, starts)
    if terms is None and not _is_overridden(own, starts):
        raise NotOverridden(
            f"{org.name} has no terms of its own for {plan.slug}/{price.slug} then.", field="price"
        )
    row = PriceOverride(
        org_id=org.id,
        price_id=price.id,
        number=max((x.number for x in own), default=0) + 1,
        effective_from=starts,
        terms=terms,
        reason=reason,
        recorded_at=now,
    )
    session.add(row)
    await session.flush()
    await record_act(
        session,
        actor=actor,
        action="price.overridden" if terms else "price.override_ended",
        subject=override_name(org, plan, price, row),
        org_id=org.id,
        details={"from": starts.isoformat(), "terms": terms, "reason": reason},
        now=now,
    )
    return row


def _price(org: Organization, plan: Plan, slug: str) -> Price:
    prices = {x.slug: x for x in plan.prices if x.currency == org.currency}
    if slug not in prices:
        raise NotFound(
            f"{plan.name} has no price {slug[:60]!r} in {org.currency}."
            f"{did_you_mean(slug, prices)}",
            code="PRICE_NOT_FOUND",
            field="price",
        )
    return prices[slug]


def _checked_terms(price: Price, given: Mapping[str, object]) -> Json:
    """Only the figures may differ from the plan's: what is counted, and when it is billed, stay."""
    terms = read_given_terms(given, price.currency)
    is_fee = terms["model"] == Model.FLAT
    if is_fee and price.meter_id is not None:
        raise Invalid(
            "A FLAT fee is for no usage, and this price is.",
            code="FEE_WITH_METER",
            field="terms.model",
        )
    if not is_fee and price.meter_id is None:
        raise Invalid(
            "This price is a fee: only FLAT has no meter.",
            code="MISSING_METER",
            field="terms.model",
        )
    timing = price.versions[0].terms.get("timing")
    if terms.get("timing") != timing:
        raise Invalid(
            f"A fee in {timing} stays so: it would be billed twice, or never.",
            code="TIMING_FIXED",
            field="terms.timing",
        )
    return terms


async def _overrides(
    session: AsyncSession, org: Organization, price: Price
) -> Sequence[PriceOverride]:
    rows = await session.scalars(
        select(PriceOverride)
        .where(PriceOverride.org_id == org.id, PriceOverride.price_id == price.id)
        .order_by(PriceOverride.effective_from)
    )
    return rows.all()


def _same_instant(
    own: Sequence[PriceOverride], starts: datetime, price: Price, terms: Json | None
) -> PriceOverride | None:
    for row in own:
        if row.effective_from != starts:
            continue
        if _means(row.terms, price) == _means(terms, price):
            return row
        raise VersionEdited(
            f"Other terms take effect at {starts:%Y-%m-%d %H:%M} UTC already, and are never edited:"
            " choose another hour.",
            field="effectiveFrom",
        )
    return None


def _means(terms: Json | None, price: Price) -> object:
    return None if terms is None else terms_of(terms, price.currency)


def _is_overridden(own: Sequence[PriceOverride], at: datetime) -> bool:
    before = [x for x in own if x.effective_from <= at]
    return bool(before) and before[-1].terms is not None


async def _refuse_paid(
    session: AsyncSession, org: Organization, plan: Plan, starts: datetime
) -> None:
    """Nobody on the plan since a trial that ends later has paid for the open period yet."""
    if starts >= org.open_period_end:
        return
    since = open_since(org)
    paid = await session.scalar(
        select(Subscription.id)
        .where(
            Subscription.org_id == org.id,
            Subscription.plan_id == plan.id,
            Subscription.starts_at < org.open_period_end,
            or_(Subscription.ends_at.is_(None), Subscription.ends_at > since),
            or_(Subscription.trial_ends_at.is_(None), Subscription.trial_ends_at <= since),
        )
        .limit(1)
    )
    if paid is not None:
        raise PaidPeriod(
            f"{org.name} has paid this fee in advance up to {org.open_period_end:%Y-%m-%d %H:%M}"
            " UTC: take effect then or later.",
            field="effectiveFrom",
        )
