"""How an invoice's payment stands: for the developer who has to pay, and as data for scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from billing.models import Invoice, InvoiceStatus, PaymentFacts
from billing.payments import find_facts
from billing.rules.dunning import Dunning, dunning_of
from billing.rules.money import Money
from billing.runtime import Runtime
from web.exports import instant_told


@dataclass(frozen=True, slots=True)
class Payment:
    """What is told of the money of one invoice. `dunning` is None unless an attempt has failed."""

    facts: PaymentFacts | None
    dunning: Dunning | None
    pay_url: str | None
    invoice: Invoice

    @property
    def amounts(self) -> Sequence[tuple[str, Money]]:
        """Each fact that is not zero, by what people call it."""
        facts = self.facts
        if facts is None:
            return ()
        told = (
            ("Paid", facts.amount_paid_minor),
            ("of it by another way", facts.paid_off_stripe_minor),
            ("Refunded", facts.refunded_minor),
            ("Disputed", facts.disputed_minor),
        )
        return [(name, Money(minor, self.invoice.currency)) for name, minor in told if minor]

    @property
    def dispute(self) -> str | None:
        """Where a dispute stands, in words."""
        status = self.facts.dispute_status if self.facts else None
        return None if status is None else status.replace("_", " ")


async def payment_of(runtime: Runtime, invoice: Invoice) -> Payment:
    """Of an invoice whose sync is loaded."""
    async with runtime.sessions() as session:
        facts = await find_facts(session, invoice.id)
    sync = invoice.sync
    is_open = invoice.status is InvoiceStatus.OPEN and sync is not None
    if sync is None or not is_open:
        return Payment(facts, None, None, invoice)
    retry_days = runtime.settings.payment_retry_days
    dunning = dunning_of(sync.payment_attempts, sync.next_payment_at, retry_days)
    return Payment(facts, dunning, sync.hosted_invoice_url, invoice)


def payment_told(payment: Payment) -> dict[str, Any]:
    """The same for scripts; amounts in major units."""
    dunning, facts = payment.dunning, payment.facts
    currency = payment.invoice.currency

    def major(minor: int) -> str:
        return f"{Money(minor, currency).major:f}"

    return {
        "pay_url": payment.pay_url,
        "failed_attempts": dunning.attempts if dunning else 0,
        "next_attempt_at": instant_told(dunning.next_at) if dunning else None,
        "planned_attempts": [instant_told(at) for at in dunning.planned_at] if dunning else [],
        "retries": None if dunning is None else "SMART" if dunning.is_smart else "SCHEDULE",
        "paid": major(facts.amount_paid_minor if facts else 0),
        "paid_by_another_way": major(facts.paid_off_stripe_minor if facts else 0),
        "refunded": major(facts.refunded_minor if facts else 0),
        "disputed": major(facts.disputed_minor if facts else 0),
        "dispute_status": facts.dispute_status if facts else None,
    }
