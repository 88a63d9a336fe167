"""From charges to an invoice's lines, total and digest; settlement of small and zero totals."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from fractions import Fraction

from billing.rules.money import Currency, Money, total_of
from billing.rules.periods import Period
from billing.rules.quantities import plain
from billing.rules.rating import Rated, Step


class LineKind(StrEnum):
    """What a line is for. The order is the order of lines on an invoice."""

    CARRIED_IN = "CARRIED_IN"
    USAGE = "USAGE"
    FEE = "FEE"
    ONE_OFF = "ONE_OFF"
    FEE_IN_ADVANCE = "FEE_IN_ADVANCE"
    CARRIED_OUT = "CARRIED_OUT"


LINE_ORDER = {kind: position for position, kind in enumerate(LineKind)}


class Settlement(StrEnum):
    """How an invoice is settled without anybody paying it."""

    NOTHING_DUE = "NOTHING_DUE"


@dataclass(frozen=True, slots=True)
class DraftLine:
    """One line of an invoice, rated and rounded, not yet stored.

    `key` names what it is for publicly and stably (a price version, or a one-off's own key);
    `segment` numbers the parts of a split period from 0. `span` is the time it is for.
    """

    kind: LineKind
    key: str
    description: str
    span: Period
    amount: Money
    exact_minor: Fraction
    segment: int = 0
    quantity: Decimal | None = None
    unit: str | None = None
    steps: tuple[Step, ...] = ()
    product: str | None = None


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice as it would stand: its lines in order, and what they come to.

    `accrued` is what this period has cost so far, `in_advance` the next period's fees; `total` is
    what would be asked for, after what is carried in and out.
    """

    organization_key: str
    period: Period
    currency: Currency
    lines: tuple[DraftLine, ...]

    @property
    def accrued(self) -> Money:
        """Usage, this period's fees and one-off items."""
        return self._sum(LineKind.USAGE, LineKind.FEE, LineKind.ONE_OFF)

    @property
    def in_advance(self) -> Money:
        """Fees of the period that follows."""
        return self._sum(LineKind.FEE_IN_ADVANCE)

    @property
    def total(self) -> Money:
        """The sum of the rounded lines; never rounded itself."""
        return total_of([line.amount for line in self.lines], self.currency)

    @property
    def digest(self) -> str:
        """The same inputs give the same digest, on the page, in GraphQL and on the invoice."""
        return digest_of(self)

    def _sum(self, *kinds: LineKind) -> Money:
        return total_of([x.amount for x in self.lines if x.kind in kinds], self.currency)


def draft_of(
    organization_key: str, period: Period, currency: Currency, lines: Sequence[DraftLine]
) -> Draft:
    """Order the lines, and settle a total below the currency's smallest charge by carrying it."""
    ordered = sorted(lines, key=lambda line: LINE_ORDER[line.kind])
    draft = Draft(organization_key, period, currency, tuple(ordered))
    if 0 < draft.total.minor < currency.smallest_charge_minor:
        carried = carried_line(
            LineKind.CARRIED_OUT, "Carried to next invoice", -draft.total, period
        )
        draft = Draft(organization_key, period, currency, (*draft.lines, carried))
    assert draft.total.minor >= 0, "nothing negative is sold, and a carry is at most the total"
    return draft


def carried_line(kind: LineKind, description: str, amount: Money, period: Period) -> DraftLine:
    """An amount moved between invoices: out of one, negative, and into the next, positive."""
    return DraftLine(
        kind=kind,
        key=kind.value.lower(),
        description=description,
        span=period,
        amount=amount,
        exact_minor=Fraction(amount.minor),
    )


def one_off_line(key: str, description: str, amount: Money, incurred_at: datetime) -> DraftLine:
    """An item sold once, on the hour it was incurred in."""
    hour = Period.of_hour(incurred_at)
    return DraftLine(
        kind=LineKind.ONE_OFF,
        key=key,
        description=description,
        span=hour,
        amount=amount,
        exact_minor=Fraction(amount.minor),
        quantity=Decimal(1),
    )


def rated_line(
    kind: LineKind, rated: Rated, *, description: str, segment: int, unit: str | None, product: str
) -> DraftLine:
    """A rated segment as a line."""
    return DraftLine(
        kind=kind,
        key=rated.segment.price_version,
        description=description,
        span=rated.segment.span,
        amount=rated.amount,
        exact_minor=rated.exact_minor,
        segment=segment,
        quantity=rated.quantity,
        unit=unit,
        steps=rated.steps,
        product=product,
    )


def digest_of(draft: Draft) -> str:
    """SHA-256 of canonical JSON: no clock, no row ids, no zero lines."""
    body = {
        "organization": draft.organization_key,
        "period": [draft.period.start.isoformat(), draft.period.end.isoformat()],
        "currency": draft.currency,
        "lines": [
            [line.key, line.segment, _digits(line.quantity), line.amount.minor]
            for line in draft.lines
            if line.amount.minor
        ],
    }
    text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _digits(quantity: Decimal | None) -> str | None:
    return None if quantity is None else plain(quantity)
