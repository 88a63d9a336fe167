"""The maximum bill: what of a period may be asked for, on whichever invoices it lands."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.rules.lines import PERIOD_KINDS, DraftLine, LineKind
from billing.rules.periods import Period

CAPPED_KINDS = PERIOD_KINDS | {LineKind.FEE_IN_ADVANCE}
"""What a maximum is held against, when it is of the line's own period."""


@dataclass(frozen=True, slots=True)
class CapTerms:
    """A maximum for one period, as it was asked for (None: no longer one).

    `forgiven_minor` is what earlier maxima of that period have forgiven, and `floor_minor` what
    was billable when this one was set: in that period it never goes under it.
    """

    amount_minor: int | None
    forgiven_minor: int = 0
    floor_minor: int = 0

    @property
    def effective_minor(self) -> int | None:
        """What holds in this period: a maximum set too late to be kept holds from the next on."""
        return None if self.amount_minor is None else max(self.amount_minor, self.floor_minor)

    def billable(self, gross_minor: int) -> int:
        """What of a period's gross may be asked for."""
        rest = max(0, gross_minor - self.forgiven_minor)
        most = self.effective_minor
        return rest if most is None else min(rest, most)

    def changed(self, wanted_minor: int | None, gross_minor: int) -> "CapTerms":
        """Another maximum from now on: what is forgiven stays so, and what is billable too."""
        billable = self.billable(gross_minor)
        floor = 0 if wanted_minor is None else billable
        return CapTerms(wanted_minor, max(self.forgiven_minor, gross_minor - billable), floor)


UNCAPPED = CapTerms(None)


@dataclass(frozen=True, slots=True)
class CapStanding:
    """How far a period is towards its maximum: what counts of it, and what is forgiven.

    Before tax, grants and credit, after coupons; `amount_minor` None: there is no maximum.
    """

    amount_minor: int | None
    used_minor: int
    forgiven_minor: int

    @property
    def gross_minor(self) -> int:
        """What the period would cost without any maximum."""
        return self.used_minor + self.forgiven_minor

    @property
    def remaining_minor(self) -> int | None:
        """What may still be added before usage is free."""
        return None if self.amount_minor is None else max(0, self.amount_minor - self.used_minor)


@dataclass(frozen=True, slots=True)
class PeriodCap:
    """The maximum of one period, and what other invoices have of that period.

    They ask for `billed_minor` of it, and the maximum has taken `cut_minor` off them.
    """

    period: Period
    terms: CapTerms
    billed_minor: int = 0
    cut_minor: int = 0

    def is_of(self, line: DraftLine) -> bool:
        """Whether the line is part of what the period costs, on whichever invoice it lands."""
        return line.kind in CAPPED_KINDS and line.span.start in self.period

    def over(self, new_minor: int) -> int:
        """What of an invoice's own lines is above the maximum; never more than they come to."""
        gross = self.billed_minor + self.cut_minor + new_minor
        room = self.terms.billable(gross) - self.billed_minor
        return max(0, new_minor - max(0, room))

    def standing(self, lines: Sequence[DraftLine]) -> CapStanding:
        """How far the period is, with an invoice's reduced lines."""
        used = sum(x.amount.minor - x.reduced_minor for x in lines if self.is_of(x))
        cut = -sum(
            x.amount.minor for x in lines if x.kind is LineKind.CAP_CREDIT and x.span == self.period
        )
        return CapStanding(
            self.terms.effective_minor, self.billed_minor + used, self.cut_minor + cut
        )
