"""Who causes the costs: one table, by product, app, region or resource."""

import hashlib
from dataclasses import dataclass
from fractions import Fraction

from billing.errors import Invalid
from billing.estimates import CostShare, Estimate
from billing.rules.money import Money, total_of
from web.formats import share

GROUPS = ("app", "product", "region", "resource")
ROWS_SHOWN_MAX = 50
BAR_WIDTH = 100
_NOT_TIED = {
    "app": "Not tied to an app",
    "product": "Not tied to a product",
    "region": "Not tied to a region",
    "resource": "Not tied to a resource",
}


@dataclass(frozen=True, slots=True)
class CostRow:
    """One value's cost. `id` is stable, so a page can be told of this row alone."""

    id: str
    name: str
    is_named: bool
    amount: Money
    share: str
    bar: str


@dataclass(frozen=True, slots=True)
class CostTable:
    """The dearest rows, what the others come to, and the total: the headline's own figure."""

    group: str
    rows: tuple[CostRow, ...]
    total: Money


def chosen_group(text: str | None) -> str:
    """The grouping that an address asks for; by app when it does not say. Raises `Invalid`."""
    if text is None:
        return GROUPS[0]
    if text not in GROUPS:
        raise Invalid(f"Costs are grouped by {', '.join(GROUPS)}.", code="UNKNOWN_GROUP")
    return text


def cost_table(estimate: Estimate, group: str) -> CostTable:
    """Costs by `group`. Thousands of resources become the dearest, and one row for the rest."""
    total = estimate.accrued
    shares = estimate.by_dimension(group)
    shown, rest = shares[:ROWS_SHOWN_MAX], shares[ROWS_SHOWN_MAX:]
    rows = [_row(one, group, total) for one in shown]
    if rest:
        amount = total_of([one.amount for one in rest], total.currency)
        rows.append(_summed(f"{len(rest):,} more", "cost-rest", amount, total))
    return CostTable(group, tuple(rows), total)


def share_name(one: CostShare, group: str) -> str:
    """What a share is called: its own name, or what it is not."""
    return _NOT_TIED[group] if one.value is None else one.value


def _row(one: CostShare, group: str, total: Money) -> CostRow:
    digest = hashlib.sha256((one.value or "").encode()).hexdigest()[:16]
    row_id = "cost-untied" if one.value is None else f"cost-{digest}"
    name = share_name(one, group)
    return CostRow(row_id, name, one.value is not None, one.amount, *_part(one.amount, total))


def _summed(name: str, row_id: str, amount: Money, total: Money) -> CostRow:
    return CostRow(row_id, name, False, amount, *_part(amount, total))


def _part(amount: Money, total: Money) -> tuple[str, str]:
    """The share in words and as a bar."""
    length = Fraction(amount.minor, total.minor) * BAR_WIDTH if total.minor > 0 else Fraction(0)
    return share(amount.minor, total.minor), str(max(round(length), 0))
