"""Staff close an ended period without waiting for the rest of its grace."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.closing.issuing import freeze
from billing.closing.periods import begin_periods
from billing.errors import Conflict
from billing.holds import holds_of
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization
from billing.outages import refusing_when_overtaken
from billing.usage import settle_usage


class PeriodNotEnded(Conflict):
    """The period is still open."""

    code = "PERIOD_NOT_ENDED"


class PeriodAlreadyClosed(Conflict):
    """The period has its invoice."""

    code = "PERIOD_ALREADY_CLOSED"


class EarlierPeriodOpen(Conflict):
    """An earlier period has to be closed first: amounts carry from one to the next."""

    code = "EARLIER_PERIOD_OPEN"


class InvoiceHeld(Conflict):
    """Something speaks against the invoice: release its holds first."""

    code = "INVOICE_HELD"


async def close_period_now(
    session: AsyncSession, org: Organization, period_end: datetime, *, actor: str, now: datetime
) -> Invoice:
    """Issue an ended period's invoice at once. `session` must be fresh.

    Answers the invoice still CLOSING when it is held: its holds say why. Raises `PeriodNotEnded`,
    `PeriodAlreadyClosed`, `EarlierPeriodOpen`, or `ChangedMeanwhile`.
    """
    if period_end > now:
        raise PeriodNotEnded(
            f"The period ends at {period_end:%Y-%m-%d %H:%M} UTC.", field="periodEnd"
        )
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    with refusing_when_overtaken():
        invoice = await _closing_to(session, org, period_end, now)
        is_issued = await freeze(session, invoice, now)
    await record_act(
        session,
        actor=actor,
        action="period.closed" if is_issued else "period.held",
        subject=str(invoice.number or invoice.id),
        org_id=org.id,
        details={"period": str(invoice.period), "total_minor": invoice.total_minor},
        now=now,
    )
    return invoice


async def refuse_held(session: AsyncSession, invoice: Invoice) -> None:
    """Raise `InvoiceHeld`, with every reason, for an invoice that could not be issued."""
    if invoice.status is InvoiceStatus.CLOSING:
        holds = [x for x in await holds_of(session, invoice.id) if x.released_at is None]
        reasons = "; ".join(f"{x.reason}: {x.message}" for x in holds)
        raise InvoiceHeld(f"The invoice is held. {reasons}", field="periodEnd")


async def _closing_to(
    session: AsyncSession, org: Organization, period_end: datetime, now: datetime
) -> Invoice:
    locked = await session.get_one(
        Organization, org.id, with_for_update=True, populate_existing=True
    )
    await begin_periods(session, locked, now)
    invoice = await session.scalar(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status == InvoiceStatus.CLOSING,
            Invoice.period_end <= period_end,
        )
        .order_by(Invoice.period_start)
        .limit(1)
        .with_for_update()
    )
    if invoice is None:
        raise PeriodAlreadyClosed("No period that ended by then is waiting to be closed.")
    if invoice.period_end != period_end:
        raise EarlierPeriodOpen(f"Close the period {invoice.period} first.", field="periodEnd")
    return invoice
