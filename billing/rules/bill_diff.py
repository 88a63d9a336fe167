"""What changed between two bills: movements that sum exactly to the difference, and their words.

Usage is compared product by product, so that another plan's price is a price change. First what
only one of the bills has a resource for: new and gone. What is left is volume, at the old effective
price, and the rest of it price. Where both bills used the same price versions no price changed: a
tier or an allowance that the volume reached is volume too. Lines are compared before reductions,
which move by themselves; so do fees, one-off items, corrections, tax and what is carried.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from fractions import Fraction

from billing.rules.allocation import allocate
from billing.rules.lines import DraftLine, LineKind
from billing.rules.money import Currency, Money, total_of
from billing.rules.periods import Period

SPOKEN_MAX = 3
"""How many movements a sentence names; the others are one more in it, so that it sums up too."""


class MovementKind(StrEnum):
    """Why a bill moved."""

    NEW = "NEW"
    GONE = "GONE"
    VOLUME = "VOLUME"
    PRICE = "PRICE"
    FEE = "FEE"
    ONE_OFF = "ONE_OFF"
    REDUCTION = "REDUCTION"
    CORRECTION = "CORRECTION"
    TAX = "TAX"
    CARRIED = "CARRIED"


_ORDER = {kind: place for place, kind in enumerate(MovementKind)}

_KINDS = {
    LineKind.FEE: MovementKind.FEE,
    LineKind.UNUSED_FEE: MovementKind.FEE,
    LineKind.FEE_IN_ADVANCE: MovementKind.FEE,
    LineKind.ONE_OFF: MovementKind.ONE_OFF,
    LineKind.COUPON: MovementKind.REDUCTION,
    LineKind.CAP_CREDIT: MovementKind.REDUCTION,
    LineKind.PROMOTIONAL_CREDIT: MovementKind.REDUCTION,
    LineKind.PREPAID_CREDIT: MovementKind.REDUCTION,
    LineKind.CREDIT_BALANCE: MovementKind.REDUCTION,
    LineKind.TRUE_UP: MovementKind.CORRECTION,
    LineKind.TAX: MovementKind.TAX,
    LineKind.CARRIED_IN: MovementKind.CARRIED,
    LineKind.CARRIED_OUT: MovementKind.CARRIED,
    LineKind.MOVED_TO_CREDIT: MovementKind.CARRIED,
}

_TOGETHER = {
    MovementKind.ONE_OFF: "one-off items",
    MovementKind.CORRECTION: "corrections of earlier invoices",
    MovementKind.CARRIED: "carried between invoices",
}
"""Kinds whose lines are named differently each time: they move as one."""


@dataclass(frozen=True, slots=True, order=True)
class Resource:
    """Something that is used: its name, and where it runs if that is known."""

    name: str
    place: str = ""

    def __str__(self) -> str:
        return f"{self.name} ({self.place})" if self.place else self.name


@dataclass(frozen=True, slots=True)
class BillLine:
    """A line, and what each resource used of it; None is what is tied to no resource."""

    line: DraftLine
    used: Sequence[tuple[Resource | None, Fraction]] = ()


@dataclass(frozen=True, slots=True)
class Bill:
    """Everything on one invoice or estimate, or the part of each that is compared."""

    currency: Currency
    lines: Sequence[BillLine]

    @property
    def total(self) -> Money:
        """The sum of its lines."""
        return total_of([one.line.amount for one in self.lines], self.currency)


@dataclass(frozen=True, slots=True)
class Movement:
    """One reason for the difference, and its part of it. `product` is what it is about."""

    kind: MovementKind
    product: str
    resource: Resource | None
    amount: Money

    @property
    def words(self) -> str:
        """Such as "+$30.00 new web-3 (fra): Machine time"."""
        return f"{signed(self.amount)} {self._what}"

    @property
    def _what(self) -> str:
        match self.kind:
            case MovementKind.NEW:
                return f"new {self.resource}: {self.product}"
            case MovementKind.GONE:
                return f"gone {self.resource}: {self.product}"
            case MovementKind.VOLUME:
                return f"{self.product} volume"
            case MovementKind.PRICE:
                return f"{self.product} price change"
            case _:
                return self.product


@dataclass(frozen=True, slots=True)
class BillDiff:
    """Two totals, and why they differ: the biggest movement first."""

    before: Money
    after: Money
    movements: tuple[Movement, ...]

    @property
    def difference(self) -> Money:
        """The sum of the movements."""
        return self.after + -self.before

    def words(self, than: str) -> str:
        """Such as "Up $41.20 on October: +$30.00 new web-3 (fra): Machine time, …"."""
        reasons = self.reasons(SPOKEN_MAX)
        return f"{self.headline(than)}{': ' if reasons else ''}{', '.join(reasons)}."

    def headline(self, than: str) -> str:
        """Such as "Up $41.20 on October"."""
        if minor := self.difference.minor:
            change = Money(abs(minor), self.after.currency)
            return f"{'Up' if minor > 0 else 'Down'} {change} on {than}"
        return f"The same as {than}{' in sum' if self.movements else ''}"

    def reasons(self, named_max: int) -> list[str]:
        """The biggest movements in words, and in one more the sum of those that are not named."""
        rest = self.movements[named_max:]
        if len(rest) < 2:
            return [one.words for one in self.movements]
        amount = total_of([one.amount for one in rest], self.after.currency)
        named = [one.words for one in self.movements[:named_max]]
        return [*named, f"{signed(amount)} in {len(rest)} smaller changes"]


def diff_of(before: Bill, after: Bill) -> BillDiff:
    """Why `after` comes to something else than `before`. Both are of one currency."""
    found = [*_usage_movements(before, after), *_other_movements(before, after)]
    moved = [one for one in found if one.amount.minor]
    moved.sort(key=lambda one: (-abs(one.amount.minor), _ORDER[one.kind], one.words))
    diff = BillDiff(before.total, after.total, tuple(moved))
    assert total_of([x.amount for x in moved], after.currency) == diff.difference, diff
    return diff


def signed(amount: Money) -> str:
    """With a plus when it is more."""
    return f"+{amount}" if amount.minor > 0 else str(amount)


def spoken(period: Period) -> str:
    """What a period is called in a sentence: "October", or "the month from 15 October"."""
    start = period.start
    return f"{start:%B}" if start.day == 1 else f"the month from {start.day} {start:%B}"


@dataclass(frozen=True, slots=True)
class _Use:
    """What was used, and what it came to."""

    quantity: Fraction = Fraction(0)
    minor: int = 0

    def __add__(self, other: "_Use") -> "_Use":
        return _Use(self.quantity + other.quantity, self.minor + other.minor)


@dataclass(frozen=True, slots=True)
class _Product:
    """One product's usage on one bill, by resource, and the price versions it was rated by."""

    versions: set[str] = field(default_factory=set)
    uses: defaultdict[Resource | None, _Use] = field(default_factory=lambda: defaultdict(_Use))

    def alone(self, other: "_Product") -> list[Resource]:
        """The resources that only this bill has."""
        return [x for x in self.uses if x is not None and x not in other.uses]

    def shared(self, other: "_Product") -> _Use:
        """What both bills have, and what is tied to no resource."""
        kept = (use for x, use in self.uses.items() if x is None or x in other.uses)
        return sum(kept, start=_Use())


