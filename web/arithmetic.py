"""How a line came to its amount, in words a person can follow with a pocket calculator."""

from collections.abc import Sequence
from fractions import Fraction

from billing.rules.lines import DraftLine
from billing.rules.money import MINUS, Currency
from billing.rules.rating import Step, StepKind
from web.formats import money, quantity, unit_price, work


def sentences(line: DraftLine) -> list[str]:
    """One sentence for what is counted, one for what it costs; none when there is nothing to say.

    412.6 GB − 100 GB included = 312.6 GB
    first 250 GB × $0.02 = $5.00 + next 62.6 GB × $0.015 = $0.939 → $5.939, rounded to $5.94
    """
    told = [_counting(line, step) for step in line.steps if step.kind is StepKind.ALLOWANCE]
    if paid := [step for step in line.steps if step.kind is not StepKind.ALLOWANCE]:
        told.append(_pricing(line, paid))
    return told


def _counting(line: DraftLine, allowance: Step) -> str:
    counted = Fraction(line.quantity or 0)
    left = counted - allowance.quantity
    if not left:
        return f"{quantity(counted, line.unit)}, all of it included"
    return (
        f"{quantity(counted, line.unit)} − {quantity(allowance.quantity, line.unit)} included"
        f" = {quantity(left, line.unit)}"
    )


def _pricing(line: DraftLine, steps: Sequence[Step]) -> str:
    currency = line.amount.currency
    is_ladder = sum(step.kind is StepKind.TIER for step in steps) > 1
    parts, place = [], "first "
    for step in steps:
        parts.append(_part(step, line.unit, place if is_ladder else "", currency))
        if step.kind is StepKind.TIER:
            place = "next "
    told = _joined(parts)
    if len(steps) > 1:
        told += f" → {work(line.exact_minor, currency)}"
    if line.exact_minor != line.amount.minor:
        told += f", rounded to {money(line.amount)}"
    return told


def _joined(parts: Sequence[str]) -> str:
    """A sum as it is written: what is taken off has its minus already."""
    return "".join(
        part if not i else f" {MINUS} {part[1:]}" if part.startswith(MINUS) else f" + {part}"
        for i, part in enumerate(parts)
    )


def _part(step: Step, unit: str | None, place: str, currency: Currency) -> str:
    cost, price = work(step.exact_minor, currency), unit_price(step.unit_amount, currency)
    equals = cost if cost.startswith("≈") else f"= {cost}"
    match step.kind:
        case StepKind.PRORATION:
            return f"{quantity(step.quantity)} of {step.of} hours × {price} {equals}"
        case StepKind.TIER_ENTRY:
            return f"{price} on entering the tier"
        case StepKind.PACKAGE:
            size = quantity(step.up_to or Fraction(0), unit)
            packages = "package" if step.quantity == 1 else "packages"
            return f"{quantity(step.quantity)} {packages} of {size} × {price} {equals}"
        case StepKind.MINIMUM:
            return f"{cost} up to the minimum of {_bound(step, currency)}"
        case StepKind.MAXIMUM:
            return f"{cost} above the maximum of {_bound(step, currency)}"
        case _:
            return f"{place}{quantity(step.quantity, unit)} × {price} {equals}"


def _bound(step: Step, currency: Currency) -> str:
    return work(step.quantity * currency.minor_per_major, currency)
