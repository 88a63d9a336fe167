"""The live estimate: what the open period costs so far, by the function that will invoice it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Basis, Charges, agreement_for, charges_for
from billing.errors import Invalid
from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceStatus, Organization
from billing.rules.aggregation import HELD_AGGREGATIONS
from billing.rules.allocation import allocate
from billing.rules.caps import CapStanding
from billing.rules.completeness import SourceState
from billing.rules.invoicing import Draft
from billing.rules.ladders import (
    Unpriced,
    UsageCharge,
    cuts_of,
    growth,
    ladders_of,
    sources_by,
)
from billing.rules.lines import PERIOD_KINDS, DraftLine
from billing.rules.money import Money
from billing.rules.periods import Period, period_at
from billing.runtime import Runtime
from billing.usage import settle_usage
from billing.usage.completeness import completeness
from billing.usage.totals import usage_by_series

PRODUCT = "product"
_DAY = timedelta(days=1)
_ONE_OFFS = "One-off items"


@dataclass(frozen=True, slots=True)
class CostShare:
    """What one value of a dimension costs; None is what is not tied to that dimension."""

    value: str | None
    amount: Money


@dataclass(frozen=True, slots=True)
class Estimate:
    """A period as it would be invoiced by everything recorded up to `as_of`.

    `is_past`: asked for later than that. What was heard of its sources is not known then.
    """

    period: Period
    as_of: datetime
    charges: Charges
    sources: tuple[SourceState, ...] = ()
    is_past: bool = False

    @property
    def basis(self) -> Basis:
        """What it was computed from."""
        return Basis(self.as_of, known_at=self.as_of if self.is_past else None)

    @property
    def draft(self) -> Draft:
        """The invoice as it would stand."""
        return self.charges.draft

    @property
    def lines(self) -> tuple[DraftLine, ...]:
        """Its lines, in order."""
        return self.draft.lines

    @property
    def accrued(self) -> Money:
        """This period's cost so far: the headline."""
        return self.draft.accrued

    @property
    def in_advance(self) -> Money:
        """Next period's fees."""
        return self.draft.in_advance

    @property
    def total(self) -> Money:
        """What the invoice would ask for."""
        return self.draft.total

    @property
    def digest(self) -> str:
        """Equal digests are equal estimates, here and on the invoice."""
        return self.draft.digest

    @property
    def maximum(self) -> CapStanding | None:
        """How far the period is towards its maximum; None without one."""
        cap = self.charges.reductions.cap_of(self.period)
        return None if cap is None else cap.standing(self.lines)

    @property
    def unpriced(self) -> tuple[Unpriced, ...]:
        """Usage no price matches."""
        return self.charges.unpriced

    @property
    def counted_to(self) -> datetime | None:
        """The instant up to which usage has been heard of, by the source furthest on."""
        heard = [x.last_occurred_at for x in self.sources if x.last_occurred_at is not None]
        return max(heard, default=None)

    def by_dimension(self, dimension: str) -> list[CostShare]:
        """Who caused it: the dearest first, summing to `accrued` to the minor unit.

        A line is shared out over its series by their own quantities, largest remainder.
        `dimension` is one of the meters' own, or "product".
        """
        shares: defaultdict[str | None, int] = defaultdict(int)
        by_line = {(x.line.key, x.line.segment): x for x in self.charges.usage}
        for line in self.lines:
            if line.kind in PERIOD_KINDS:
                charge = by_line.get((line.key, line.segment))
                for value, minor in _shares(line, charge, dimension):
                    shares[value] += minor
        rows = [CostShare(v, Money(m, self.draft.currency)) for v, m in shares.items()]
        return sorted(rows, key=lambda row: (-row.amount.minor, row.value is None, row.value or ""))


def _shares(
    line: DraftLine, charge: UsageCharge | None, dimension: str
) -> Iterable[tuple[str | None, int]]:
    if dimension == PRODUCT:
        return [(line.product or _ONE_OFFS, line.net_minor)]
    if charge is None or not charge.sources:
        return [(None, line.net_minor)]
    children = sorted(
        sources_by(charge, dimension).items(), key=lambda c: (c[0] is None, c[0] or "")
    )
    weights = [quantity for _, quantity in children]
    parts = allocate(line.net_minor, weights, line.amount.currency.step)
    return zip((value for value, _ in children), parts, strict=True)