def _products(bill: Bill) -> dict[str, _Product]:
    products: defaultdict[str, _Product] = defaultdict(_Product)
    for one in bill.lines:
        if one.line.kind is LineKind.USAGE:
            product = products[one.line.product or one.line.description]
            product.versions.add(one.line.key)
            for resource, use in _shares(one):
                product.uses[resource] += use
    return products


def _shares(one: BillLine) -> Iterator[tuple[Resource | None, _Use]]:
    """The line's amount over its resources by what each used, to the minor unit."""
    used = list(one.used) or [(None, one.line.quantity or Fraction(0))]
    amount = one.line.amount
    parts = allocate(amount.minor, [quantity for _, quantity in used], amount.currency.step)
    for (resource, quantity), minor in zip(used, parts, strict=True):
        yield resource, _Use(quantity, minor)


def _usage_movements(before: Bill, after: Bill) -> Iterator[Movement]:
    olds, news = _products(before), _products(after)
    for name in [*olds, *(name for name in news if name not in olds)]:
        old, new = olds.get(name, _Product()), news.get(name, _Product())
        for resource in new.alone(old):
            amount = Money(new.uses[resource].minor, after.currency)
            yield Movement(MovementKind.NEW, name, resource, amount)
        for resource in old.alone(new):
            amount = Money(-old.uses[resource].minor, after.currency)
            yield Movement(MovementKind.GONE, name, resource, amount)
        volume, price = _volume_and_price(old, new, after.currency)
        yield Movement(MovementKind.VOLUME, name, None, volume)
        yield Movement(MovementKind.PRICE, name, None, price)


def _volume_and_price(old: _Product, new: _Product, currency: Currency) -> tuple[Money, Money]:
    """The change of what both bills have. Rounded once; the price is what the volume leaves."""
    was, now = old.shared(new), new.shared(old)
    change = Money(now.minor - was.minor, currency)
    if old.versions == new.versions or (not was.quantity and now.quantity):
        return change, Money(0, currency)
    if not was.quantity:
        return Money(0, currency), change
    at_old_price = (now.quantity - was.quantity) * Fraction(was.minor) / was.quantity
    volume = Money.rounded(at_old_price, currency)
    return volume, change + -volume


def _other_movements(before: Bill, after: Bill) -> Iterator[Movement]:
    sums: defaultdict[tuple[MovementKind, str], int] = defaultdict(int)
    for bill, sign in ((before, -1), (after, 1)):
        for one in bill.lines:
            if kind := _KINDS.get(one.line.kind):
                name = _TOGETHER.get(kind, one.line.description)
                sums[kind, name] += sign * one.line.amount.minor
    for (kind, name), minor in sums.items():
        yield Movement(kind, name, None, Money(minor, after.currency))
