"""What Stripe says of the money of an invoice, and what it must be told of a customer."""

from datetime import datetime

from sqlalchemy import ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from billing.ids import InvoiceId, OrgId
from billing.models.base import Base


class PaymentFacts(Base):
    """Facts beside an invoice's status, as last fetched from Stripe: none of it is money of ours.

    `paid_off_stripe_minor` is the part of `amount_paid_minor` that never passed through Stripe.
    Credit notes are Stripe's own sums, before and after payment; `refunded_minor` are refunds that
    were not undone; a dispute is `disputed_minor` while it is open or lost. `balance_minor` is what
    the customer's balance at Stripe changed of this invoice: we never use it, so it is 0.
    """

    __tablename__ = "payment_facts"

    invoice_id: Mapped[InvoiceId] = mapped_column(ForeignKey("invoices.id"), primary_key=True)
    amount_paid_minor: Mapped[int] = mapped_column(default=0)
    paid_off_stripe_minor: Mapped[int] = mapped_column(default=0)
    credited_before_minor: Mapped[int] = mapped_column(default=0)
    credited_after_minor: Mapped[int] = mapped_column(default=0)
    refunded_minor: Mapped[int] = mapped_column(default=0)
    disputed_minor: Mapped[int] = mapped_column(default=0)
    dispute_status: Mapped[str | None]
    balance_minor: Mapped[int] = mapped_column(default=0)
    fetched_at: Mapped[datetime]


class CustomerUpdate(Base):
    """That an organization's name or address changed, and how far Stripe knows.

    `revision` grows with every change; Stripe has been told of `pushed_revision`. Due while they
    differ and Stripe has a customer.
    """

    __tablename__ = "customer_updates"
    __table_args__ = (
        Index(
            "ix_customer_updates_due",
            "next_attempt_at",
            postgresql_where=text("revision > pushed_revision"),
        ),
    )

    org_id: Mapped[OrgId] = mapped_column(ForeignKey("organizations.id"), primary_key=True)
    revision: Mapped[int]
    pushed_revision: Mapped[int] = mapped_column(default=0)
    attempts: Mapped[int] = mapped_column(default=0)
    next_attempt_at: Mapped[datetime]
    error_code: Mapped[str | None]
    error_message: Mapped[str | None]
