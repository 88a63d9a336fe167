"""Correcting what was issued, and letting out what is held: for staff."""

from decimal import Decimal

import strawberry

from api.accounts import organization_row
from api.context import Context, Info
from api.corrections import CreditNote, InvoiceHold
from api.errors import Payload, RefusalsAsData
from api.invoices import Invoice
from billing import credit_notes, holds, models, voiding
from billing.ids import InvoiceId
from billing.invoices import get_invoice, get_invoice_by_number
from billing.models import CreditNoteKind, HoldReason


@strawberry.input(description="Which invoice is withdrawn, and why.")
class VoidInvoiceInput:
    """Open ones only: what is paid is corrected by a credit note."""

    organization: str = strawberry.field(description="The organization's slug.")
    number: str = strawberry.field(description="As printed on it.")
    reason: str = strawberry.field(description="Shown on the invoice; at most 500 characters.")
    reissue: bool = strawberry.field(
        default=False, description="Whether its period is issued again, computed anew."
    )


@strawberry.type(description="The invoice as it is now, or why not.")
class VoidInvoicePayload(Payload):
    """Withdrawn in Stripe first."""

    invoice: Invoice | None = strawberry.field(default=None, description="The voided one.")
    reissued: Invoice | None = strawberry.field(
        default=None, description="Its new revision, still CLOSING; null unless asked for."
    )


@strawberry.input(description="Which voided invoice's period is issued again.")
class ReissueInvoiceInput:
    """A period's own only: what is off the cycle is billed again by the next close."""

    organization: str = strawberry.field(description="The organization's slug.")
    number: str = strawberry.field(description="Of the voided invoice.")


@strawberry.type(description="The new revision, or why not.")
class ReissueInvoicePayload(Payload):
    """CLOSING until the next sweep issues it."""

    invoice: Invoice | None = strawberry.field(default=None, description="The new revision.")


@strawberry.input(description="What is given back, on which invoice.")
class CreateCreditNoteInput:
    """The key makes it safe to send again."""

    organization: str = strawberry.field(description="The organization's slug.")
    number: str = strawberry.field(description="Of the invoice.")
    amount: Decimal = strawberry.field(
        description='Major units, above zero, such as "12.50"; at most what is left of the invoice.'
    )
    reason: str = strawberry.field(description="For the customer; at most 500 characters.")
    kind: CreditNoteKind | None = strawberry.field(
        default=None,
        description="Needed for a paid invoice: REFUND or BALANCE. An open one is reduced.",
    )
    idempotency_key: str = strawberry.field(
        description="Yours, unique in the organization: the same key and body credit once;"
        " with another body it is a CONFLICT."
    )


@strawberry.type(description="The credit note, or why not.")
class CreateCreditNotePayload(Payload):
    """The same note for the same key and body."""

    credit_note: CreditNote | None = strawberry.field(default=None, description="What was made.")
    invoice: Invoice | None = strawberry.field(default=None, description="The invoice after it.")


@strawberry.input(description="Which hold is let go, and why.")
class ReleaseHoldInput:
    """For good: the same cause does not hold this invoice again."""

    organization: str = strawberry.field(description="The organization's slug.")
    reason: HoldReason = strawberry.field(description="The kind of cause.")
    note: str = strawberry.field(description="Why, for the audit; at most 500 characters.")


@strawberry.type(description="The hold as it is now, or why not.")
class ReleaseHoldPayload(Payload):
    """The next sweep issues the invoice, unless something else holds it."""

    hold: InvoiceHold | None = strawberry.field(default=None, description="What was released.")


@strawberry.type
class CorrectionMutations:
    """All of them are written to the audit."""

    @strawberry.mutation(
        description="Withdraw an issued invoice, in Stripe first. Staff only.",
        extensions=[RefusalsAsData(VoidInvoicePayload)],
    )
    async def void_invoice(self, info: Info, input: VoidInvoiceInput) -> VoidInvoicePayload:
        """While Stripe cannot be reached nothing changes, and asking again is safe."""
        context, reissued = info.context, None
        org = await _organization(context, input.organization)
        names = {"reason": input.reason, "actor": context.viewer.actor}
        if input.reissue:
            new = await voiding.void_and_reissue(context.runtime, org, input.number, **names)
            reissued = await _shown(context, org, new.id)
            await _closing(context, org)
        else:
            await voiding.void_invoice(context.runtime, org, input.number, **names)
        async with context.reading() as session:
            row = await get_invoice_by_number(session, org.id, input.number)
        return VoidInvoicePayload(invoice=Invoice.of(row), reissued=reissued)

    @strawberry.mutation(
        description="Issue the period of a voided invoice again, computed anew. Staff only.",
        extensions=[RefusalsAsData(ReissueInvoicePayload)],
    )
    async def reissue_invoice(
        self, info: Info, input: ReissueInvoiceInput
    ) -> ReissueInvoicePayload:
        """A new revision with a new number, which names the old one."""
        context = info.context
        org = await _organization(context, input.organization)
        async with context.runtime.sessions.begin() as session:
            new = await voiding.reissue_invoice(
                session, org, input.number, actor=context.viewer.actor, now=context.now
            )
        await _closing(context, org)
        return ReissueInvoicePayload(invoice=await _shown(context, org, new.id))

    @strawberry.mutation(
        description="Give money back on an issued invoice. Staff only.",
        extensions=[RefusalsAsData(CreateCreditNotePayload)],
    )
    async def create_credit_note(
        self, info: Info, input: CreateCreditNoteInput
    ) -> CreateCreditNotePayload:
        """Here at once; Stripe is told as soon as it has the invoice."""
        context = info.context
        org = await _organization(context, input.organization)
        wanted = credit_notes.NewCreditNote(
            input.amount, input.reason, input.idempotency_key, input.kind
        )
        async with context.runtime.sessions.begin() as session:
            note = await credit_notes.create_credit_note(
                session, org, input.number, wanted, actor=context.viewer.actor, now=context.now
            )
        await context.runtime.nudges.enqueue("push_credit_notes")
        await context.runtime.nudges.moved([org.id])
        return CreateCreditNotePayload(
            credit_note=CreditNote.of(note, org.currency),
            invoice=await _shown(context, org, note.invoice_id),
        )

    @strawberry.mutation(
        description="Let a held invoice go out in spite of one reason. Staff only.",
        extensions=[RefusalsAsData(ReleaseHoldPayload)],
    )
    async def release_hold(self, info: Info, input: ReleaseHoldInput) -> ReleaseHoldPayload:
        """The sweep issues it."""
        context = info.context
        org = await _organization(context, input.organization)
        async with context.runtime.sessions.begin() as session:
            row = await holds.release_hold(
                session,
                org,
                input.reason,
                note=input.note,
                actor=context.viewer.actor,
                now=context.now,
            )
        await _closing(context, org)
        return ReleaseHoldPayload(hold=InvoiceHold.of(row))


async def _organization(context: Context, slug: str) -> models.Organization:
    context.viewer.require_ops()
    async with context.reading() as session:
        return await organization_row(context, session, slug)


async def _shown(context: Context, org: models.Organization, invoice_id: InvoiceId) -> Invoice:
    async with context.reading() as session:
        return Invoice.of(await get_invoice(session, org.id, invoice_id))


async def _closing(context: Context, org: models.Organization) -> None:
    """What can be issued now need not wait for the next sweep."""
    await context.runtime.nudges.enqueue("close_periods")
    await context.runtime.nudges.moved([org.id])
