"""The examples of docs/money.md, with exactly the numbers that stand there."""

import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import yaml

from billing.catalog import terms_of
from billing.rules.allocation import allocate
from billing.rules.caps import CapTerms, PeriodCap
from billing.rules.invoicing import draft_of
from billing.rules.lines import DraftLine, LineKind, plain_line
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from billing.rules.prices import Terms
from billing.rules.rating import Segment, rate_fee, rate_ladder
from billing.rules.reductions import CouponTerms, GrantBalance, GrantKind, Reductions, Tax

Example = dict[str, Any]
NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
DECEMBER = Period(NOVEMBER.end, datetime(2027, 1, 1, tzinfo=UTC))
PAGE = Path(__file__).parents[2] / "docs" / "money.md"
EXAMPLES: dict[str, Example] = {
    title: yaml.load(body, yaml.BaseLoader)
    for title, body in re.findall(r"```example ([^\n]+)\n(.*?)```", PAGE.read_text(), re.DOTALL)
}


def money(text: str, currency: Currency = Currency.USD) -> Money:
    return Money.from_major(Decimal(text), currency)


def terms(price: Example, currency: Currency) -> Terms:
    stored = {"allowance" if key == "included" else key: value for key, value in price.items()}
    return terms_of(stored, currency)


def rated(segments: list[Segment], reached: list[str]) -> list[Money]:
    quantities = [Fraction(quantity) for quantity in reached]
    return [one.amount for one in rate_ladder(segments, quantities, NOVEMBER)]


def check_rate(example: Example, currency: Currency) -> None:
    segment = Segment("pro/x/USD@1", terms(example["rate"], currency), NOVEMBER)
    assert rated([segment], [example["quantity"]]) == [money(example["amount"], currency)]


def check_split(example: Example, currency: Currency) -> None:
    segments, reached, start = [], [], NOVEMBER.start
    for part in example["split"]:
        end = start + timedelta(hours=int(part.pop("hours")))
        reached.append(part.pop("reached"))
        segments.append(Segment("pro/x/USD@1", terms(part, currency), Period(start, end)))
        start = end
    assert rated(segments, reached) == [money(x, currency) for x in example["amounts"]]


def check_fee(example: Example, currency: Currency) -> None:
    fee = example["fee"]
    assert int(fee["of"]) == NOVEMBER.hours
    span = Period(NOVEMBER.end - timedelta(hours=int(fee["hours"])), NOVEMBER.end)
    flat = terms({"model": "FLAT", "amount": fee["amount"], "timing": "ADVANCE"}, currency)
    assert rate_fee(Segment("pro/x/USD@1", flat, span), NOVEMBER).amount == money(
        example["amount"], currency
    )


def check_share(example: Example, currency: Currency) -> None:
    share = example["share"]
    weights = [Fraction(weight) for weight in share["weights"]]
    parts = allocate(money(share["amount"], currency).minor, weights, currency.step)
    assert parts == [money(part, currency).minor for part in example["parts"]]


def line(kind: LineKind, amount: str) -> DraftLine:
    span = DECEMBER if kind is LineKind.FEE_IN_ADVANCE else NOVEMBER
    return plain_line(kind, kind.lower(), kind, money(amount), span)


def check_bill(example: Example, currency: Currency) -> None:
    given = [line(LineKind(kind), amount) for kind, amount in example["bill"].items()]
    true_ups = [one for one in given if one.kind is LineKind.TRUE_UP]
    draft = draft_of(
        "acme",
        NOVEMBER,
        currency,
        [one for one in given if one.kind is not LineKind.TRUE_UP],
        Reductions(
            coupons=tuple(coupon(n, x) for n, x in enumerate(example.get("coupons", []))),
            caps=caps(example),
            true_ups=tuple(true_ups),
            grants=tuple(
                GrantBalance(kind, kind, kind, money(example[kind.lower()]).minor)
                for kind in GrantKind
                if kind.lower() in example
            ),
            taxes=(Tax("VAT", Decimal(example["tax"])),) if "tax" in example else (),
            credit_balance_minor=money(example.get("balance", "0")).minor,
        ),
    )
    found: dict[str, int] = {}
    for one in draft.lines:
        found[one.kind] = found.get(one.kind, 0) + one.amount.minor
    assert found == {kind: money(amount).minor for kind, amount in example["lines"].items()}
    assert draft.total == money(example["total"])


def caps(example: Example) -> tuple[PeriodCap, ...]:
    if "cap" not in example:
        return ()
    return (PeriodCap(NOVEMBER, CapTerms(money(example["cap"]).minor)),)


def coupon(number: int, given: Example) -> CouponTerms:
    percent = Decimal(given["percent"]) if "percent" in given else None
    amount = money(given["amount"]).minor if "amount" in given else None
    return CouponTerms(f"C{number}", f"Coupon {number}", percent, amount)


CHECKS = {
    "rate": check_rate,
    "split": check_split,
    "fee": check_fee,
    "share": check_share,
    "bill": check_bill,
}


@pytest.mark.parametrize("title", EXAMPLES)
def test_the_page_says_what_the_rules_do(title: str) -> None:
    example = EXAMPLES[title]
    [check] = [check for name, check in CHECKS.items() if name in example]

    check(example, Currency(example.get("currency", "USD")))


def test_all_of_the_contract_and_ten_more_are_there() -> None:
    numbers = {int(re.match(r"\d+", title).group()) for title in EXAMPLES}  # type: ignore[union-attr]

    assert numbers >= set(range(1, 25)) - {11}
