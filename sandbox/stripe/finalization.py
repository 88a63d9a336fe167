"""From draft to open: the number, the balance, the frozen customer; or straight to paid."""

from sandbox.stripe.customers import customer_body
from sandbox.stripe.events import emit
from sandbox.stripe.invoice_body import announce, billed_to, invoice_body
from sandbox.stripe.payment import PAID, mark_paid, schedule_collection
from sandbox.stripe.records import Customer, Invoice, Status
from sandbox.stripe.settlement import settle
from sandbox.stripe.world import Cause, World


def finalize_draft(world: World, invoice: Invoice, cause: Cause) -> None:
    """Make a draft final and tell so.

    Recorded: the number counts per customer and is drawn only now; an invoice with nothing due is
    paid at once (`attempted` true, `attempt_count` 0); finalizing itself charges nothing.
    """
    customer = world.customers.find(invoice.customer)
    assert customer is not None, invoice.customer
    before = invoice_body(world, invoice)
    invoice.status = Status.OPEN
    invoice.finalized_at = cause.now
    invoice.effective_at = invoice.effective_at or cause.now
    invoice.number = invoice.number or next_number(customer)
    invoice.billed_to = billed_to(customer)
    _settle_balance(world, invoice, customer, cause)
    if invoice.amount_due == 0:
        invoice.attempted = True
        mark_paid(invoice, cause.now)
        announce(world, invoice, cause, before, "invoice.finalized", *PAID)
    else:
        schedule_collection(world, invoice, cause.now)
        announce(world, invoice, cause, before, "invoice.finalized")


def give_back_balance(world: World, invoice: Invoice, cause: Cause) -> None:
    """Undo what finalizing did to the customer's balance, for the invoice is void."""
    customer = world.customers.find(invoice.customer)
    assert customer is not None, invoice.customer
    ending = invoice.ending_balance or 0
    _set_balance(world, customer, customer.balance + invoice.starting_balance - ending, cause)


def credit_balance(world: World, invoice: Invoice, amount: int, cause: Cause) -> None:
    """Give the customer credit for their next invoice."""
    customer = world.customers.find(invoice.customer)
    assert customer is not None, invoice.customer
    _set_balance(world, customer, customer.balance - amount, cause)


def next_number(customer: Customer) -> str:
    """Draw the customer's next invoice number."""
    number = f"{customer.invoice_prefix}-{customer.next_invoice_sequence:04}"
    customer.next_invoice_sequence += 1
    return number


def _settle_balance(world: World, invoice: Invoice, customer: Customer, cause: Cause) -> None:
    starting = customer.balance_in(invoice.currency)
    settlement = settle(invoice.total, starting, invoice.currency)
    invoice.starting_balance = starting
    invoice.ending_balance = settlement.ending_balance
    invoice.amount_due = settlement.amount_due
    if settlement.ending_balance != starting:
        customer.currency = customer.currency or invoice.currency
        _set_balance(world, customer, settlement.ending_balance, cause)


def _set_balance(world: World, customer: Customer, balance: int, cause: Cause) -> None:
    if balance == customer.balance:
        return
    before = customer_body(customer)
    customer.balance = balance
    emit(world, "customer.updated", customer_body(customer), cause, before)
