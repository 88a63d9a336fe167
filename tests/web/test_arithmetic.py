from datetime import UTC, datetime
from decimal import Decimal

from billing.rules.lines import DraftLine, LineKind, rated_line
from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.rules.prices import Model, Terms, Tier
from billing.rules.rating import Segment, rate_fee, rate_ladder
from web.arithmetic import sentences

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def usage_line(
    quantity: str, *tiers: Tier, allowance: str = "0", currency: Currency = Currency.USD
) -> DraftLine:
    model = Model.GRADUATED if len(tiers) > 1 else Model.PER_UNIT
    terms = Terms(model, currency, tuple(tiers), Decimal(allowance))
    [rated] = rate_ladder([Segment("p@1", terms, NOVEMBER)], [Decimal(quantity)], NOVEMBER)
    return rated_line(
        LineKind.USAGE, rated, description="Egress", segment=0, unit="GB", product="Egress"
    )


def told(line: DraftLine) -> list[str]:
    return [sentence.replace("\u00a0", " ") for sentence in sentences(line)]


def a_tier(up_to: str | None, price: str, flat: str = "0") -> Tier:
    return Tier(None if up_to is None else Decimal(up_to), Decimal(price), Decimal(flat))


def test_worked_example_4_as_people_read_it() -> None:
    line = usage_line("412.6", a_tier("250", "0.02"), a_tier(None, "0.015"), allowance="100")

    assert told(line) == [
        "412.6 GB − 100 GB included = 312.6 GB",
        "first 250 GB × $0.02 = $5.00 + next 62.6 GB × $0.015 = $0.939 → $5.939, rounded to $5.94",
    ]


def test_one_price_is_one_product() -> None:
    assert told(usage_line("3", a_tier(None, "0.10"))) == ["3 GB × $0.10 = $0.30"]
    assert told(usage_line("3", a_tier(None, "1.5"), currency=Currency.JPY)) == [
        "3 GB × ¥1.5 = ¥4.5, rounded to ¥5"
    ]


def test_what_the_allowance_covers_is_said_so() -> None:
    assert told(usage_line("80", a_tier(None, "0.10"), allowance="100")) == [
        "80 GB, all of it included"
    ]


def test_entering_a_tier_may_cost() -> None:
    line = usage_line("120", a_tier("100", "0.10", "1.00"), a_tier(None, "0.05"))

    assert told(line) == [
        "$1.00 on entering the tier + first 100 GB × $0.10 = $10.00 + next 20 GB × $0.05 = $1.00"
        " → $12.00"
    ]


def test_worked_example_9_a_part_of_the_month() -> None:
    terms = Terms(Model.FLAT, Currency.USD, amount=Decimal("29.00"))
    span = Period(datetime(2026, 11, 15, 14, tzinfo=UTC), NOVEMBER.end)
    rated = rate_fee(Segment("p@1", terms, span), NOVEMBER)
    line = rated_line(LineKind.FEE, rated, description="Pro", segment=0, unit=None, product="Fees")

    assert told(line) == ["370 of 720 hours × $29.00 ≈ $14.902778, rounded to $14.90"]


def test_a_whole_fee_needs_no_words() -> None:
    terms = Terms(Model.FLAT, Currency.USD, amount=Decimal("29.00"))
    rated = rate_fee(Segment("p@1", terms, NOVEMBER), NOVEMBER)
    line = rated_line(LineKind.FEE, rated, description="Pro", segment=0, unit=None, product="Fees")

    assert told(line) == []
