"""What invoice items and invoice lines have in common: one charge, with its amount and period."""

from sandbox.stripe.errors import Body, StripeError, missing
from sandbox.stripe.params import Params, merge_metadata, refuse_unmodelled
from sandbox.stripe.records import Customer, Invoice, InvoiceItem
from sandbox.stripe.world import World

CHARGE = ("amount", "description", "discountable", "metadata", "period")
CHARGE_PARAMS = (*CHARGE, "quantity")  # quantity is read only to be refused beside amount
LINES_MAX = 250
CURRENCY_LENGTH = 3
ACCOUNT_CURRENCY = "usd"


def check_charge(wanted: Params, where: str = "", also: tuple[str, ...] = ()) -> None:
    """Refuse what cannot be made a charge of; `where` names the list entry, as `lines[0]`."""

    def named(part: str) -> str:
        return f"{where}[{part}]" if where else part

    if "amount" in wanted and "quantity" in wanted:
        raise StripeError(
            "You may only specify one of these parameters: amount, quantity.",
            param=named("amount"),
        )
    refuse_unmodelled(wanted, (*CHARGE, *also), where)
    merge_metadata({}, wanted.get("metadata", {}))
    period = wanted.get("period")
    if period is not None and period["end"] < period["start"]:
        raise StripeError(
            "The period end must be greater than or equal to the period start.",
            param=named("period"),
        )


def check_new_charge(wanted: Params, where: str = "", also: tuple[str, ...] = ()) -> None:
    """`check_charge`, and an amount has to be given."""
    check_charge(wanted, where, also)
    if "amount" not in wanted:
        raise missing(f"{where}[amount]" if where else "amount")


def check_room(invoice: Invoice, more: int) -> None:
    """250 lines fit on an invoice (Stripe's API reference); its words for it are not recorded."""
    if len(invoice.lines) + more > LINES_MAX:
        raise StripeError(f"An invoice can have up to {LINES_MAX} line items.")


def check_editable(invoice: Invoice) -> None:
    """Lines change on drafts only."""
    if invoice.finalized_at is not None or invoice.deleted:
        raise StripeError(
            "Invalid invoice: This invoice is no longer editable", code="invoice_not_editable"
        )


def currency_of(wanted: Params, customer: Customer) -> str:
    """The currency asked for, else the customer's, else the account's."""
    currency: str = wanted.get("currency") or customer.currency or ACCOUNT_CURRENCY
    if len(currency) != CURRENCY_LENGTH or not currency.isalpha():
        raise StripeError(f"Invalid currency: {currency.lower()}.", param="currency")
    return currency.lower()


def add_item(
    world: World, wanted: Params, *, customer: str, currency: str, now: int
) -> InvoiceItem:
    """Put a checked charge on the shelf, pending."""
    item = InvoiceItem(
        id=world.ids.new("ii"),
        created=now,
        customer=customer,
        amount=wanted["amount"],
        currency=currency,
        period=(now, now),
        metadata={},
        discountable=wanted["amount"] >= 0,
    )
    edit_item(item, wanted)
    return world.items.add(item)


def edit_item(item: InvoiceItem, wanted: Params) -> None:
    """Change what is given, and only that."""
    item.amount = wanted.get("amount", item.amount)
    item.description = wanted.get("description", item.description)
    item.discountable = wanted.get("discountable", item.discountable)
    item.metadata = merge_metadata(item.metadata, wanted.get("metadata", {}))
    if (period := wanted.get("period")) is not None:
        item.period = (period["start"], period["end"])


def take_up(world: World, invoice: Invoice, items: list[InvoiceItem]) -> None:
    """Make items lines of a draft, the first of them its newest."""
    for item in reversed(items):
        item.invoice = invoice.id
        item.line_id = world.ids.new("il")
        invoice.lines.append(item)


def period_body(item: InvoiceItem) -> Body:
    """A period, in unix seconds, both ends inclusive."""
    start, end = item.period
    return {"start": start, "end": end}


def pricing_body(item: InvoiceItem) -> Body:
    """Recorded: every bare amount gets a price and a product of its own."""
    tail = item.id.removeprefix("ii_")
    return {
        "price_details": {"price": f"price_{tail}", "product": f"prod_{tail[:14]}"},
        "type": "price_details",
        "unit_amount_decimal": str(item.amount),
    }
