"""What a person does in Stripe's Dashboard, behind the back of whoever uses the API.

Each act goes by the rules of the API and is told of in events, which name no request.
"""

from typing import Annotated

import msgspec

from sandbox.stripe import invoices, lifecycle, lines
from sandbox.stripe.errors import Body, StripeError, no_such
from sandbox.stripe.money_back import (
    charged,
    close_dispute,
    give_refund,
    open_dispute,
    refunded,
)
from sandbox.stripe.operations import Call
from sandbox.stripe.params import Params
from sandbox.stripe.records import DisputeStatus, Invoice, Refund
from sandbox.stripe.webhooks import resend
from sandbox.stripe.world import Cause, World

OVERLAP_S = 24 * 3600
Positive = Annotated[int, msgspec.Meta(ge=1)]


class Act(msgspec.Struct, forbid_unknown_fields=True, tag_field="act"):
    """Something done by hand."""


class VoidInvoice(Act, tag="void"):
    """Void an open invoice."""

    invoice: str


class PayOutOfBand(Act, tag="pay_out_of_band"):
    """Mark an open invoice paid: the money came by another way."""

    invoice: str


class DeleteDraft(Act, tag="delete_draft"):
    """Delete a draft."""

    invoice: str


class ChangeLine(Act, tag="change_line"):
    """Change the amount, in minor units, of a draft's line; the newest unless one is named."""

    invoice: str
    amount: int
    line: str | None = None


class RemoveMetadata(Act, tag="remove_metadata"):
    """Take all metadata off an invoice: nothing says any more whose it is."""

    invoice: str


class RefundInvoice(Act, tag="refund"):
    """Give money back, in minor units; all that is left unless an amount is given."""

    invoice: str
    amount: Positive | None = None


class DisputeInvoice(Act, tag="dispute"):
    """The cardholder disputes the charge, or an amount of it in minor units."""

    invoice: str
    amount: Positive | None = None
    reason: str = "fraudulent"


class CloseDispute(Act, tag="close_dispute"):
    """The bank decides a dispute."""

    dispute: str
    won: bool = False


class ResendEvent(Act, tag="resend"):
    """Send an event once more to every endpoint that wants it, whether or not it arrived."""

    event: str


class RollSecret(Act, tag="roll_secret"):
    """Give an endpoint a new secret; the old one signs, too, for so many seconds."""

    endpoint: str
    secret: str
    overlap_s: Annotated[int, msgspec.Meta(ge=0)] = OVERLAP_S


AnyAct = (
    VoidInvoice
    | PayOutOfBand
    | DeleteDraft
    | ChangeLine
    | RemoveMetadata
    | RefundInvoice
    | DisputeInvoice
    | CloseDispute
    | ResendEvent
    | RollSecret
)


def perform(world: World, act: AnyAct, now: int) -> None:
    """Do it, or raise `ValueError` with what Stripe says against it."""
    try:
        _perform(world, act, Cause(now))
    except StripeError as error:
        raise ValueError(error.message) from error


def _perform(world: World, act: AnyAct, cause: Cause) -> None:
    match act:
        case RefundInvoice(invoice_id, amount):
            _refund(world, _invoice(world, invoice_id), amount, cause)
        case DisputeInvoice(invoice_id, amount, reason):
            open_dispute(world, _invoice(world, invoice_id), amount, reason, cause)
        case CloseDispute(dispute_id, won):
            _decide(world, dispute_id, won, cause)
        case ResendEvent(event_id):
            if (event := world.events.find(event_id)) is None:
                raise no_such("event", event_id, "event")
            resend(world.postbox, event, cause.now)
        case RollSecret(endpoint_id, secret, overlap_s):
            if (endpoint := world.postbox.find(endpoint_id)) is None:
                raise no_such("webhook endpoint", endpoint_id, "endpoint")
            world.postbox.roll(endpoint, secret, cause.now + overlap_s)
        case _:
            _edit(world, act, cause)


def _edit(
    world: World,
    act: VoidInvoice | PayOutOfBand | DeleteDraft | ChangeLine | RemoveMetadata,
    cause: Cause,
) -> Body:
    """What the API could do to an invoice as well."""

    def call(**wanted: object) -> Call:
        parameters: Params = dict(wanted)
        return Call({"invoice": act.invoice}, parameters, cause)

    match act:
        case VoidInvoice():
            return lifecycle.void(world, call())
        case PayOutOfBand():
            return lifecycle.pay(world, call(paid_out_of_band=True))
        case DeleteDraft():
            return invoices.delete(world, call())
        case RemoveMetadata():
            return invoices.update(world, call(metadata=None))
        case ChangeLine(invoice_id, amount, line):
            change = {"id": line or _newest_line(world, invoice_id), "amount": amount}
            return lines.update_many(world, call(lines=[change]))


def _invoice(world: World, invoice_id: str) -> Invoice:
    invoice = world.invoices.find_live(invoice_id)
    if invoice is None:
        raise no_such("invoice", invoice_id, "invoice")
    return invoice


def _newest_line(world: World, invoice_id: str) -> str:
    invoice = _invoice(world, invoice_id)
    line_id = invoice.lines[-1].line_id if invoice.lines else None
    if line_id is None:
        raise StripeError("This invoice has no lines.")
    return line_id


def _refund(world: World, invoice: Invoice, amount: int | None, cause: Cause) -> None:
    left = charged(invoice) - refunded(world, invoice)
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise StripeError(f"Of this invoice {left} minor units can be refunded.")
    refund = Refund(
        id=world.ids.new("re"),
        created=cause.now,
        invoice=invoice.id,
        amount=wanted,
        currency=invoice.currency,
        reason="requested_by_customer",
        metadata={},
    )
    give_refund(world, refund, invoice, cause)


def _decide(world: World, dispute_id: str, won: bool, cause: Cause) -> None:
    dispute = world.disputes.find(dispute_id)
    if dispute is None:
        raise no_such("dispute", dispute_id, "dispute")
    status = DisputeStatus.WON if won else DisputeStatus.LOST
    close_dispute(world, dispute, status, cause)
