"""Money in: charging an invoice, by request or by the clock, and what comes of it."""

from sandbox.stripe.errors import StripeError
from sandbox.stripe.invoice_body import announce, invoice_body
from sandbox.stripe.records import Card, Invoice, Status
from sandbox.stripe.world import Cause, World

PAID = ("invoice.paid", "invoice.payment_succeeded")
DAY_S = 24 * 3600
# After a declined automatic charge: three more tries, at growing distance (docs "smart retries").
RETRY_DELAYS_S = (3 * DAY_S, 5 * DAY_S, 7 * DAY_S)


def charge(world: World, invoice: Invoice, cause: Cause, card: Card) -> None:
    """Attempt to collect an open invoice, and tell how it went.

    PAY settles it at once, LATER after `clearing_delay_s`; DECLINE and NONE leave it open, to be
    tried again while `auto_advance` lasts.
    """
    before = invoice_body(world, invoice)
    invoice.attempted = True
    invoice.attempt_count += 1
    invoice.next_payment_attempt = None
    if card is Card.PAY:
        mark_paid(invoice, cause.now)
        announce(world, invoice, cause, before, *PAID)
    elif card is Card.LATER:
        invoice.payment_clears_at = cause.now + world.knobs.clearing_delay_s
        world.due_invoices.add(invoice.payment_clears_at, invoice.id)
        announce(world, invoice, cause, before)
    else:
        _plan_retry(world, invoice, cause.now)
        announce(world, invoice, cause, before, "invoice.payment_failed")


def clear_payment(world: World, invoice: Invoice, cause: Cause) -> None:
    """The money of a charge that pays LATER has come."""
    before = invoice_body(world, invoice)
    invoice.payment_clears_at = None
    mark_paid(invoice, cause.now)
    announce(world, invoice, cause, before, *PAID)


def mark_paid(invoice: Invoice, now: int) -> None:
    """All that is due is paid. Recorded: `amount_due` stays, `auto_advance` goes off."""
    invoice.status = Status.PAID
    invoice.paid_at = now
    invoice.amount_paid = invoice.amount_due
    invoice.auto_advance = False
    invoice.next_payment_attempt = None


def schedule_collection(world: World, invoice: Invoice, now: int) -> None:
    """Plan the first automatic charge of an open invoice, if it is to be charged automatically."""
    is_automatic = invoice.auto_advance and invoice.collection_method == "charge_automatically"
    if is_automatic and invoice.payment_clears_at is None:
        invoice.next_payment_attempt = now + world.knobs.collection_delay_s
        world.due_invoices.add(invoice.next_payment_attempt, invoice.id)


def card_for(world: World, invoice: Invoice, method_id: str | None = None) -> Card:
    """How charging this invoice goes.

    The control door's choice for the customer comes first, then the payment method named, the
    invoice's and the customer's default, and at last the world's default.
    """
    if (card := world.knobs.cards.get(invoice.customer)) is not None:
        return card
    customer = world.customers.find(invoice.customer)
    assert customer is not None, invoice.customer
    default = invoice.details["default_payment_method"] or customer.default_payment_method
    if (chosen := method_id or default) is None:
        return world.knobs.default_card
    method = world.payment_methods.find(chosen)
    if method is None:
        raise StripeError(f"No such PaymentMethod: '{chosen}'", code="resource_missing")
    return method.card


def _plan_retry(world: World, invoice: Invoice, now: int) -> None:
    tried = invoice.attempt_count - 1
    if invoice.auto_advance and tried < len(RETRY_DELAYS_S):
        invoice.next_payment_attempt = now + RETRY_DELAYS_S[tried]
        world.due_invoices.add(invoice.next_payment_attempt, invoice.id)
