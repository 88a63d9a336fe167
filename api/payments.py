"""How the payment of an invoice stands, by Stripe's word: facts beside its status."""

from datetime import datetime
from typing import Self

import strawberry

from api.money import Money
from billing import models
from billing.rules import money


@strawberry.type(description="Stripe's word on the money of an invoice, when last asked.")
class PaymentFacts:
    """None of it changes what is owed, nor the status."""

    paid: Money = strawberry.field(description="What was paid, by whatever way.")
    paid_by_another_way: Money = strawberry.field(
        description="Of it what never passed through Stripe."
    )
    credited: Money = strawberry.field(description="By Stripe's credit notes, ours and others'.")
    refunded: Money = strawberry.field(description="What went back; the invoice stays paid.")
    disputed: Money = strawberry.field(description="What is disputed or was lost to a dispute.")
    dispute_status: str | None = strawberry.field(
        description="Stripe's word on the latest dispute; null without one."
    )
    fetched_at: datetime = strawberry.field(description="When Stripe was last asked.")

    @classmethod
    def of(cls, row: models.PaymentFacts, invoice: models.Invoice) -> Self:
        """A row, shown in the invoice's currency."""

        def amount(minor: int) -> Money:
            return Money.of(money.Money(minor, invoice.currency))

        return cls(
            paid=amount(row.amount_paid_minor),
            paid_by_another_way=amount(row.paid_off_stripe_minor),
            credited=amount(row.credited_before_minor + row.credited_after_minor),
            refunded=amount(row.refunded_minor),
            disputed=amount(row.disputed_minor),
            dispute_status=row.dispute_status,
            fetched_at=row.fetched_at,
        )
