"""The maximum bill, set or removed: by what the period has come to when it is."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.charges import Basis, agreement_for, cap_beside, charges_for
from billing.errors import Invalid
from billing.models import Cap, Organization
from billing.rules.caps import UNCAPPED, CapStanding, CapTerms, PeriodCap
from billing.rules.lines import LineKind
from billing.rules.money import Money
from billing.rules.periods import Period, period_after, period_at
from billing.rules.prices import Timing
from billing.usage import settle_usage


class CapBelowFees(Invalid):
    """A maximum that the fixed fees alone would be above."""

    code = "CAP_BELOW_FEES"


@dataclass(frozen=True, slots=True)
class CapChange:
    """What was asked for, and how the period stands with it.

    A maximum that the period is above already holds from the next one on: in this one
    `standing.amount_minor` is what was billable when it was set.
    """

    asked_minor: int | None
    standing: CapStanding
    period: Period


async def set_cap(
    session: AsyncSession, org: Organization, amount: Decimal | None, *, actor: str, now: datetime
) -> CapChange:
    """Set a maximum for each period from this one on, in major units; None removes it.

    What earlier maxima of the period have forgiven stays forgiven. `session` must be fresh, for it
    sees usage up to now. Raises `Invalid`, or `CapBelowFees` naming the least possible.
    """
    await settle_usage(session, org.id)
    org = await session.get_one(Organization, org.id, with_for_update=True, populate_existing=True)
    asked = None if amount is None else Money.from_major(amount, org.currency)
    period, basis = period_at(now, org.anchor_day), Basis(now)
    if asked is not None:
        await _refuse_below_fees(session, org, asked, period, basis)
    cap, gross_minor = await _so_far(session, org, period, basis)
    terms = cap.terms
    asked_minor = None if asked is None else asked.minor
    if terms.amount_minor != asked_minor:
        terms = cap.terms.changed(asked_minor, gross_minor)
        await _write(session, org, period, terms, actor=actor, now=now)
    used = terms.billable(gross_minor)
    standing = CapStanding(terms.effective_minor, used, gross_minor - used)
    return CapChange(asked_minor, standing, period)


async def _so_far(
    session: AsyncSession, org: Organization, period: Period, basis: Basis
) -> tuple[PeriodCap, int]:
    """The maximum that holds, and what the period would have come to without any."""
    charges = await charges_for(session, org, period, basis)
    cap = charges.reductions.cap_of(period)
    if cap is None:
        cap = await cap_beside(session, org, UNCAPPED, period, period, basis)
    return cap, cap.standing(charges.draft.lines).gross_minor


async def _refuse_below_fees(
    session: AsyncSession, org: Organization, asked: Money, period: Period, basis: Basis
) -> None:
    """By the dearer of this period's fees and the next one's: this one may be a part of a month."""
    following = period_after(period, org.anchor_day)
    agreement = await agreement_for(session, org, Period(period.start, following.end), basis)
    fees = [
        sum(
            line.amount.minor
            for timing in Timing
            for line in agreement.fee_lines(one, LineKind.FEE, timing)
        )
        for one in (period, following)
    ]
    least = Money(max(*fees, org.currency.step), org.currency)
    if asked.minor < least.minor:
        raise CapBelowFees(
            f"The fixed fees come to {least}: the maximum can be that or more."
            if max(fees)
            else f"The maximum must be above zero: {least} or more.",
            field="amount",
        )


async def _write(
    session: AsyncSession,
    org: Organization,
    period: Period,
    terms: CapTerms,
    *,
    actor: str,
    now: datetime,
) -> None:
    session.add(
        Cap(
            org_id=org.id,
            amount_minor=terms.amount_minor,
            period_start=period.start,
            forgiven_minor=terms.forgiven_minor,
            floor_minor=terms.floor_minor,
            actor=actor,
            recorded_at=now,
        )
    )
    await record_act(
        session,
        actor=actor,
        action="maximum.removed" if terms.amount_minor is None else "maximum.set",
        subject=org.slug,
        org_id=org.id,
        details={"amount_minor": terms.amount_minor, "forgiven_minor": terms.forgiven_minor},
        now=now,
    )
    await session.flush()
