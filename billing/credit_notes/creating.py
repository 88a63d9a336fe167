"""Making a credit note: never for more than is left of the invoice, numbered without gaps."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Conflict, IdempotencyConflict, Invalid, NotFound
from billing.models import (
    CreditEntry,
    CreditNote,
    CreditNoteKind,
    CreditNoteState,
    EntryKind,
    Invoice,
    InvoiceStatus,
    Organization,
)
from billing.one_offs import KEY_CHARACTERS_MAX
from billing.rules.invoicing import Settlement
from billing.rules.money import Money

REASON_CHARACTERS_MAX = 500


class CreditNoteTooLarge(Conflict):
    """More than is left of the invoice."""

    code = "CREDIT_NOTE_TOO_LARGE"


class NotCreditable(Conflict):
    """Nothing can be given back on an invoice in this state, or not in this way."""

    code = "NOT_CREDITABLE"


@dataclass(frozen=True, slots=True)
class NewCreditNote:
    """What is to be given back. `amount` is in major units of the invoice's currency.

    `kind` says where the money of a paid invoice goes; an open one is always reduced.
    """

    amount: Decimal
    reason: str
    idempotency_key: str
    kind: CreditNoteKind | None = None


async def create_credit_note(
    session: AsyncSession,
    org: Organization,
    number: str,
    wanted: NewCreditNote,
    *,
    actor: str,
    now: datetime,
) -> CreditNote:
    """Give money back once: the same key and body again answer the note that is there.

    What is open is reduced, to nothing at the least, which settles it; what is paid is refunded by
    Stripe, or credited to our balance. Raises `NotFound`, `Invalid`, `NotCreditable`,
    `CreditNoteTooLarge`, or `IdempotencyConflict`.
    """
    _check_words(wanted)
    invoice = await _locked(session, org, number)
    # Under this lock notes are numbered without gaps, and a key is used once.
    org = await session.get_one(Organization, org.id, with_for_update=True, populate_existing=True)
    amount = Money.from_major(wanted.amount, invoice.currency)
    if (known := await _of_key(session, org, invoice, wanted, amount)) is not None:
        return known
    kind = _kind(invoice, wanted.kind)
    left = await _check_amount(session, invoice, amount)
    note = CreditNote(
        org_id=org.id,
        invoice_id=invoice.id,
        number=await _next_number(session, org),
        idempotency_key=wanted.idempotency_key,
        kind=kind,
        amount_minor=amount.minor,
        reason=wanted.reason.strip(),
        state=CreditNoteState.NOT_NEEDED
        if kind is CreditNoteKind.BALANCE
        else CreditNoteState.PENDING,
        next_attempt_at=now,
        recorded_at=now,
    )
    session.add(note)
    await session.flush()
    _settle(session, invoice, note, left, now)
    await _audit(session, invoice, note, actor, now)
    return note


def _check_words(wanted: NewCreditNote) -> None:
    if not wanted.reason.strip() or len(wanted.reason) > REASON_CHARACTERS_MAX:
        raise Invalid(
            f"Say why, in 1 to {REASON_CHARACTERS_MAX} characters: the customer reads it.",
            code="INVALID_REASON",
            field="reason",
        )
    if not wanted.idempotency_key or len(wanted.idempotency_key) > KEY_CHARACTERS_MAX:
        raise Invalid(
            f"The idempotency key needs 1 to {KEY_CHARACTERS_MAX} characters.",
            code="INVALID_IDEMPOTENCY_KEY",
            field="idempotencyKey",
        )


async def _locked(session: AsyncSession, org: Organization, number: str) -> Invoice:
    invoice = await session.scalar(
        select(Invoice)
        .where(Invoice.org_id == org.id, Invoice.number == number)
        .with_for_update()
        .execution_options(populate_existing=True)
    )
    if invoice is None:
        raise NotFound("There is no such invoice.", code="INVOICE_NOT_FOUND", field="number")
    return invoice


async def _of_key(
    session: AsyncSession, org: Organization, invoice: Invoice, wanted: NewCreditNote, amount: Money
) -> CreditNote | None:
    known = await session.scalar(
        select(CreditNote).where(
            CreditNote.org_id == org.id, CreditNote.idempotency_key == wanted.idempotency_key
        )
    )
    if known is None:
        return None
    same = (known.invoice_id, known.amount_minor, known.reason) == (
        invoice.id,
        amount.minor,
        wanted.reason.strip(),
    )
    if not same or wanted.kind not in {None, known.kind}:
        raise IdempotencyConflict(
            f"The key {wanted.idempotency_key!r} was used for {known.number}: send a new key.",
            field="idempotencyKey",
        )
    return known


def _kind(invoice: Invoice, wanted: CreditNoteKind | None) -> CreditNoteKind:
    match invoice.status, wanted:
        case InvoiceStatus.OPEN, CreditNoteKind.REDUCTION | None:
            return CreditNoteKind.REDUCTION
        case InvoiceStatus.OPEN, _:
            raise NotCreditable(
                f"{invoice.number} is not paid yet: a credit note reduces it (REDUCTION).",
                field="kind",
            )
        case InvoiceStatus.PAID, CreditNoteKind.REFUND | CreditNoteKind.BALANCE:
            return wanted
        case InvoiceStatus.PAID, _:
            raise NotCreditable(
                f"{invoice.number} is paid: say whether the money is refunded (REFUND) or credited"
                " to the balance (BALANCE).",
                field="kind",
            )
        case status, _:
            raise NotCreditable(
                f"{invoice.number} is {status}: only open and paid invoices are credited.",
                field="number",
            )


async def _check_amount(session: AsyncSession, invoice: Invoice, amount: Money) -> Money:
    """What is left of the invoice after the note."""
    if amount.minor <= 0:
        raise Invalid("The amount must be above zero.", code="INVALID_AMOUNT", field="amount")
    credited = await session.scalar(
        select(func.coalesce(func.sum(CreditNote.amount_minor), 0)).where(
            CreditNote.invoice_id == invoice.id
        )
    )
    before = Money(invoice.total_minor - int(credited or 0), invoice.currency)
    left = before + -amount
    if left.minor < 0:
        raise CreditNoteTooLarge(
            f"{before.major:f} {invoice.currency} is left of {invoice.number}: credit no more.",
            field="amount",
        )
    smallest = invoice.currency.smallest_charge_minor
    if invoice.status is InvoiceStatus.OPEN and 0 < left.minor < smallest:
        raise Invalid(
            f"That leaves {left.major:f} {invoice.currency}, less than can be charged"
            f" ({Money(smallest, invoice.currency).major:f}): credit all of it, or less.",
            code="LEAVES_TOO_LITTLE",
            field="amount",
        )
    return left


async def _next_number(session: AsyncSession, org: Organization) -> str:
    made = await session.scalar(
        select(func.count()).select_from(CreditNote).where(CreditNote.org_id == org.id)
    )
    return f"{org.invoice_prefix}-CN-{(made or 0) + 1:04d}"


def _settle(
    session: AsyncSession, invoice: Invoice, note: CreditNote, left: Money, now: datetime
) -> None:
    if note.kind is CreditNoteKind.REDUCTION and left.minor == 0:
        invoice.status = InvoiceStatus.PAID
        invoice.settled_by = Settlement.CREDIT_NOTE
        invoice.paid_at = now
    if note.kind is CreditNoteKind.BALANCE:
        session.add(
            CreditEntry(
                org_id=note.org_id,
                kind=EntryKind.CREDIT_NOTE,
                amount_minor=note.amount_minor,
                credit_note_id=note.id,
                recorded_at=now,
            )
        )


async def _audit(
    session: AsyncSession, invoice: Invoice, note: CreditNote, actor: str, now: datetime
) -> None:
    await record_act(
        session,
        actor=actor,
        action="credit_note.created",
        subject=note.number,
        org_id=note.org_id,
        details={
            "invoice": invoice.number,
            "kind": note.kind,
            "amount_minor": note.amount_minor,
            "reason": note.reason,
        },
        now=now,
    )
