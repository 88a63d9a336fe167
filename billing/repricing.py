"""What-if: periods gone by, rated again at other prices or on another plan. Nothing is written.

Compared is what usage and fees come to, before coupons, maxima, credits and tax: those depend on
what was billed, not on what might have been. The other prices hold as if they always had.
"""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import selectinload

from billing.catalog import meters
from billing.charges import Agreement, Basis, agreement_for, usage_charges
from billing.errors import Conflict, Invalid, NotFound
from billing.ids import MeterId, OrgId, new_id
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Organization,
    Plan,
    Price,
    PriceVersion,
)
from billing.models.base import Json
from billing.price_book import PriceBook
from billing.price_book.book import PlanEntry
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Currency, Money, total_of
from billing.rules.periods import YEARS, Period
from billing.rules.prices import Timing
from billing.runtime import Runtime
from billing.usage import settle_usage

PERIODS_MAX = 24
_PAGE = 200
_ALWAYS = datetime(YEARS[0], 1, 1, tzinfo=UTC)

PriceKey = tuple[str, Currency]
"""A price within its plan: its slug and currency."""

Alternative = Callable[[Agreement], Agreement]
"""What an organization would be on, given what it was."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One period at an organization's own prices and at the others, with the others' lines."""

    period: Period
    before: Money
    after: Money
    lines: tuple[DraftLine, ...]

    @property
    def difference(self) -> Money:
        """What would have been asked for more, or less."""
        return self.after + -self.before


@dataclass(frozen=True, slots=True)
class OrganizationEffect:
    """The same for all periods that were asked for, the latest first."""

    org: Organization
    effects: tuple[Effect, ...]

    @property
    def before(self) -> Money:
        """As it was."""
        return total_of([effect.before for effect in self.effects], self.org.currency)

    @property
    def after(self) -> Money:
        """As it would have been."""
        return total_of([effect.after for effect in self.effects], self.org.currency)

    @property
    def difference(self) -> Money:
        """More, or less."""
        return self.after + -self.before


async def on_plan(
    session: AsyncSession,
    org: Organization,
    plan_slug: str,
    *,
    periods: int,
    instead_of: str | None = None,
) -> OrganizationEffect:
    """Its latest issued periods on another plan. `session` must be fresh.

    `instead_of` names the plan to leave, for one that is on several. Raises `NotFound`, `Invalid`
    for a plan that does not fit, `Conflict` where it is not said which plan to leave.
    """
    check_periods(periods)
    plan = await session.scalar(
        select(Plan)
        .where(Plan.slug == plan_slug)
        .options(selectinload(Plan.prices).selectinload(Price.versions))
    )
    if plan is None:
        raise NotFound(f"There is no plan {plan_slug!r}.", code="PLAN_NOT_FOUND", field="plan")
    if all(price.currency != org.currency for price in plan.prices):
        raise Invalid(
            f"The plan {plan_slug!r} has no prices in {org.currency}.",
            code="CURRENCY_MISMATCH",
            field="plan",
        )
    latest = _as_if_always(plan, {})
    return await _effects(session, org, lambda x: _moved(x, latest, instead_of), periods)


def check_periods(periods: int) -> None:
    """Raise `Invalid` for more than can be asked for at once."""
    if not 1 <= periods <= PERIODS_MAX:
        raise Invalid(f"periods must be 1 to {PERIODS_MAX}, not {periods}.", field="periods")


def _moved(agreement: Agreement, plan: Plan, instead_of: str | None) -> Agreement:
    slugs = sorted({agreement.plans[x.plan_id].slug for x in agreement.subscriptions})
    if instead_of is not None and instead_of not in slugs:
        raise NotFound(
            f"The organization was not on {instead_of!r}.", code="NOT_ON_PLAN", field="insteadOf"
        )
    if instead_of is None and len(slugs) > 1:
        raise Conflict(
            f"It was on {', '.join(slugs)}: say which of them to leave.",
            code="SEVERAL_PLANS",
            field="insteadOf",
        )
    left = instead_of or "".join(slugs)
    plans = {key: plan if was.slug == left else was for key, was in agreement.plans.items()}
    return replace(agreement, plans=plans)


