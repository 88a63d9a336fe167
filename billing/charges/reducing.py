"""What reduces or taxes an invoice of one organization, as it stands in the database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges.basis import Basis
from billing.coupons import coupon_uses
from billing.models import (
    Cap,
    Coupon,
    CreditEntry,
    Grant,
    Invoice,
    InvoiceKind,
    InvoiceLine,
    Meter,
    Organization,
    TaxRate,
)
from billing.rules.caps import CAPPED_KINDS, UNCAPPED, CapTerms, PeriodCap
from billing.rules.lines import DraftLine, LineKind
from billing.rules.periods import Period, period_at
from billing.rules.reductions import CouponTerms, GrantBalance, Reductions, Tax


@dataclass(frozen=True, slots=True)
class _Present:
    """Which kinds of reduction an organization has at all: most have none, in one query."""

    coupons: bool
    caps: bool
    grants: bool
    taxes: bool
    balance_minor: int


async def reductions_for(
    session: AsyncSession,
    org: Organization,
    period: Period,
    basis: Basis,
    lines: Sequence[DraftLine],
    true_ups: Sequence[DraftLine] = (),
) -> Reductions:
    """All that applies to an invoice of `period` with these lines."""
    present = await _present(session, org, basis)
    caps: tuple[PeriodCap, ...] = ()
    if present.caps:
        caps = await _caps(session, org, period, basis, lines, true_ups)
    return Reductions(
        coupons=await _coupons(session, org, basis) if present.coupons else (),
        caps=caps,
        true_ups=tuple(true_ups),
        grants=await _grants(session, org, period, basis) if present.grants else (),
        taxes=await _taxes(session, org, basis) if present.taxes else (),
        credit_balance_minor=present.balance_minor,
    )


async def _present(session: AsyncSession, org: Organization, basis: Basis) -> _Present:
    tables = (Coupon, Cap, Grant, TaxRate)
    has = [select(table.id).where(table.org_id == org.id).exists() for table in tables]
    balance = (
        select(func.coalesce(func.sum(CreditEntry.amount_minor), 0))
        .where(
            CreditEntry.org_id == org.id,
            CreditEntry.grant_id.is_(None),
            _was_booked(basis),
        )
        .scalar_subquery()
    )
    row = (await session.execute(select(*has, balance))).one()
    return _Present(*row[:4], balance_minor=int(row[4]))


async def _coupons(
    session: AsyncSession, org: Organization, basis: Basis
) -> tuple[CouponTerms, ...]:
    """Oldest first, without those that have reduced as many invoices as they were given for."""
    rows = await session.scalars(
        select(Coupon)
        .where(
            Coupon.org_id == org.id,
            basis.knows(Coupon.recorded_at),
            basis.still_stands(Coupon.ended_at),
        )
        .order_by(Coupon.recorded_at, Coupon.id)
    )
    coupons = rows.all()
    used: dict[str, int] = {}
    if any(x.invoices_max for x in coupons):
        used = await coupon_uses(session, org.id, basis.counting)
    return tuple(
        coupon_terms(x)
        for x in coupons
        if x.invoices_max is None or used.get(x.code, 0) < x.invoices_max
    )


def coupon_terms(row: Coupon) -> CouponTerms:
    """A coupon as the rules know it."""
    return CouponTerms(row.code, row.name, row.percent, row.amount_minor)


async def _caps(
    session: AsyncSession,
    org: Organization,
    period: Period,
    basis: Basis,
    lines: Sequence[DraftLine],
    true_ups: Sequence[DraftLine],
) -> tuple[PeriodCap, ...]:
    """The maxima of all periods that lines are of: late one-off items, and fees in advance."""
    periods = {period, *(period_at(line.span.start, org.anchor_day) for line in lines)}
    found = []
    for one in sorted(periods, key=lambda one: one.start):
        cap = await _cap_beside(session, org, one, period, basis)
        if cap is not None:
            corrected = sum(x.amount.minor for x in true_ups if x.span == one)
            found.append(replace(cap, billed_minor=cap.billed_minor + corrected))
    return tuple(found)


async def _cap_beside(
    session: AsyncSession, org: Organization, period: Period, own: Period, basis: Basis
) -> PeriodCap | None:
    terms = await cap_terms(session, org, period, basis)
    if terms == UNCAPPED:
        return None
    return await cap_beside(session, org, terms, period, own, basis)


async def period_cap(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> PeriodCap | None:
    """The maximum in force at the period's end (so far), beside the period's own invoice."""
    return await _cap_beside(session, org, period, period, basis)


async def cap_beside(
    session: AsyncSession,
    org: Organization,
    terms: CapTerms,
    period: Period,
    own: Period,
    basis: Basis,
) -> PeriodCap:
    """A period's maximum on the invoice of the period `own`, with what other invoices have of it.

    Where that is another period than its own, its corrections count too: else they are part of
    what is computed again.
    """
    kinds = CAPPED_KINDS if period == own else CAPPED_KINDS | {LineKind.TRUE_UP}
    net = func.sum(InvoiceLine.amount_minor - InvoiceLine.reduced_minor)
    is_cut = InvoiceLine.kind == LineKind.CAP_CREDIT
    row = (
        await session.execute(
            select(
                func.coalesce(net.filter(InvoiceLine.kind.in_(kinds)), 0).label("billed"),
                func.coalesce(-func.sum(InvoiceLine.amount_minor).filter(is_cut), 0).label("cut"),
            )
            .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
            .where(
                Invoice.org_id == org.id,
                basis.counting,
                InvoiceLine.span_start >= period.start,
                InvoiceLine.span_start < period.end,
                or_(Invoice.kind != InvoiceKind.PERIOD, Invoice.period_start != own.start),
            )
        )
    ).one()
    return PeriodCap(period, terms, int(row.billed), int(row.cut))


async def cap_terms(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> CapTerms:
    """The latest maximum set before the period's end; what was set in it holds from where it was.

    What is forgiven, and what was billable already, are so for that period alone.
    """
    row = await session.scalar(
        select(Cap)
        .where(Cap.org_id == org.id, Cap.recorded_at < period.end, basis.knows(Cap.recorded_at))
        .order_by(Cap.recorded_at.desc(), Cap.id.desc())
        .limit(1)
    )
    if row is None:
        return UNCAPPED
    if row.period_start != period.start:
        return CapTerms(row.amount_minor)
    return CapTerms(row.amount_minor, row.forgiven_minor, row.floor_minor)


async def _grants(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> tuple[GrantBalance, ...]:
    """Those valid at any instant of the period, with what is left of each, in drawing order."""
    left = func.sum(CreditEntry.amount_minor).label("left_minor")
    rows = await session.execute(
        select(Grant, Meter.slug, left)
        .join(CreditEntry, CreditEntry.grant_id == Grant.id)
        .outerjoin(Meter, Meter.id == Grant.meter_id)
        .where(
            Grant.org_id == org.id,
            basis.knows(Grant.recorded_at),
            _was_booked(basis),
            Grant.valid_from < period.end,
            func.coalesce(Grant.expires_at, period.end) > period.start,
        )
        .group_by(Grant.id, Meter.slug)
    )
    found = [
        GrantBalance(
            code=grant.code,
            name=grant.name,
            kind=grant.kind,
            left_minor=int(left_minor),
            meter=slug,
            priority=grant.priority,
            expires_at=grant.expires_at,
            recorded_at=grant.recorded_at,
        )
        for grant, slug, left_minor in rows
    ]
    return tuple(sorted(found, key=lambda grant: grant.order))


def _was_booked(basis: Basis) -> ColumnElement[bool]:
    """What an invoice drew or moved counts as that invoice does, with what its voiding gave back.

    So an invoice computed again finds the credit that was there for it.
    """
    was_there = basis.knows(CreditEntry.recorded_at)
    if basis.again is None:
        return was_there
    counting = select(Invoice.id).where(basis.counting)
    is_of_counting = CreditEntry.invoice_id.in_(counting)
    return and_(was_there, or_(CreditEntry.invoice_id.is_(None), is_of_counting))


async def _taxes(session: AsyncSession, org: Organization, basis: Basis) -> tuple[Tax, ...]:
    rows = await session.scalars(
        select(TaxRate)
        .where(
            TaxRate.org_id == org.id,
            basis.knows(TaxRate.recorded_at),
            basis.still_stands(TaxRate.ended_at),
        )
        .order_by(TaxRate.recorded_at, TaxRate.name)
    )
    return tuple(Tax(x.name, x.percent) for x in rows)
