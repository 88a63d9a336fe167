"""Issued periods rated twice, as they were and as they might have been, and the difference."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Agreement, Basis, agreement_for, usage_charges
from billing.errors import Invalid
from billing.ids import MeterId, OrgId
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    Organization,
    Plan,
    Subscription,
)
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Money, total_of
from billing.rules.periods import Period
from billing.rules.prices import Timing
from billing.subscriptions import AlreadyOnPlan, MeterPricedTwice
from billing.usage import settle_usage

PERIODS_MAX = 24

Alternative = Callable[[Agreement], Agreement]
"""What an organization would be on, given what it was."""


@dataclass(frozen=True, slots=True)
class Effect:
    """One period at an organization's own prices and at the others, with the others' lines.

    Unless it `has_moved`, the others were not for it.
    """

    period: Period
    before: Money
    after: Money
    lines: tuple[DraftLine, ...]
    has_moved: bool

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


def check_periods(periods: int) -> None:
    """Raise `Invalid` for more than can be asked for at once."""
    if not 1 <= periods <= PERIODS_MAX:
        raise Invalid(f"periods must be 1 to {PERIODS_MAX}, not {periods}.", field="periods")


def at_once(
    subscriptions: Sequence[Subscription],
) -> Iterable[tuple[Subscription, Subscription]]:
    """Every two that were in force together for a while; they come in the order of their starts."""
    for one, other in combinations(subscriptions, 2):
        if one.ends_at is None or one.ends_at > other.starts_at:
            yield one, other


def _check_priced_once(agreement: Agreement) -> None:
    """Raise as starting such subscriptions would: no usage is charged for twice."""
    for one, other in at_once(agreement.subscriptions):
        plan, beside = agreement.plans[one.plan_id], agreement.plans[other.plan_id]
        if plan.slug == beside.slug:
            raise AlreadyOnPlan(agreement.org, plan)
        for meter_id in _metered(agreement.org, plan) & _metered(agreement.org, beside):
            raise MeterPricedTwice(agreement.meters[meter_id].slug, plan.slug, beside.slug)


def _metered(org: Organization, plan: Plan) -> set[MeterId]:
    return {x.meter_id for x in plan.prices if x.meter_id and x.currency == org.currency}


async def snapshot(session: AsyncSession, org_id: OrgId) -> None:
    """Let all that follows be of one moment. `session` must be fresh."""
    await settle_usage(session, org_id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})


async def effects_of(
    session: AsyncSession, org: Organization, alternative: Alternative, periods: int
) -> OrganizationEffect:
    """Its latest issued periods, as they were and as they might have been; in a `snapshot`."""
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
    instead = alternative(agreement)
    _check_priced_once(instead)
    before = await _lines(session, agreement, period, basis)
    after = await _lines(session, instead, period, basis)
    return Effect(
        period,
        total_of([line.amount for line in before], org.currency),
        total_of([line.amount for line in after], org.currency),
        tuple(after),
        has_moved=instead.plans != agreement.plans,
    )


async def _lines(
    session: AsyncSession, agreement: Agreement, period: Period, basis: Basis
) -> Sequence[DraftLine]:
    usage, _ = await usage_charges(session, agreement, period, basis)
    fees: Iterable[DraftLine] = (
        line for timing in Timing for line in agreement.fee_lines(period, LineKind.FEE, timing)
    )
    return [*(charge.line for charge in usage), *fees]
