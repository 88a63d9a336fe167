"""Issuing the period of a voided invoice again: as a new revision, computed anew, by the close."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Conflict, NotFound
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization
from billing.runtime import Runtime
from billing.voiding.void import void_invoice


class NotReissuable(Conflict):
    """Only a voided invoice of a period is issued again."""

    code = "NOT_REISSUABLE"


class AlreadyReissued(Conflict):
    """There is a newer revision of it."""

    code = "ALREADY_REISSUED"


async def reissue_invoice(
    session: AsyncSession, org: Organization, number: str, *, actor: str, now: datetime
) -> Invoice:
    """A new revision in CLOSING, due at once: the next close computes and numbers it.

    Raises `NotFound`, `NotReissuable`, `AlreadyReissued`.
    """
    old = await session.scalar(
        select(Invoice).where(Invoice.org_id == org.id, Invoice.number == number).with_for_update()
    )
    if old is None:
        raise NotFound("There is no such invoice.", code="INVOICE_NOT_FOUND", field="number")
    _check_period(old)
    if old.status is not InvoiceStatus.VOID:
        raise NotReissuable(
            f"{number} is {old.status}: void it first, for a period has one invoice that counts.",
            field="number",
        )
    await _check_newest(session, old)
    new = Invoice(
        org_id=org.id,
        kind=InvoiceKind.PERIOD,
        status=InvoiceStatus.CLOSING,
        revision=old.revision + 1,
        replaces_id=old.id,
        period_start=old.period_start,
        period_end=old.period_end,
        closes_at=now,
        currency=old.currency,
        recorded_at=now,
    )
    session.add(new)
    await session.flush()
    await record_act(
        session,
        actor=actor,
        action="invoice.reissued",
        subject=number,
        org_id=org.id,
        details={"revision": new.revision, "period": str(old.period)},
        now=now,
    )
    return new


async def void_and_reissue(
    runtime: Runtime, org: Organization, number: str, *, reason: str, actor: str
) -> Invoice:
    """The new revision. What cannot be issued again is refused before anything is voided."""
    async with runtime.sessions() as session:
        old = await session.scalar(
            select(Invoice).where(Invoice.org_id == org.id, Invoice.number == number)
        )
    if old is not None:
        _check_period(old)
    await void_invoice(runtime, org, number, reason=reason, actor=actor)
    async with runtime.sessions.begin() as session:
        return await reissue_invoice(session, org, number, actor=actor, now=await runtime.now())


def _check_period(old: Invoice) -> None:
    if old.kind is not InvoiceKind.PERIOD:
        raise NotReissuable(
            f"{old.number} is off the cycle: void it, and the next close bills what it was for.",
            field="number",
        )


async def _check_newest(session: AsyncSession, old: Invoice) -> None:
    newer = await session.scalar(
        select(Invoice)
        .where(
            Invoice.org_id == old.org_id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.period_start == old.period_start,
            Invoice.revision > old.revision,
        )
        .order_by(Invoice.revision.desc())
        .limit(1)
    )
    if newer is not None:
        name = newer.number or "an invoice that is still closing"
        raise AlreadyReissued(f"{old.number} was replaced by {name}.", field="number")
