"""The lines of an invoice: what each is for, in which order they stand, and how they are made."""

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rules.aggregation import MeterTerms
from billing.rules.money import Money
from billing.rules.periods import Period
from billing.rules.rating import Rated, Step


class LineKind(StrEnum):
    """What a line is for. The order is that of lines on an invoice, and of product.md §4."""

    CARRIED_IN = "CARRIED_IN"
    USAGE = "USAGE"
    FEE = "FEE"
    ONE_OFF = "ONE_OFF"
    UNUSED_FEE = "UNUSED_FEE"
    FEE_IN_ADVANCE = "FEE_IN_ADVANCE"
    COUPON = "COUPON"
    CAP_CREDIT = "CAP_CREDIT"
    TRUE_UP = "TRUE_UP"
    PROMOTIONAL_CREDIT = "PROMOTIONAL_CREDIT"
    TAX = "TAX"
    PREPAID_CREDIT = "PREPAID_CREDIT"
    CREDIT_BALANCE = "CREDIT_BALANCE"
    CARRIED_OUT = "CARRIED_OUT"
    MOVED_TO_CREDIT = "MOVED_TO_CREDIT"


FEES = "Fees"
"""The product that fees are grouped under."""

LINE_ORDER = {kind: position for position, kind in enumerate(LineKind)}

PERIOD_KINDS = frozenset({LineKind.USAGE, LineKind.FEE, LineKind.ONE_OFF, LineKind.UNUSED_FEE})
"""What a period itself costs: what its maximum is held against."""


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One line of an invoice, rated and rounded, not yet stored.

    `key` names what it is for publicly and stably (a price version, or a one-off's own key);
    `segment` numbers the parts of a split period from 0. `span` is the time it is for, `meter` the
    slug of what was counted. `reduced_minor` is the part of it that coupons and the cap took,
    `granted_minor` what promotional grants did. `corrects` is the number of the invoice that a
    true-up is about.
    """

    kind: LineKind
    key: str
    description: str
    span: Period
    amount: Money
    exact_minor: Fraction
    segment: int = 0
    quantity: Fraction | None = None
    unit: str | None = None
    steps: tuple[Step, ...] = ()
    product: str | None = None
    meter: str | None = None
    reduced_minor: int = 0
    granted_minor: int = 0
    corrects: str | None = None

    @property
    def net_minor(self) -> int:
        """What is left of it to be paid, before tax."""
        return self.amount.minor - self.reduced_minor - self.granted_minor

    @property
    def price(self) -> str:
        """The price its version is of: `pro/egress/USD` of `pro/egress/USD@2`."""
        return price_of(self.key)


def price_of(version: str) -> str:
    """The price that a version's public name is of."""
    return version.rpartition("@")[0] or version


def corrected_number(key: str) -> str:
    """The number of the invoice that a true-up's key names: `pro/egress/USD~ACME-0001`."""
    return key.rpartition("~")[2]


def plain_line(
    kind: LineKind, key: str, description: str, amount: Money, span: Period
) -> DraftLine:
    """A line without arithmetic of its own: a reduction, or an amount moved between invoices."""
    return DraftLine(
        kind=kind,
        key=key,
        description=description,
        span=span,
        amount=amount,
        exact_minor=Fraction(amount.minor),
    )


def carried_line(kind: LineKind, description: str, amount: Money, period: Period) -> DraftLine:
    """An amount moved between invoices: out of one, negative, and into the next, positive."""
    return plain_line(kind, kind.value.lower(), description, amount, period)


def one_off_line(key: str, description: str, amount: Money, incurred_at: datetime) -> DraftLine:
    """An item sold once, on the hour it was incurred in."""
    return DraftLine(
        kind=LineKind.ONE_OFF,
        key=key,
        description=description,
        span=Period.of_hour(incurred_at),
        amount=amount,
        exact_minor=Fraction(amount.minor),
        quantity=Fraction(1),
    )


def rated_line(
    kind: LineKind,
    rated: Rated,
    *,
    description: str,
    segment: int = 0,
    meter: MeterTerms | None = None,
) -> DraftLine:
    """A rated segment as a line: of a meter's usage, or of a fee."""
    return DraftLine(
        kind=kind,
        key=rated.segment.price_version,
        description=description,
        span=rated.segment.span,
        amount=rated.amount,
        exact_minor=rated.exact_minor,
        segment=segment,
        quantity=rated.quantity,
        unit=meter.unit if meter else None,
        steps=rated.steps,
        product=meter.name if meter else FEES,
        meter=meter.slug if meter else None,
    )


def quantity_of(stored: Decimal | None) -> Fraction | None:
    """A stored quantity as lines have it."""
    return None if stored is None else Fraction(stored)
