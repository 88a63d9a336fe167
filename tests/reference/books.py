"""What was issued so far, and what it leaves for later invoices."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal

from tests.reference.charges import Charge
from tests.reference.periods import Period
from tests.reference.reductions import Cap, Elsewhere, cap_at_start
from tests.reference.world import Coupon, World

EntryKind = Literal["LINE", "TRUE_UP", "CUT"]


@dataclass(frozen=True)
class Entry:
    """What an invoice asks for a period: a line, a true-up, or (CUT) what its cap took off.

    `on` is the index of the period whose own invoice it is on, None off the cycle.
    """

    of: int
    on: int | None
    kind: EntryKind
    name: str
    net: int


@dataclass
class Closed:
    """What a true-up needs to know of a period that was billed: all but its usage.

    `cuts` are what each period's cap took off the lines of its invoice.
    """

    period: Period
    beside_usage: list[Charge]
    coupons: list[Coupon]
    cuts: dict[int, int]


@dataclass
class Books:
    """Everything issued so far; `is_behind` while a period that has ended is not closed yet.

    What is carried, true-ups and earlier one-offs then wait for that one's invoice.
    """

    is_behind: bool = False
    entries: list[Entry] = field(default_factory=list)
    advance: list[Charge] = field(default_factory=list)
    one_offs: set[str] = field(default_factory=set)
    coupon_uses: dict[str, int] = field(default_factory=dict)
    grants: dict[str, int] = field(default_factory=dict)
    caps: dict[int, Cap] = field(default_factory=dict)
    closed: list[Closed] = field(default_factory=list)
    credit_balance: int = 0
    carry: int = 0

    def elsewhere(self, of: int, own: int, true_ups: int = 0) -> Elsewhere:
        """What a period has on all invoices but that of the period `own`, and there in true-ups.

        True-ups of a period are no part of it where the period itself is computed: they are what
        comes out of that.
        """
        others = [entry for entry in self.entries if entry.of == of and entry.on != own]
        counted = ("LINE",) if of == own else ("LINE", "TRUE_UP")
        billed = sum(entry.net for entry in others if entry.kind in counted)
        cut = sum(entry.net for entry in others if entry.kind == "CUT")
        return Elsewhere(billed + true_ups, cut)


def cap_of(world: World, books: Books, period: Period) -> Cap:
    """The period's cap as changes have left it."""
    return books.caps.get(period.index) or cap_at_start(world.caps, period)


def coupons_for(world: World, books: Books, now: datetime) -> list[Coupon]:
    """Coupons that exist and have invoices left."""
    return [
        coupon
        for coupon in world.coupons
        if coupon.created_at <= now
        and (coupon.ended_at is None or coupon.ended_at > now)
        and (coupon.invoices is None or books.coupon_uses.get(coupon.name, 0) < coupon.invoices)
    ]
