"""What the fake Stripe holds. Amounts are integer minor units, instants unix seconds."""

from dataclasses import MISSING, dataclass, field, fields
from enum import StrEnum
from typing import Any

from sandbox.stripe.coupons import Discount

Details = dict[str, Any]
"""Fields that are stored and given back, and steer nothing."""


class Card(StrEnum):
    """How a payment method behaves when charged."""

    PAY = "pay"
    DECLINE = "decline"
    LATER = "later"  # like a bank debit: accepted at once, cleared days later
    NONE = "none"  # there is nothing to charge


class Status(StrEnum):
    """An invoice's status, in Stripe's words."""

    DRAFT = "draft"
    OPEN = "open"
    PAID = "paid"
    UNCOLLECTIBLE = "uncollectible"
    VOID = "void"


class Kept:
    """A record that can be put away, and taken up by a later version that knows more fields."""

    __slots__ = ()

    def __setstate__(self, state: tuple[None, dict[str, Any]]) -> None:
        known = fields(self)  # type: ignore[arg-type] # every heir is a dataclass
        for each in known:
            if each.default is not MISSING:
                setattr(self, each.name, each.default)
            elif each.default_factory is not MISSING:
                setattr(self, each.name, each.default_factory())
        for name, value in state[1].items():
            setattr(self, name, value)


@dataclass(slots=True, kw_only=True, eq=False)
class Customer(Kept):
    """Who is billed. A positive balance is owed by the customer, a negative one is credit."""

    id: str
    created: int
    invoice_prefix: str
    details: Details
    metadata: dict[str, str]
    currency: str | None = None
    balance: int = 0
    next_invoice_sequence: int = 1
    default_payment_method: str | None = None
    discount: Discount | None = None
    deleted: bool = False

    def balance_in(self, currency: str) -> int:
        """The balance that applies to an invoice: it is in the customer's own currency only."""
        return self.balance if self.currency in (None, currency) else 0


@dataclass(slots=True, kw_only=True, eq=False)
class PaymentMethod(Kept):
    """A test card or a test bank account."""

    id: str
    created: int
    kind: str
    card: Card
    brand: str
    last4: str
    metadata: dict[str, str]
    customer: str | None = None
    deleted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class InvoiceItem(Kept):
    """One charge: pending until an invoice takes it, then also that invoice's line `line_id`."""

    id: str
    created: int
    customer: str
    amount: int
    currency: str
    period: tuple[int, int]
    metadata: dict[str, str]
    description: str | None = None
    discountable: bool = True
    invoice: str | None = None
    line_id: str | None = None
    deleted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Invoice(Kept):
    """An invoice and its lines, oldest line first."""

    id: str
    created: int
    customer: str
    currency: str
    collection_method: str
    auto_advance: bool
    due_date: int | None
    details: Details
    metadata: dict[str, str]
    lines: list[InvoiceItem] = field(default_factory=list)
    status: Status = Status.DRAFT
    number: str | None = None
    effective_at: int | None = None
    finalized_at: int | None = None
    paid_at: int | None = None
    voided_at: int | None = None
    marked_uncollectible_at: int | None = None
    billed_to: Details | None = None
    starting_balance: int = 0
    ending_balance: int | None = None
    amount_due: int = 0
    amount_paid: int = 0
    paid_out_of_band: bool = False
    attempted: bool = False
    attempt_count: int = 0
    next_payment_attempt: int | None = None
    payment_clears_at: int | None = None
    discount: Discount | None = None
    deleted: bool = False

    @property
    def subtotal(self) -> int:
        """The sum of the lines, in minor units."""
        return sum(line.amount for line in self.lines)

    @property
    def total(self) -> int:
        """The sum of the lines, less the discount, in minor units."""
        if self.discount is None:
            return self.subtotal
        return self.subtotal - sum(self.discounts().values())

    def discounts(self) -> dict[str, int]:
        """What the discount takes off, in minor units by id of the invoice item."""
        if self.discount is None:
            return {}
        lines = [line for line in self.lines if line.discountable]
        off = self.discount.coupon.off([line.amount for line in lines], self.currency)
        return {line.id: amount for line, amount in zip(lines, off, strict=True)}


@dataclass(slots=True, kw_only=True, eq=False)
class CreditNote(Kept):
    """Money given back on an invoice. `ways` is how: refunded, to the balance, outside of here."""

    id: str
    created: int
    invoice: str
    customer: str
    currency: str
    amount: int
    ways: dict[str, int]
    is_post_payment: bool
    number: str
    memo: str | None
    reason: str | None
    metadata: dict[str, str]
    refund: str | None = None
    deleted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Refund(Kept):
    """Money of a charged invoice, given back, in minor units."""

    id: str
    created: int
    invoice: str
    amount: int
    currency: str
    reason: str | None
    metadata: dict[str, str]
    deleted: bool = False


class DisputeStatus(StrEnum):
    """How far a dispute has come, in Stripe's words."""

    NEEDS_RESPONSE = "needs_response"
    WON = "won"
    LOST = "lost"


@dataclass(slots=True, kw_only=True, eq=False)
class Dispute(Kept):
    """Money of a charged invoice that a bank has taken back, in minor units."""

    id: str
    created: int
    invoice: str
    amount: int
    currency: str
    reason: str
    status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE
    deleted: bool = False


@dataclass(slots=True, kw_only=True, eq=False)
class Event(Kept):
    """Something that happened to an object. `data` is the JSON it was told with, deflated: there
    are many.
    """

    id: str
    created: int
    type: str
    data: bytes
    api_version: str
    request_id: str | None
    idempotency_key: str | None
    object_kind: str = ""
    object_id: str = ""
    pending_webhooks: int = 0
    deleted: bool = False
