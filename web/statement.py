"""An invoice's lines as people read them: in sections, each with what it comes to."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from billing.rules.lines import LINE_ORDER, DraftLine, LineKind
from billing.rules.money import Currency, Money, total_of

_TITLES = {
    LineKind.CARRIED_IN: "Carried from before",
    LineKind.USAGE: "Usage",
    LineKind.FEE: "Fees",
    LineKind.ONE_OFF: "One-off items",
    LineKind.UNUSED_FEE: "Unused fees",
    LineKind.FEE_IN_ADVANCE: "Next period, in advance",
    LineKind.COUPON: "Coupons",
    LineKind.CAP_CREDIT: "Above your maximum",
    LineKind.TRUE_UP: "Corrections of earlier invoices",
    LineKind.PROMOTIONAL_CREDIT: "Promotional credit",
    LineKind.TAX: "Tax",
    LineKind.PREPAID_CREDIT: "Prepaid credit",
    LineKind.CREDIT_BALANCE: "Credit balance",
    LineKind.CARRIED_OUT: "Carried onward",
    LineKind.MOVED_TO_CREDIT: "Moved to credit balance",
}


@dataclass(frozen=True, slots=True)
class Section:
    """The lines of one kind, and their sum before and after the lines' rounding."""

    kind: LineKind
    title: str
    lines: tuple[DraftLine, ...]
    subtotal: Money
    exact_minor: Fraction


def section(lines: Sequence[DraftLine], kind: LineKind, currency: Currency) -> Section:
    """The lines of `kind` among `lines`; none make an empty section of zero."""
    own = tuple(line for line in lines if line.kind is kind)
    return Section(
        kind,
        _TITLES[kind],
        own,
        total_of([line.amount for line in own], currency),
        sum((line.exact_minor for line in own), start=Fraction(0)),
    )


def sections(lines: Sequence[DraftLine], currency: Currency) -> list[Section]:
    """All that have lines, in the order of an invoice."""
    every = [section(lines, kind, currency) for kind in LINE_ORDER]
    return [one for one in every if one.lines]
