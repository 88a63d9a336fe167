from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from billing.catalog import terms_of
from billing.price_book import PriceBook, PriceBookRefused, read_price_book
from billing.rules.money import Currency
from billing.rules.periods import period_at
from billing.rules.rating import Segment, rate_ladder

METER = """
  - slug: egress_gb
    name: Egress
    unit: GB
    event_type: network.egress
    value: gb
    aggregation: SUM
    dimensions: [app, region]
"""
PRICE = """
      - slug: egress
        name: Egress
        currency: USD
        meter: egress_gb
        versions:
          - {effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.02}
"""


def book_of(version: str = "", *, meter: str = METER, price: str = PRICE) -> str:
    """A book of one meter and one price; `version` replaces the price's only one."""
    if version:
        price = price.replace(
            "{effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 0.02}", version
        )
    return f"meters:{meter}\nplans:\n  - slug: pro\n    name: Pro\n    prices:{price}"


def problems(source: str | bytes) -> list[tuple[str, str]]:
    with pytest.raises(PriceBookRefused) as refused:
        read_price_book(source)
    return [(problem.at.path, problem.code) for problem in refused.value.problems]


def only_version(book: PriceBook) -> dict[str, object]:
    return book.plans[0].prices[0].versions[0].terms


def test_figures_are_kept_as_they_are_written() -> None:
    book = read_price_book(
        book_of(
            "{effective_from: 2025-01-01, model: GRADUATED, included: 100, tiers: ["
            "{up_to: 250, unit_amount: 0.10, flat_amount: 1e2},"
            "{unit_amount: 0.000000000001}]}"
        )
    )

    assert only_version(book) == {
        "model": "GRADUATED",
        "allowance": "100",
        "tiers": [
            {"up_to": "250", "unit_amount": "0.10", "flat_amount": "100"},
            {"unit_amount": "0.000000000001"},
        ],
    }


def test_yaml_makes_no_booleans_of_country_codes() -> None:
    price = PRICE.replace("versions:", "filters: {region: [no, se, 12:30]}\n        versions:")
    book = read_price_book(book_of(price=price))
    assert book.plans[0].prices[0].filters == {"region": ("no", "se", "12:30")}


def test_an_instant_is_rounded_up_to_the_hour_in_utc() -> None:
    version = "{effective_from: '2025-01-01T00:30:00-05:00', model: PER_UNIT, unit_amount: 1}"
    [read] = read_price_book(book_of(version)).plans[0].prices[0].versions
    assert read.effective_from == datetime(2025, 1, 1, 6, tzinfo=UTC)


def test_dimensions_may_be_named_otherwise_in_the_data() -> None:
    meter = METER.replace("[app, region]", "{app: app_name, region: dc}")
    assert read_price_book(book_of(meter=meter)).meters[0].dimensions == {
        "app": "app_name",
        "region": "dc",
    }


VERSION = "plans[0].prices[0].versions[0]"


@pytest.mark.parametrize("instant", ["soon", "2025-01-01T00:30", "9999-12-31T23:30Z", "2025-13-01"])
def test_an_instant_that_is_none_is_refused(instant: str) -> None:
    version = f"{{effective_from: '{instant}', model: PER_UNIT, unit_amount: 1}}"
    assert problems(book_of(version)) == [(f"{VERSION}.effective_from", "INVALID_INSTANT")]


