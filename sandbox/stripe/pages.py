"""What a person sees: everything the fake holds, and an invoice's hosted page. All NOT REAL."""

from datetime import UTC, datetime
from itertools import islice

from jinja2 import Environment, PackageLoader, StrictUndefined

from sandbox.stripe.records import Invoice
from sandbox.stripe.world import World

SHOWN = 50
ZERO_DECIMAL = ("jpy",)
THREE_DECIMAL = ("bhd",)

templates = Environment(
    loader=PackageLoader("sandbox.stripe"), autoescape=True, undefined=StrictUndefined
)


def money(minor: int, currency: str) -> str:
    """Minor units as a person reads them: `12.34 USD`."""
    exponent = 0 if currency in ZERO_DECIMAL else 3 if currency in THREE_DECIMAL else 2
    whole, rest = divmod(abs(minor), 10**exponent)
    decimals = f".{rest:0{exponent}}" if exponent else ""
    return f"{'−' if minor < 0 else ''}{whole:,}{decimals} {currency.upper()}"


def instant(seconds: int) -> str:
    """Unix seconds as a person reads them, in UTC."""
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M:%S} UTC"


templates.filters |= {"money": money, "instant": instant}


def overview(world: World, now: int) -> str:
    """The root page: the newest of each kind, with how many there are."""
    return templates.get_template("overview.html").render(
        world=world,
        now=now,
        shown=SHOWN,
        customers=list(islice(world.customers, SHOWN)),
        invoices=list(islice(world.invoices, SHOWN)),
        events=list(islice(world.events, SHOWN)),
        deliveries=list(islice(reversed(world.postbox.records), SHOWN)),
    )


def hosted_invoice(world: World, invoice: Invoice) -> str:
    """Where a real `hosted_invoice_url` would lead."""
    return templates.get_template("invoice.html").render(
        invoice=invoice, customer=world.customers.find(invoice.customer)
    )