async def reprice(
    runtime: Runtime, book: PriceBook, *, periods: int
) -> AsyncIterator[OrganizationEffect]:
    """Every organization's latest issued periods at the prices of a book, by organization.

    What the book lacks stays as it is. One snapshot for each organization, one at a time.
    """
    check_periods(periods)
    async with runtime.sessions() as session:
        found = {meter.slug: meter.id for meter in await meters(session)}
        rows = await session.scalars(
            select(Plan).options(selectinload(Plan.prices).selectinload(Price.versions))
        )
        stored = {plan.slug: plan for plan in rows}
    entries = {plan.slug: plan for plan in book.plans}
    latest = {
        slug: _as_if_always(plan, _terms_of(entries.get(slug)), _new(entries.get(slug), found))
        for slug, plan in stored.items()
        if slug in entries
    }
    async for org_id in _billed(runtime):
        async with runtime.sessions() as session:
            org = await session.get_one(Organization, org_id)
            yield await _effects(session, org, lambda x: _at_prices_of(x, latest), periods)


def _at_prices_of(agreement: Agreement, latest: Mapping[str, Plan]) -> Agreement:
    plans = {key: latest.get(plan.slug, plan) for key, plan in agreement.plans.items()}
    return replace(agreement, plans=plans)


def _terms_of(entry: PlanEntry | None) -> dict[PriceKey, Json]:
    prices = entry.prices if entry else ()
    return {price.key: price.versions[-1].terms for price in prices}


def _new(entry: PlanEntry | None, found: Mapping[str, MeterId]) -> dict[PriceKey, Price]:
    """Prices of the book as rows that are never stored; usage of a meter yet unknown is none."""
    return {
        price.key: Price(
            id=new_id(),
            slug=price.slug,
            name=price.name,
            currency=price.currency,
            meter_id=found.get(price.meter) if price.meter else None,
            filters={name: list(values) for name, values in price.filters.items()},
        )
        for price in (entry.prices if entry else ())
        if price.meter is None or price.meter in found
    }


def _as_if_always(
    plan: Plan,
    terms: Mapping[PriceKey, Json],
    added: Mapping[PriceKey, Price] | None = None,
) -> Plan:
    """A plan whose prices, at these terms or their latest, hold at any time. Never stored."""
    prices = {(price.slug, price.currency): price for price in plan.prices}
    every: dict[PriceKey, Price] = {**(added or {}), **prices}
    return Plan(
        id=plan.id,
        slug=plan.slug,
        name=plan.name,
        prices=[_held(price, terms.get(key)) for key, price in every.items()],
    )


def _held(price: Price, terms: Json | None) -> Price:
    number = 0
    if terms is None:
        terms, number = price.versions[-1].terms, price.versions[-1].number
    version = PriceVersion(id=new_id(), number=number, effective_from=_ALWAYS, terms=terms)
    return Price(
        id=price.id,
        slug=price.slug,
        name=price.name,
        currency=price.currency,
        meter_id=price.meter_id,
        filters=price.filters,
        versions=[version],
    )


async def _billed(runtime: Runtime) -> AsyncIterator[OrgId]:
    """Everybody, by id, a page at a time."""
    after: OrgId | None = None
    while True:
        statement = select(Organization.id).order_by(Organization.id).limit(_PAGE)
        if after is not None:
            statement = statement.where(Organization.id > after)
        async with runtime.sessions() as session:
            page = (await session.scalars(statement)).all()
        for org_id in page:
            yield org_id
        if len(page) < _PAGE:
            return
        after = page[-1]


async def _effects(
    session: AsyncSession, org: Organization, alternative: Alternative, periods: int
) -> OrganizationEffect:
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    rows = await session.scalars(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status.not_in((InvoiceStatus.CLOSING, InvoiceStatus.VOID)),
        )
        .order_by(Invoice.period_start.desc())
        .limit(periods)
    )
    effects = [await _effect(session, org, x.period, alternative) for x in rows]
    return OrganizationEffect(org, tuple(effects))


async def _effect(
    session: AsyncSession, org: Organization, period: Period, alternative: Alternative
) -> Effect:
    basis = Basis(period.end)
    agreement = await agreement_for(session, org, period, basis)
    before = await _lines(session, agreement, period, basis)
    after = await _lines(session, alternative(agreement), period, basis)
    return Effect(
        period,
        total_of([line.amount for line in before], org.currency),
        total_of([line.amount for line in after], org.currency),
        tuple(after),
    )


async def _lines(
    session: AsyncSession, agreement: Agreement, period: Period, basis: Basis
) -> Sequence[DraftLine]:
    usage, _ = await usage_charges(session, agreement, period, basis)
    fees: Iterable[DraftLine] = (
        line for timing in Timing for line in agreement.fee_lines(period, LineKind.FEE, timing)
    )
    return [*(charge.line for charge in usage), *fees]
