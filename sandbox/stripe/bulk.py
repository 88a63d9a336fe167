"""Tens of thousands of invoices at once, straight onto the shelves: what reconciling is tried on.

They look as if the API had made them and led them to their status, but nothing is told of them: no
events, no webhooks, no calls counted.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from sandbox.stripe.customers import DETAILS as CUSTOMER_DETAILS
from sandbox.stripe.finalization import next_number
from sandbox.stripe.invoice_body import billed_to
from sandbox.stripe.invoices import DETAILS as INVOICE_DETAILS
from sandbox.stripe.records import Customer, Invoice, InvoiceItem, Status
from sandbox.stripe.world import World

INVOICES_PER_CUSTOMER = 10
SPREAD_S = 45 * 24 * 3600
LINES_MAX = 3
AMOUNT_MAX = 50_000
# How many of a hundred invoices of a filled account have each status.
SHARES = {
    Status.PAID: 88,
    Status.OPEN: 7,
    Status.DRAFT: 2,
    Status.VOID: 2,
    Status.UNCOLLECTIBLE: 1,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """One invoice to hold: minor units per line, unix seconds. A customer may have many."""

    customer: str
    created: int
    amounts: tuple[int, ...]
    currency: str = "usd"
    status: Status = Status.OPEN
    metadata: Mapping[str, str] = field(default_factory=dict)
    number: str | None = None


def hold_customer(
    world: World, created: int, metadata: Mapping[str, str] | None = None, name: str | None = None
) -> Customer:
    """A customer, made at `created`."""
    return world.customers.add(
        Customer(
            id=world.ids.new("cus"),
            created=created,
            invoice_prefix=world.ids.invoice_prefix(),
            details=CUSTOMER_DETAILS | {"name": name},
            metadata=dict(metadata or {}),
        )
    )


def hold_invoices(world: World, wanted: Iterable[Held]) -> list[Invoice]:
    """Put invoices on the shelf, oldest first whatever their order here; in the order of the shelf.

    Raises `ValueError` where one would be older than the newest already held, for a shelf is in the
    order of making, and `KeyError` for a customer of nobody.
    """
    ordered = sorted(wanted, key=lambda held: held.created)
    newest = next(iter(world.invoices), None)
    if ordered and newest is not None and ordered[0].created < newest.created:
        raise ValueError("An invoice cannot be older than the newest one already held.")
    return [_hold(world, held) for held in ordered]


def fill(world: World, count: int, now: int, seed: int = 1) -> list[Invoice]:
    """Hold `count` invoices of the last 45 days before `now`; the same seed gives the same ones.

    The ids are the world's: give it seeded `Ids` to have those repeat as well.
    """
    chance = random.Random(seed)  # noqa: S311 - play money
    start = now - SPREAD_S
    customers = [
        hold_customer(world, start, {"org_id": f"org-{number}"}, f"Customer {number}")
        for number in range(-(-count // INVOICES_PER_CUSTOMER))
    ]
    statuses = chance.choices(list(SHARES), list(SHARES.values()), k=count)
    return hold_invoices(
        world,
        [
            Held(
                customer=chance.choice(customers).id,
                created=start + chance.randrange(SPREAD_S),
                amounts=_some_amounts(chance),
                status=status,
                metadata={"invoice_id": f"invoice-{number}", "rev": "1"},
            )
            for number, status in enumerate(statuses)
        ],
    )


def _some_amounts(chance: random.Random) -> tuple[int, ...]:
    return tuple(chance.randrange(50, AMOUNT_MAX) for _ in range(chance.randint(1, LINES_MAX)))


def _hold(world: World, held: Held) -> Invoice:
    customer = world.customers.find(held.customer)
    if customer is None:
        raise KeyError(held.customer)
    invoice = Invoice(
        id=world.ids.new("in"),
        created=held.created,
        customer=customer.id,
        currency=held.currency,
        collection_method="charge_automatically",
        auto_advance=False,
        due_date=None,
        details=dict(INVOICE_DETAILS),
        metadata=dict(held.metadata),
        number=held.number,
    )
    # As `add_lines` does: the first given is the newest.
    invoice.lines = [_line(world, invoice, amount) for amount in reversed(held.amounts)]
    world.invoices.add(invoice)
    if held.status is not Status.DRAFT:
        _lead(invoice, customer, held.status)
    return invoice


def _line(world: World, invoice: Invoice, amount: int) -> InvoiceItem:
    return world.items.add(
        InvoiceItem(
            id=world.ids.new("ii"),
            created=invoice.created,
            customer=invoice.customer,
            amount=amount,
            currency=invoice.currency,
            period=(invoice.created, invoice.created),
            metadata={},
            invoice=invoice.id,
            line_id=world.ids.new("il"),
        )
    )


def _lead(invoice: Invoice, customer: Customer, status: Status) -> None:
    """Make it final in the second it was made, and bring it to its status in the same."""
    at = invoice.created
    invoice.status = status
    invoice.finalized_at = invoice.effective_at = at
    invoice.number = invoice.number or next_number(customer)
    invoice.billed_to = billed_to(customer)
    invoice.ending_balance = 0
    invoice.amount_due = max(0, invoice.total)
    if status is Status.PAID:
        invoice.paid_at, invoice.amount_paid = at, invoice.amount_due
        invoice.attempted, invoice.attempt_count = True, 1
    elif status is Status.VOID:
        invoice.voided_at = at
    elif status is Status.UNCOLLECTIBLE:
        invoice.marked_uncollectible_at = at
