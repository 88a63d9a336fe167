"""From lines to an invoice: their order, its total and digest, what it settles by itself."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction

from billing.rules.lines import (
    LINE_ORDER,
    PERIOD_KINDS,
    DraftLine,
    LineKind,
    carried_line,
)
from billing.rules.money import Currency, Money, total_of
from billing.rules.periods import Period
from billing.rules.quantities import plain
from billing.rules.reductions import NOTHING, Reductions, reduced


class Settlement(StrEnum):
    """How an invoice is settled without anybody paying it."""

    NOTHING_DUE = "NOTHING_DUE"
    CREDIT_NOTE = "CREDIT_NOTE"


@dataclass(frozen=True, slots=True)
class Draft:
    """An invoice as it would stand: its lines in order, and what they come to.

    `accrued` is what this period has cost so far, `in_advance` the next period's fees; `total` is
    what would be asked for, after reductions, tax, and what is carried in and out.
    """

    organization_key: str
    period: Period
    currency: Currency
    lines: tuple[DraftLine, ...]

    @property
    def accrued(self) -> Money:
        """Usage, this period's fees and one-off items, with what reduced them; before tax."""
        return Money(
            sum(line.net_minor for line in self.lines if line.kind in PERIOD_KINDS), self.currency
        )

    @property
    def in_advance(self) -> Money:
        """Fees of the period that follows, with what reduced them."""
        kind = LineKind.FEE_IN_ADVANCE
        return Money(sum(x.net_minor for x in self.lines if x.kind is kind), self.currency)

    @property
    def pre_tax(self) -> Money:
        """All before tax: lines, reductions and corrections, without what only pays or moves."""
        last = LINE_ORDER[LineKind.TAX]
        amounts = [
            line.amount
            for line in self.lines
            if line.kind is not LineKind.CARRIED_IN and LINE_ORDER[line.kind] < last
        ]
        return total_of(amounts, self.currency)

    @property
    def total(self) -> Money:
        """The sum of the rounded lines; never rounded itself."""
        return total_of([line.amount for line in self.lines], self.currency)

    @property
    def digest(self) -> str:
        """The same inputs give the same digest, on the page, in GraphQL and on the invoice."""
        return digest_of(self)


def draft_of(
    organization_key: str,
    period: Period,
    currency: Currency,
    lines: Sequence[DraftLine],
    reductions: Reductions = NOTHING,
) -> Draft:
    """Order the lines, reduce and tax them, and settle a total that nobody can be asked for."""
    ordered = sorted(lines, key=lambda line: LINE_ORDER[line.kind])
    found = reduced(ordered, reductions, period, currency)
    draft = Draft(organization_key, period, currency, tuple(found))
    if (settling := _settling(draft)) is not None:
        draft = Draft(organization_key, period, currency, (*draft.lines, settling))
    assert draft.total.minor >= 0, draft.total
    return draft


def _settling(draft: Draft) -> DraftLine | None:
    """Stripe marks less than its smallest charge paid, and cannot ask for less than nothing."""
    total = draft.total
    if total.minor < 0:
        return carried_line(
            LineKind.MOVED_TO_CREDIT, "Moved to credit balance", -total, draft.period
        )
    if 0 < total.minor < draft.currency.smallest_charge_minor:
        return carried_line(LineKind.CARRIED_OUT, "Carried to next invoice", -total, draft.period)
    return None


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


def _digits(quantity: Fraction | None) -> str | None:
    return None if quantity is None else plain(quantity)