@pytest.mark.parametrize(
    ("terms", "path", "code"),
    [
        ("PACKGE", "model", "UNKNOWN_MODEL"),
        ("PER_UNIT", "unit_amount", "MISSING_FIELD"),
        ("PER_UNIT, unit_amount: NaN", "unit_amount", "INVALID_VALUE"),
        ("PER_UNIT, unit_amount: 1e400", "unit_amount", "INVALID_VALUE"),
        ("PER_UNIT, unit_amount: 0.0000000000001", "unit_amount", "INVALID_VALUE"),
        ("PER_UNIT, unit_amount: -1", "unit_amount", "INVALID_PRICE"),
        ("PER_UNIT, unit_amount: 1, included: -1", "included", "INVALID_PRICE"),
        ("PER_UNIT, unit_amount: 1, tiers: []", "tiers", "UNKNOWN_FIELD"),
        ("GRADUATED", "tiers", "INVALID_PRICE"),
        ("GRADUATED, tiers: {}", "tiers", "WRONG_SHAPE"),
        ("GRADUATED, tiers: [{up_to: 5, unit_amount: 1}]", "tiers", "INVALID_PRICE"),
        ("GRADUATED, tiers: [{up_to: x, unit_amount: 1}]", "tiers[0].up_to", "INVALID_VALUE"),
        (
            "GRADUATED, tiers: [{up_to: 5, unit_amount: 2}, {up_to: 5, unit_amount: 1},"
            " {unit_amount: 1}]",
            "tiers",
            "INVALID_PRICE",
        ),
    ],
)
def test_a_broken_version_is_refused_where_it_is_broken(terms: str, path: str, code: str) -> None:
    source = book_of(f"{{effective_from: 2025-01-01, model: {terms}}}")
    assert problems(source) == [(f"{VERSION}.{path}", code)]


@pytest.mark.parametrize(
    ("currency", "terms", "path", "code"),
    [
        ("USD", "FLAT, amount: 1.005, timing: ADVANCE", ".versions[0].amount", "INVALID_AMOUNT"),
        ("JPY", "FLAT, amount: 1.5, timing: ADVANCE", ".versions[0].amount", "INVALID_AMOUNT"),
        ("USD", "FLAT, amount: -1, timing: ADVANCE", ".versions[0].amount", "INVALID_PRICE"),
        ("USD", "FLAT, amount: 1, timing: later", ".versions[0].timing", "UNKNOWN_TIMING"),
        ("USD", "PER_UNIT, unit_amount: 1", "", "MISSING_METER"),
        ("DOGE", "FLAT, amount: 1, timing: ADVANCE", ".currency", "UNKNOWN_CURRENCY"),
    ],
)
def test_a_broken_fee_is_refused_where_it_is_broken(
    currency: str, terms: str, path: str, code: str
) -> None:
    source = book_of(price=fee(f"{{effective_from: 2025-01-01, model: {terms}}}", currency))
    assert problems(source) == [(f"plans[0].prices[0]{path}", code)]


def test_two_versions_cannot_take_effect_in_the_same_hour() -> None:
    terms = "model: FLAT, amount: 1, timing: ADVANCE"
    early, late = "2024-12-31T23:01Z", "2025-01-01"
    versions = ", ".join(f"{{effective_from: {at}, {terms}}}" for at in (late, early))
    assert problems(book_of(price=fee(versions))) == [
        ("plans[0].prices[0].versions", "DUPLICATE_VERSION")
    ]


@pytest.mark.parametrize(
    ("change", "path", "code"),
    [
        ("{meter: egress_gb}", "meter", "FEE_WITH_METER"),
        ("{filters: {region: [ams]}}", "filters", "FEE_WITH_FILTERS"),
        ("{filters: {region: []}}", "filters.region", "EMPTY_FILTER"),
        ("{filters: {region: ams}}", "filters.region", "WRONG_SHAPE"),
    ],
)
def test_a_fee_is_for_no_usage(change: str, path: str, code: str) -> None:
    terms = "{effective_from: 2025-01-01, model: FLAT, amount: 1, timing: ADVANCE}"
    price = fee(terms).replace("name: Fee", f"name: Fee, {change[1:-1]}")
    assert (f"plans[0].prices[0].{path}", code) in problems(book_of(price=price))


def test_a_price_without_versions_is_refused() -> None:
    assert problems(book_of(price=fee(""))) == [("plans[0].prices[0].versions", "MISSING_FIELD")]


