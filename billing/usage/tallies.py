"""One series counted reading by reading: what every aggregation may need. Pure."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime, timedelta
from decimal import Context, Decimal, Inexact
from fractions import Fraction

from billing.rules.aggregation import Counted

_EXACT = Context(prec=100, traps=[Inexact])
"""A sum of many quantities has more digits than Python's own context keeps."""

_MICROSECOND = timedelta(microseconds=1)
_MICROSECONDS_PER_HOUR = 3_600_000_000


class Tally:
    """What one series counts in each stretch between two cuts.

    Held readings must come in order of time, ties by source and id; others in any.
    """

    def __init__(self, cuts: Sequence[datetime], upto: datetime, *, is_held: bool) -> None:
        self.is_held = is_held
        self._cuts = cuts
        self._upto = upto
        self._counts: defaultdict[int, int] = defaultdict(int)
        self._totals: defaultdict[int, Decimal] = defaultdict(Decimal)
        self._highest: defaultdict[int, Decimal] = defaultdict(Decimal)
        self._labels: defaultdict[int, set[int]] = defaultdict(set)
        self._ends_with: dict[int, Decimal] = {}
        self._weighted: defaultdict[int, Fraction] = defaultdict(Fraction)
        self._before: Decimal | None = None
        self._value: Decimal | None = None
        self._since = cuts[0]

    def start(self, value: Decimal) -> None:
        """What the series holds at the first cut."""
        self._before = self._value = value

    def add(self, at: datetime, quantity: Decimal, label: int | None) -> None:
        """One more reading, between the first and the last cut."""
        number = bisect_right(self._cuts, at) - 1
        self._counts[number] += 1
        self._totals[number] = _EXACT.add(self._totals[number], quantity)
        self._highest[number] = max(self._highest[number], quantity)
        if label is not None:
            self._labels[number].add(label)
        if self.is_held:
            self._hold(at)
            self._value = self._ends_with[number] = quantity

    def counted(self) -> dict[int, Counted]:
        """By stretch. A held series is in every one from its first reading on."""
        self._hold(self._upto)
        counted: dict[int, Counted] = {}
        latest = self._before
        for number in range(len(self._cuts) - 1):
            latest = self._ends_with.get(number, latest)
            if self._counts[number] or latest is not None:
                counted[number] = Counted(
                    self._counts[number],
                    self._totals[number],
                    self._highest[number],
                    latest,
                    self._weighted[number],
                    frozenset(self._labels[number]),
                )
        return counted

    def _hold(self, until: datetime) -> None:
        """Integrate the value held so far to an instant, which may be past already."""
        if self._value is not None:
            number = bisect_right(self._cuts, self._since) - 1
            while self._since < min(until, self._cuts[-1]):
                end = min(until, self._cuts[number + 1])
                microseconds = (end - self._since) // _MICROSECOND
                self._weighted[number] += Fraction(self._value) * Fraction(
                    microseconds, _MICROSECONDS_PER_HOUR
                )
                self._since = end
                number += 1
        self._since = max(self._since, until)