async def current_estimate(session: AsyncSession, org: Organization, now: datetime) -> Estimate:
    """The period that holds `now`, from one snapshot. `session` must be fresh."""
    return await estimate_for(session, org, period_at(now, org.anchor_day), now)


async def estimate_for(
    session: AsyncSession, org: Organization, period: Period, now: datetime
) -> Estimate:
    """Any period not issued yet, as it stands: a CLOSING one too. `session` must be fresh."""
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    charges = await charges_for(session, org, period, Basis(now))
    return Estimate(period, now, charges, await completeness(session, org.id, now))


def _check_as_of(org: Organization, then: datetime, now: datetime) -> None:
    if then > now:
        raise Invalid(
            f"asOf {then:%Y-%m-%d %H:%M:%S} UTC is still to come: leave it out for now's figures.",
            code="AS_OF_IN_FUTURE",
            field="asOf",
        )
    if then < org.opened_at:
        raise Invalid(
            f"{org.name} was opened on {org.opened_at:%Y-%m-%d %H:%M} UTC: asOf must be later.",
            code="AS_OF_BEFORE_OPENING",
            field="asOf",
        )


async def estimate_as_of(
    session: AsyncSession, org: Organization, then: datetime, now: datetime
) -> Estimate:
    """What was shown at an instant that has passed: from every event recorded by then.

    An audit's way, slower than the live one. `session` must be fresh. Raises `Invalid` for an
    instant that is still to come or before there was anything, `MonthArchived` where events that
    are needed are elsewhere.
    """
    _check_as_of(org, then, now)
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    period = period_at(then, org.anchor_day)
    charges = await charges_for(session, org, period, Basis(then, known_at=then))
    return Estimate(period, then, charges, is_past=True)


async def closing_totals(
    runtime: Runtime, org: Organization, invoices: Sequence[Invoice], now: datetime
) -> dict[InvoiceId, Money]:
    """What those of `invoices` that are still CLOSING would come to now: one or two, as a rule."""
    totals = {}
    for invoice in invoices:
        if invoice.status is InvoiceStatus.CLOSING:
            async with runtime.sessions() as session:
                estimate = await estimate_for(session, org, invoice.period, now)
            totals[invoice.id] = estimate.total
    return totals


@dataclass(frozen=True, slots=True)
class DayCost:
    """What one UTC day's usage added, in exact minor units: for drawing, never for billing.

    `held_minor` is the part of it that comes from values held, rather than from what happened.
    """

    day: date
    exact_minor: Fraction
    held_minor: Fraction = Fraction(0)


async def daily_costs(session: AsyncSession, org: Organization, now: datetime) -> list[DayCost]:
    """One entry for each day of the open period up to today, by the price its last unit met.

    Tiers make a day's cost depend on the days before it: each day is what the ladder grew by.
    """
    await settle_usage(session, org.id)
    period = period_at(now, org.anchor_day)
    basis = Basis(now)
    agreement = await agreement_for(session, org, period, basis)
    offers = agreement.offers(period)
    days = [period.start + _DAY * i for i in range((now - period.start) // _DAY + 1)]
    cuts = sorted({*days, *cuts_of(offers, period)})
    named = {name for offer in offers for name in offer.filters.values}
    usage = await usage_by_series(
        session, org.id, cuts, agreement.meters, upto=now, by=sorted(named)
    )
    ladders, _ = ladders_of(offers, usage, cuts)
    grown: defaultdict[date, Fraction] = defaultdict(Fraction)
    held: defaultdict[date, Fraction] = defaultdict(Fraction)
    for ladder in ladders:
        is_held = ladder.meter.aggregation in HELD_AGGREGATIONS
        for start, exact in growth(ladder, period, cuts):
            grown[start.date()] += exact
            held[start.date()] += exact if is_held else 0
    return [DayCost(day.date(), grown[day.date()], held[day.date()]) for day in days]
