"""Money as the API shows it."""

from decimal import Decimal
from typing import Self

import strawberry

from api.scalars import CurrencyCode
from billing.rules import money


@strawberry.type(description="An exact amount of one currency, in major units: 12.34 USD.")
class Money:
    """Rounded to the currency's minor unit; unrounded amounts are plain `Decimal`s."""

    amount: Decimal = strawberry.field(description="Major units, with the currency's decimals.")
    currency: CurrencyCode = strawberry.field(description="What the amount is of.")

    @classmethod
    def of(cls, value: money.Money) -> Self:
        """The domain's money, shown."""
        return cls(amount=value.major, currency=CurrencyCode(value.currency))
