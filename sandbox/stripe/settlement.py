"""What is really charged: the customer balance and the smallest charge come in between."""

from dataclasses import dataclass

# Smallest charge in minor units (docs.stripe.com/currencies, "minimum and maximum charge amounts").
SMALLEST_CHARGES = {
    "aud": 50,
    "brl": 50,
    "cad": 50,
    "chf": 50,
    "dkk": 250,
    "eur": 50,
    "gbp": 30,
    "hkd": 400,
    "inr": 50,
    "jpy": 50,
    "mxn": 1000,
    "nok": 300,
    "nzd": 50,
    "pln": 200,
    "sek": 300,
    "sgd": 50,
    "usd": 50,
}


@dataclass(frozen=True, slots=True)
class Settlement:
    """What an invoice asks for, and the customer balance it leaves behind, in minor units."""

    amount_due: int
    ending_balance: int


def settle(total: int, starting_balance: int, currency: str) -> Settlement:
    """Apply the customer balance (positive: owed by the customer, negative: credit) to a total.

    Credit beyond the total stays credit; an amount under the smallest charge is not asked for but
    owed on, and lands on the next invoice (SDK docstring of `Invoice`).
    """
    owed = total + starting_balance
    if owed < max(1, SMALLEST_CHARGES.get(currency, 0)):
        return Settlement(amount_due=0, ending_balance=owed)
    return Settlement(amount_due=owed, ending_balance=0)
