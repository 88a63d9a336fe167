"""Every model of a price in a price book: how it is told, and what is refused."""

import pytest

from billing.price_book import read_price_book
from billing.price_book.wording import version_words
from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency
from tests.billing.test_price_book import METER, VERSION, book_of, fee, problems


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ("PER_UNIT, unit_amount: 0.02", "0.02 USD a unit"),
        (
            "PACKAGE, unit_amount: 0.50, package_size: 1000, included: 1000",
            "1000 included, then 0.5 USD for each 1000 units begun",
        ),
        (
            "GRADUATED, tiers: [{up_to: 250, unit_amount: 0.02}, {unit_amount: 0.015}]",
            "0.02 up to 250, then 0.015 USD a unit",
        ),
        (
            "VOLUME, tiers: [{up_to: 100, unit_amount: 0.10}, {unit_amount: 0.05, flat_amount: 3}]",
            "0.1 up to 100, then 0.05 and 3 once USD a unit by the whole quantity",
        ),
        (
            "PER_UNIT, unit_amount: 1, minimum: 5, maximum: 50",
            "1 USD a unit, at least 5 and at most 50 a period",
        ),
        ("PER_UNIT, unit_amount: 1, maximum: 0", "1 USD a unit, at most 0 a period"),
        ("FLAT, amount: 29, timing: ADVANCE", "29.00 USD a period, in advance"),
    ],
)
def test_a_version_is_told_in_a_line(terms: str, words: str) -> None:
    version = f"{{effective_from: 2025-01-01, model: {terms}}}"
    is_fee = terms.startswith("FLAT")
    book = read_price_book(book_of(price=fee(version)) if is_fee else book_of(version))

    told = version_words(book.plans[0].prices[0].versions[0], Currency.USD)
    assert told == f"from 2025-01-01 00:00 UTC: {words}"


@pytest.mark.parametrize(
    ("terms", "path", "code"),
    [
        ("PACKAGE, unit_amount: 1", "package_size", "MISSING_FIELD"),
        ("PACKAGE, unit_amount: 1, package_size: 0", "package_size", "INVALID_PRICE"),
        ("PER_UNIT, unit_amount: 1, package_size: 5", "package_size", "UNKNOWN_FIELD"),
        ("PER_UNIT, unit_amount: 1, minimum: -1", "minimum", "INVALID_PRICE"),
        ("PER_UNIT, unit_amount: 1, minimum: 5, maximum: 4", "maximum", "INVALID_PRICE"),
        ("VOLUME, tiers: [{up_to: 5, unit_amount: 1}]", "tiers", "INVALID_PRICE"),
        ("VOLUME, unit_amount: 1", "unit_amount", "UNKNOWN_FIELD"),
    ],
)
def test_a_broken_package_ladder_or_bound_is_refused(terms: str, path: str, code: str) -> None:
    source = book_of(f"{{effective_from: 2025-01-01, model: {terms}}}")
    assert (f"{VERSION}.{path}", code) in problems(source)


@pytest.mark.parametrize("aggregation", Aggregation)
def test_every_aggregation_may_be_sold(aggregation: Aggregation) -> None:
    meter = METER.replace("SUM", aggregation)
    if aggregation is Aggregation.COUNT:
        meter = meter.replace("    value: gb\n", "")

    [found] = read_price_book(book_of(meter=meter)).meters
    assert found.aggregation is aggregation