def fee(versions: str, currency: str = "USD") -> str:
    fields = f"slug: fee, name: Fee, currency: {currency}, versions: [{versions}]"
    return f"\n      - {{{fields}}}"


@pytest.mark.parametrize(
    ("before", "after", "path", "code"),
    [
        ("aggregation: SUM", "aggregation: SUMM", "aggregation", "UNKNOWN_AGGREGATION"),
        ("aggregation: SUM", "aggregation: COUNT", "value", "UNUSED_VALUE"),
        ("    value: gb\n", "", "value", "MISSING_FIELD"),
        ("unit: GB", "unit:", "unit", "MISSING_FIELD"),
        ("unit: GB", "unit: [GB]", "unit", "WRONG_SHAPE"),
        ("unit: GB", "unit: GB\n    units: GB", "units", "UNKNOWN_FIELD"),
        ("unit: GB", "unit: GB\n    unit: TB", "unit", "DUPLICATE_FIELD"),
        ("slug: egress_gb", "slug: Egress GB", "slug", "INVALID_SLUG"),
        ("[app, region]", "[a, b, c, d, e, f, g, h, i]", "dimensions", "TOO_MANY_DIMENSIONS"),
        ("[app, region]", "[app, app]", "dimensions", "DUPLICATE_DIMENSION"),
        ("[app, region]", "[app, []]", "dimensions[1]", "WRONG_SHAPE"),
        ("[app, region]", "{App: app}", "dimensions.App", "INVALID_SLUG"),
    ],
)
def test_a_broken_meter_is_refused_where_it_is_broken(
    before: str, after: str, path: str, code: str
) -> None:
    assert problems(book_of(meter=METER.replace(before, after))) == [(f"meters[0].{path}", code)]


def test_what_is_there_twice_is_refused() -> None:
    source = book_of(meter=METER + METER, price=PRICE + PRICE)
    assert problems(source) == [
        ("meters[1].slug", "DUPLICATE_SLUG"),
        ("plans[0].prices[1].slug", "DUPLICATE_SLUG"),
    ]


def test_every_problem_is_listed_at_once_with_its_line() -> None:
    source = book_of(
        "{effective_from: never, model: FLATT}", meter=METER.replace("SUM", "SUMM")
    ).replace("name: Pro", "nam: Pro")
    with pytest.raises(PriceBookRefused, match="5 problems; nothing was written") as refused:
        read_price_book(source)

    shown = "\n".join(map(str, refused.value.problems))
    assert "meters[0].aggregation (line 7): UNKNOWN_AGGREGATION" in shown
    assert "plans[0].nam (line 12): UNKNOWN_FIELD: A plan has no field 'nam'. Did you" in shown
    assert "Did you mean 'FLAT'?" in shown


@pytest.mark.parametrize(
    "source",
    [
        "",
        b"\xff\xfe",
        "meters: [1, 2",
        "meters: []",
        "plans:\n  - &pro {slug: pro}\n  - *pro",
        "a: 1\n---\nb: 2",
        "[" * 5_000,
        "#" * 1_000_001,
        "a: \x00",
        "!!python/object/apply:os.system [ls]",
    ],
)
def test_what_is_no_price_book_is_refused(source: str | bytes) -> None:
    [(path, code), *_] = problems(source)
    assert path == ""
    assert code in {"NOT_A_PRICE_BOOK", "WRONG_SHAPE"}


def test_the_demos_book_prices_worked_example_4() -> None:
    source = Path(__file__).parents[2] / "sandbox" / "price_book.yaml"
    book = read_price_book(source.read_bytes())
    [pro] = [plan for plan in book.plans if plan.slug == "pro"]
    [egress] = [price for price in pro.prices if price.slug == "egress"]

    november = period_at(datetime(2026, 11, 10, tzinfo=UTC), 1)
    terms = terms_of(egress.versions[0].terms, Currency.USD)
    [rated] = rate_ladder([Segment("pro/egress", terms, november)], [Fraction("412.6")], november)

    assert rated.amount.major == Decimal("5.94")
