"""All that we ask of Stripe, and what goes over: values and one Protocol, no SDK."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from billing.ids import (
    CreditNoteId,
    InvoiceId,
    StripeCreditNoteId,
    StripeCustomerId,
    StripeInvoiceId,
)
from billing.rules.money import Currency


@dataclass(frozen=True, slots=True)
class Customer:
    """Whom Stripe bills. Only what its invoices and mails need."""

    organization_id: str
    name: str
    email: str


@dataclass(frozen=True, slots=True)
class PushLine:
    """One line as Stripe gets it: a whole amount, never a quantity it would multiply itself."""

    line_id: str
    kind: str
    amount_minor: int
    description: str
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class PushInvoice:
    """One issued invoice as Stripe gets it. `revision` changes when what we send changes."""

    id: InvoiceId
    revision: int
    number: str
    currency: Currency
    total_minor: int
    issued_at: datetime
    lines: tuple[PushLine, ...]


@dataclass(frozen=True, slots=True)
class StripeInvoice:
    """What Stripe says of one invoice. `invoice_id` is ours, from its metadata."""

    id: StripeInvoiceId
    invoice_id: str | None
    status: str
    currency: str
    total_minor: int
    line_count: int | None
    attempt_count: int
    next_payment_at: datetime | None
    paid_at: datetime | None
    voided_at: datetime | None
    hosted_invoice_url: str | None
    amount_paid_minor: int = 0
    paid_off_stripe_minor: int = 0
    credited_before_minor: int = 0
    credited_after_minor: int = 0
    balance_minor: int = 0


@dataclass(frozen=True, slots=True)
class ListedInvoice:
    """An invoice as a list has it. `moved_at` is when its status last changed."""

    invoice: StripeInvoice
    customer: StripeCustomerId
    created_at: datetime
    moved_at: datetime


@dataclass(frozen=True, slots=True)
class InvoicePage:
    """One page of a list, newest first; `cursor` leads to the next, None after the last."""

    invoices: tuple[ListedInvoice, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class ListQuery:
    """Which invoices: made in `[start, end)`, of one status or of any."""

    start: datetime
    end: datetime
    status: str | None = None


@dataclass(frozen=True, slots=True)
class EventQuery:
    """Which events: of these types, created in `[start, end)`. Stripe lists 30 days back."""

    types: tuple[str, ...]
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class EventPage:
    """One page of Stripe's events as it tells them, newest first; `cursor` as for invoices."""

    events: tuple[dict[str, object], ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class MoneyBack:
    """What went back of an invoice's payments: refunds that stand, and what is disputed or lost."""

    refunded_minor: int
    disputed_minor: int
    dispute_status: str | None


@dataclass(frozen=True, slots=True)
class PushCreditNote:
    """One credit note as Stripe gets it. `is_refund`: the money has been paid and goes back."""

    id: CreditNoteId
    stripe_invoice_id: StripeInvoiceId
    number: str
    amount_minor: int
    reason: str
    is_refund: bool


class Stripe(Protocol):
    """All that we ask of Stripe. Every method may raise `Unavailable` or `StripeRefused`."""

    async def create_customer(self, customer: Customer, key: str) -> StripeCustomerId:
        """Create the customer of one organization."""

    async def find_customer(self, customer: Customer) -> StripeCustomerId | None:
        """The one that carries our id, or None."""

    async def has_customer(self, id_: StripeCustomerId) -> bool:
        """Whether it is there and not deleted."""

    async def create_invoice(
        self, invoice: PushInvoice, customer: StripeCustomerId, key: str
    ) -> StripeInvoice:
        """Create an empty draft that Stripe will not advance by itself."""

    async def add_lines(
        self, id_: StripeInvoiceId, lines: Sequence[PushLine], key: str
    ) -> StripeInvoice:
        """Add lines to a draft; the answer carries the new total."""

    async def finalize_invoice(self, id_: StripeInvoiceId, key: str) -> StripeInvoice:
        """Issue a draft and let Stripe collect; one that already is, is returned as it is."""

    async def delete_draft(self, id_: StripeInvoiceId) -> None:
        """Delete a draft; one that is gone already is fine."""

    async def void_invoice(self, id_: StripeInvoiceId, key: str) -> StripeInvoice:
        """Void an issued invoice that nobody has paid."""

    async def create_credit_note(self, note: PushCreditNote, key: str) -> StripeCreditNoteId:
        """Reduce what is due of an open invoice, or refund a paid one."""

    async def find_credit_note(self, note: PushCreditNote) -> StripeCreditNoteId | None:
        """The one that carries our id, or None."""

    async def fetch_invoice(self, id_: StripeInvoiceId) -> StripeInvoice | None:
        """What Stripe holds now; None when it holds no such invoice."""

    async def find_invoices(
        self, customer: StripeCustomerId, invoice_id: InvoiceId, since: datetime
    ) -> list[StripeInvoice]:
        """Those of a customer's invoices since then that carry our id and are not void."""

    async def line_ids(self, id_: StripeInvoiceId) -> set[str]:
        """Our ids of the lines that an invoice already has."""

    async def update_customer(self, id_: StripeCustomerId, customer: Customer, key: str) -> None:
        """Let its name and address be these."""

    async def list_invoices(self, query: ListQuery, cursor: str | None) -> InvoicePage:
        """One page of a hundred, newest first."""

    async def list_events(self, query: EventQuery, cursor: str | None) -> EventPage:
        """One page of a hundred, newest first."""

    async def invoice_about(self, noun: str, id_: str) -> StripeInvoiceId | None:
        """Which invoice a credit note, payment, refund, charge or dispute is about, if any."""

    async def money_back(self, id_: StripeInvoiceId) -> MoneyBack:
        """What was refunded or disputed of an invoice's payments."""

    async def webhook_endpoint_status(self, url: str) -> str | None:
        """`enabled` or `disabled`; None where no webhook endpoint has this address."""
