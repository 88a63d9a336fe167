"""What the open period will have cost when it ends: a range, and in words how it was found.

Usage in bursts goes on at the mean of the last whole days, up to seven; what is held (gauges by the
hour) goes on as it stands. A day's cost has the tier its last unit met in it, so the days say what
further usage costs without asking the ladder again; an allowance, a minimum or a tier that ends
later than now is not foreseen. Reductions and the maximum apply as they will on the invoice.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from fractions import Fraction

from billing.rules.aggregation import Aggregation
from billing.rules.invoicing import Draft
from billing.rules.ladders import UsageCharge
from billing.rules.lines import LINE_ORDER, PERIOD_KINDS, DraftLine, LineKind, plain_line
from billing.rules.money import Money
from billing.rules.periods import Period
from billing.rules.rating import StepKind
from billing.rules.reductions import Reductions, reduced

WHOLE_DAYS_MIN = 2
WHOLE_DAYS_MAX = 7
_DAY = timedelta(days=1)
_HOUR = timedelta(hours=1)
_TICK = timedelta(microseconds=1)
_ROOT_SCALE = 10**6


@dataclass(frozen=True, slots=True)
class Trend:
    """How the period has gone so far.

    `days` are what usage in bursts cost each UTC day, oldest first, in exact minor units; `hourly`
    is what everything held costs an hour now; `terms` are what `draft` was reduced by.
    """

    draft: Draft
    terms: Reductions
    days: Sequence[tuple[date, Fraction]]
    hourly: Fraction = Fraction(0)

    def whole_days(self, now: datetime) -> list[Fraction]:
        """The latest days that are over, as many as count."""
        over = [exact for day, exact in self.days if day < now.date()]
        return over[-WHOLE_DAYS_MAX:]


@dataclass(frozen=True, slots=True)
class Forecast:
    """The headline at the period's end: before tax, after reductions. `fixed` is the certain part.

    `method` goes on after "On course for … by 30 November, ".
    """

    low: Money
    expected: Money
    high: Money
    fixed: Money
    method: str

    def not_below(self, accrued: Money) -> "Forecast":
        """The same, where more has accrued since it was made than it had foreseen."""
        low, expected, high = (
            Money(max(bound.minor, accrued.minor), bound.currency)
            for bound in (self.low, self.expected, self.high)
        )
        return replace(self, low=low, expected=expected, high=high)


def forecast_from(period: Period, opened_at: datetime) -> datetime:
    """Before this a period is too young to say anything: 00:00 UTC of its third day."""
    first = max(period.start, opened_at).replace(hour=0, minute=0, second=0, microsecond=0)
    return first + WHOLE_DAYS_MIN * _DAY


def forecast_of(trend: Trend, now: datetime) -> Forecast | None:
    """Where the period is going; None while fewer than two of its days are over."""
    days = trend.whole_days(now)
    if len(days) < WHOLE_DAYS_MIN:
        return None
    left = Fraction(max(trend.draft.period.end - now, timedelta(0)) // _TICK, _DAY // _TICK)
    held = max(Fraction(0), trend.hourly) * left * (_DAY // _HOUR)
    bursts = max(Fraction(0), sum(days, start=Fraction(0)) / len(days)) * left
    band = _band(days, left)
    at_most = _grown(trend, held + bursts + band)
    low = max(
        trend.draft.accrued.minor, _net(_grown(trend, held + max(Fraction(0), bursts - band)))
    )
    expected = max(low, _net(_grown(trend, held + bursts)))
    high = max(expected, _net(at_most))
    fixed = _net([line for line in trend.draft.lines if line.kind is not LineKind.USAGE])
    currency = trend.draft.currency
    return Forecast(
        low=Money(low, currency),
        expected=Money(expected, currency),
        high=Money(high, currency),
        fixed=Money(fixed, currency),
        method=_method(trend, len(days), at_most, Money(fixed, currency)),
    )


def _band(days: Sequence[Fraction], left: Fraction) -> Fraction:
    """One standard deviation of what is to come: of its own days, and of the mean they go by."""
    mean = sum(days, start=Fraction(0)) / len(days)
    variance = sum(((x - mean) ** 2 for x in days), start=Fraction(0)) / (len(days) - 1)
    return _root(variance * (left + left**2 / len(days)))


def _root(square: Fraction) -> Fraction:
    """Downwards to a millionth of a minor unit, by integers."""
    return Fraction(math.isqrt(math.floor(square * _ROOT_SCALE**2)), _ROOT_SCALE)


def _grown(trend: Trend, growth_minor: Fraction) -> Sequence[DraftLine]:
    """The lines with so much more usage, reduced by the rule that will invoice it."""
    draft = trend.draft
    growth = Money.rounded(growth_minor, draft.currency)
    if not growth.minor:
        return draft.lines
    more = plain_line(LineKind.USAGE, "forecast", "More usage", growth, draft.period)
    lines = sorted([*_as_rated(draft), more], key=lambda line: LINE_ORDER[line.kind])
    return reduced(lines, trend.terms, draft.period, draft.currency)


def _as_rated(draft: Draft) -> list[DraftLine]:
    """The lines before anything reduced them; those of reductions and of corrections are gone."""
    return [
        replace(line, reduced_minor=0, granted_minor=0)
        for line in draft.lines
        if line.kind in PERIOD_KINDS or line.kind is LineKind.FEE_IN_ADVANCE
    ]


def _net(lines: Sequence[DraftLine]) -> int:
    return sum(line.net_minor for line in lines if line.kind in PERIOD_KINDS)


def _method(trend: Trend, days: int, at_most: Sequence[DraftLine], fixed: Money) -> str:
    words = f"if the last {days} days continue"
    if trend.hourly > 0:
        words += " and what runs now stays on"
    if any(line.kind is LineKind.CAP_CREDIT and line.key == "cap" for line in at_most):
        words += "; your maximum allows no more"
    return f"{words}; {fixed} of that is fixed" if fixed.minor > 0 else words


def running_rate(charge: UsageCharge, now: datetime) -> Fraction:
    """What a gauge's series cost an hour as they stand, at the price its last unit met.

    In exact minor units; zero for usage that is not counted by the hour, and for a part of the
    period that is over.
    """
    line = charge.line
    if charge.meter.aggregation is not Aggregation.TIME_WEIGHTED or now not in line.span:
        return Fraction(0)
    latest = (source.counted[-1].latest or 0 for source in charge.sources)
    return sum(map(Fraction, latest), start=Fraction(0)) * _marginal_minor(line)


def _marginal_minor(line: DraftLine) -> Fraction:
    """What one more unit costs: nothing inside an allowance, under a minimum, over a maximum."""
    if not line.steps or line.steps[-1].kind in {StepKind.MINIMUM, StepKind.MAXIMUM}:
        return Fraction(0)
    last = line.steps[-1]
    size = Fraction(last.up_to or 1) if last.kind is StepKind.PACKAGE else Fraction(1)
    return Fraction(last.unit_amount) * line.amount.currency.minor_per_major / size
