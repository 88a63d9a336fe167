from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

from billing.rules.aggregation import Aggregation, MeterTerms
from billing.rules.lines import DraftLine, LineKind, rated_line
from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.rules.prices import Model, Terms, Tier
from billing.rules.rating import Segment, rate_fee, rate_ladder
from web.arithmetic import sentences

EGRESS = MeterTerms("egress_gb", "Egress", "GB", Aggregation.SUM)
NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))


def usage_line(
    quantity: str, *tiers: Tier, allowance: str = "0", currency: Currency = Currency.USD
) -> DraftLine:
    model = Model.GRADUATED if len(tiers) > 1 else Model.PER_UNIT
    return line_of(Terms(model, currency, tuple(tiers), Decimal(allowance)), quantity)


def line_of(terms: Terms, quantity: str) -> DraftLine:
    [rated] = rate_ladder([Segment("p@1", terms, NOVEMBER)], [Fraction(quantity)], NOVEMBER)
    return rated_line(LineKind.USAGE, rated, description="Egress", meter=EGRESS)


def priced(model: Model, *tiers: Tier, **more: Any) -> Terms:
    figures: dict[str, Any] = {name: Decimal(value) for name, value in more.items()}
    return Terms(model, Currency.USD, tiers, **figures)


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
    line = rated_line(LineKind.FEE, rated, description="Pro")

    assert told(line) == ["370 of 720 hours × $29.00 ≈ $14.902778, rounded to $14.90"]


def test_a_whole_fee_needs_no_words() -> None:
    terms = Terms(Model.FLAT, Currency.USD, amount=Decimal("29.00"))
    rated = rate_fee(Segment("p@1", terms, NOVEMBER), NOVEMBER)
    line = rated_line(LineKind.FEE, rated, description="Pro")

    assert told(line) == []


def test_packages_are_whole() -> None:
    package = priced(Model.PACKAGE, a_tier(None, "0.50"), package_size="1000")
    assert told(line_of(package, "2001")) == ["3 packages of 1,000 GB × $0.50 = $1.50"]
    assert told(line_of(package, "1")) == ["1 package of 1,000 GB × $0.50 = $0.50"]


def test_volume_is_one_price_for_everything() -> None:
    volume = priced(Model.VOLUME, a_tier("100", "0.10"), a_tier(None, "0.05", "3"))
    assert told(line_of(volume, "120")) == [
        "$3.00 on entering the tier + 120 GB × $0.05 = $6.00 → $9.00"
    ]


def test_the_least_and_the_most_are_said() -> None:
    bounded = priced(Model.PER_UNIT, a_tier(None, "1"), minimum="5", maximum="9")

    assert told(line_of(bounded, "3")) == [
        "3 GB × $1.00 = $3.00 + $2.00 up to the minimum of $5.00 → $5.00"
    ]
    assert told(line_of(bounded, "12")) == [
        "12 GB × $1.00 = $12.00 − $3.00 above the maximum of $9.00 → $9.00"
    ]
    assert told(line_of(bounded, "0")) == ["$5.00 up to the minimum of $5.00"]
