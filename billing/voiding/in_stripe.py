"""What has to go from Stripe before an invoice is void here. No transaction is held meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from billing.errors import Conflict, Invalid
from billing.ids import InvoiceId, StripeCustomerId, StripeInvoiceId
from billing.runtime import Runtime
from billing.stripe_protocol import Customer, StripeInvoice

_CLOCK_SLACK = timedelta(hours=1)


class PaidInvoice(Conflict):
    """Its money has been paid, so it stands."""

    code = "PAID_INVOICE"

    def __init__(self, number: str) -> None:
        super().__init__(
            f"{number} is paid and cannot be voided: create a credit note, which refunds it or"
            " credits it to the balance.",
            field="number",
        )


class VoidRefused(Conflict):
    """Stripe does not void it, and so neither do we."""

    code = "VOID_REFUSED"


@dataclass(frozen=True, slots=True)
class Removal:
    """One invoice that is to go from Stripe.

    Without a `stripe_id` there is doubt: what the customer has of ours is looked for. `key` is new
    after every failure: Stripe would repeat a saved refusal, and we always look before we act.
    """

    invoice_id: InvoiceId
    number: str
    issued_at: datetime
    stripe_id: StripeInvoiceId | None
    customer: StripeCustomerId | Customer
    key: str


async def remove(runtime: Runtime, removal: Removal) -> None:
    """Delete its draft or void it, in every copy; fine if nothing is there.

    Raises `PaidInvoice` before anything is touched, `VoidRefused`, `Unavailable`.
    """
    there = await _found(runtime, removal)
    if any(one.status == "paid" for one in there):
        raise PaidInvoice(removal.number)
    for place, one in enumerate(there):
        await _remove(runtime, removal, one, f"{removal.key}-{place}" if place else removal.key)


async def _found(runtime: Runtime, removal: Removal) -> Sequence[StripeInvoice]:
    if removal.stripe_id is not None:
        found = await runtime.stripe.fetch_invoice(removal.stripe_id)
        return () if found is None else [found]
    customer = removal.customer
    if isinstance(customer, Customer):
        known = await runtime.stripe.find_customer(customer)
        if known is None:
            return ()
        customer = known
    since = removal.issued_at - _CLOCK_SLACK
    return await runtime.stripe.find_invoices(customer, removal.invoice_id, since)


async def _remove(runtime: Runtime, removal: Removal, there: StripeInvoice, key: str) -> None:
    if there.status == "void":
        return
    try:
        if there.status == "draft":
            await runtime.stripe.delete_draft(there.id)
        else:
            await runtime.stripe.void_invoice(there.id, key)
    except Invalid as refusal:
        await _refused(runtime, removal, there, refusal)


async def _refused(
    runtime: Runtime, removal: Removal, there: StripeInvoice, refusal: Invalid
) -> None:
    """It may have changed between our look and our act: paid, or void after all."""
    now = await runtime.stripe.fetch_invoice(there.id)
    if now is None or now.status == "void":
        return
    if now.status == "paid":
        raise PaidInvoice(removal.number) from refusal
    raise VoidRefused(
        f"Stripe does not void {removal.number}, which is {now.status} there; nothing has changed."
        f" {refusal}",
        field="number",
    ) from refusal
