from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.rules.aggregation import Aggregation, Counted, MeterTerms, SeriesUsage
from billing.rules.ladders import (
    Offer,
    UsageCharge,
    charge_ladder,
    cuts_of,
    growth,
    ladders_of,
    merged,
    sources_by,
)
from billing.rules.money import Currency
from billing.rules.periods import Period
from billing.rules.prices import Filters, Model, Terms, Tier

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HALF = datetime(2026, 11, 16, tzinfo=UTC)
EGRESS = MeterTerms("egress_gb", "Data out", "GB", Aggregation.SUM)


def at(unit: str, allowance: str = "0") -> Terms:
    tiers = (Tier(None, Decimal(unit)),)
    return Terms(Model.PER_UNIT, Currency.USD, tiers, allowance=Decimal(allowance))


def offer(
    version: str,
    unit: str,
    *,
    span: Period = NOVEMBER,
    meter: MeterTerms = EGRESS,
    allowance: str = "0",
    **filters: set[str],
) -> Offer:
    chosen = Filters({name: frozenset(values) for name, values in filters.items()})
    return Offer(version, version, at(unit, allowance), span, meter, chosen)


def used(
    dimensions: Mapping[str, str], *quantities: int, meter: MeterTerms = EGRESS
) -> SeriesUsage:
    stretches = {i: Counted(q, Decimal(q), Decimal(q)) for i, q in enumerate(quantities) if q}
    return SeriesUsage(meter, dimensions, stretches)


def charged(offers: list[Offer], *series: SeriesUsage) -> tuple[list[UsageCharge], list[str]]:
    cuts = cuts_of(offers, NOVEMBER)
    by_meter: dict[str, list[SeriesUsage]] = {}
    for one in series:
        by_meter.setdefault(one.meter.slug, []).append(one)
    ladders, unpriced = ladders_of(offers, by_meter, cuts)
    charges = [charge for x in ladders for charge in charge_ladder(x, NOVEMBER, cuts)]
    return charges, [f"{x.meter} {x.quantity}" for x in unpriced]


def amounts(charges: list[UsageCharge]) -> dict[str, str]:
    return {charge.line.key: str(charge.line.amount.major) for charge in charges}


def test_the_price_that_names_more_dimensions_wins() -> None:
    offers = [
        offer("any", "1"),
        offer("sydney", "3", region={"syd"}),
        offer("sydney-api", "5", region={"syd"}, app={"api"}),
    ]

    charges, unpriced = charged(
        offers,
        used({"region": "fra", "app": "api"}, 10),
        used({"region": "syd", "app": "web"}, 10),
        used({"region": "syd", "app": "api"}, 10),
        used({}, 1),
    )

    assert amounts(charges) == {"any": "11.00", "sydney": "30.00", "sydney-api": "50.00"}
    assert unpriced == []


def test_usage_that_no_price_matches_is_reported_not_dropped() -> None:
    charges, unpriced = charged(
        [offer("europe", "1", region={"fra"})],
        used({"region": "syd"}, 7),
        used({}, 2),
        used({"region": "fra"}, 1),
    )

    assert amounts(charges) == {"europe": "1.00"}
    assert unpriced == ["egress_gb 9"]


def test_usage_outside_every_offer_is_unpriced() -> None:
    late = offer("from-half", "1", span=Period(HALF, NOVEMBER.end))

    charges, unpriced = charged([late], used({}, 4, 6))

    assert amounts(charges) == {"from-half": "6.00"}
    assert unpriced == ["egress_gb 4"]


def test_a_new_version_shares_the_allowance_with_the_old_one() -> None:
    offers = [
        offer("v1", "1", span=Period(NOVEMBER.start, HALF), allowance="10"),
        offer("v2", "2", span=Period(HALF, NOVEMBER.end), allowance="10"),
    ]

    charges, _ = charged(offers, used({}, 8, 8))

    assert amounts(charges) == {"v1": "0.00", "v2": "12.00"}


def test_the_highest_value_is_charged_by_its_growth_across_a_split() -> None:
    seats = MeterTerms("seats", "Seats", "seat", Aggregation.MAX)
    offers = [
        offer("v1", "1", span=Period(NOVEMBER.start, HALF), meter=seats),
        offer("v2", "10", span=Period(HALF, NOVEMBER.end), meter=seats),
    ]

    charges, _ = charged(
        offers, used({"app": "a"}, 5, 2, meter=seats), used({"app": "b"}, 3, 7, meter=seats)
    )

    assert amounts(charges) == {"v1": "5.00", "v2": "20.00"}


def test_a_latest_value_is_wholly_the_last_price_that_it_had() -> None:
    disk = MeterTerms("disk_gb", "Disk", "GB", Aggregation.LATEST)
    offers = [
        offer("v1", "1", span=Period(NOVEMBER.start, HALF), meter=disk),
        offer("v2", "10", span=Period(HALF, NOVEMBER.end), meter=disk),
    ]
    held = Counted(1, Decimal(5), Decimal(5), Decimal(5))
    grown = Counted(0, latest=Decimal(7))
    series = [
        SeriesUsage(disk, {"app": "a"}, {0: held, 1: grown}),
        SeriesUsage(disk, {"app": "b"}, {0: held}),
    ]

    assert amounts(charged(offers, *series)[0]) == {"v1": "5.00", "v2": "70.00"}
    others = [replace(x, filters=Filters({"app": frozenset("c")})) for x in offers]
    none = charged(others, *series)
    assert none == ([], ["disk_gb 12"])


def test_a_fee_is_no_ladder_and_goes_on_from_plan_to_plan() -> None:
    flat = Terms(Model.FLAT, Currency.USD, amount=Decimal(29))
    fees = [
        Offer("pro/base/USD@1", "Base", flat, Period(NOVEMBER.start, HALF)),
        Offer("max/base/USD@3", "Base", flat, Period(HALF, NOVEMBER.end)),
    ]

    assert [x.span for x in merged(fees)] == [NOVEMBER]
    assert [x.version for x in merged([*fees, offer("egress", "1")])] == [
        "pro/base/USD@1",
        "egress",
    ]
    assert charged(fees) == ([], [])


def test_a_series_that_counted_nothing_stands_behind_no_line() -> None:
    idle = SeriesUsage(EGRESS, {"app": "idle"}, {0: Counted()})

    charges, _ = charged([offer("any", "1")], idle, used({"app": "api"}, 1))

    assert [dict(x.dimensions) for x in charges[0].sources] == [{"app": "api"}]


def test_a_count_ignores_values() -> None:
    builds = MeterTerms("builds", "Builds", "build", Aggregation.COUNT)
    series = SeriesUsage(builds, {}, {0: Counted(3, Decimal(999), Decimal(999))})

    charges, _ = charged([offer("b", "0.50", meter=builds)], series)

    assert amounts(charges) == {"b": "1.50"}


def test_sources_are_grouped_by_one_dimension_and_a_missing_one_stays_visible() -> None:
    charges, _ = charged(
        [offer("any", "1")],
        used({"app": "api", "region": "fra"}, 2),
        used({"app": "api", "region": "syd"}, 3),
        used({"region": "syd"}, 4),
    )

    assert sources_by(charges[0], "app") == {"api": Decimal(5), None: Decimal(4)}


def test_sums_longer_than_28_digits_stay_exact() -> None:
    tiny, huge = Decimal("0.000000000001"), Decimal("999999999999999.999999999999")
    series = [
        SeriesUsage(EGRESS, {"app": str(i)}, {0: Counted(1, value, value)})
        for i, value in enumerate([tiny, *[huge] * 100])
    ]

    charges, _ = charged([offer("any", "1")], *series)

    assert charges[0].line.quantity == Decimal("99999999999999999.999999999901")


@given(
    quantities=st.lists(st.integers(0, 1000), min_size=30, max_size=30),
    allowance=st.integers(0, 5000),
)
def test_what_the_days_add_sums_to_the_line(quantities: list[int], allowance: int) -> None:
    days = [NOVEMBER.start.replace(day=i) for i in range(1, 31)]
    cuts = [*days, NOVEMBER.end]
    ladders, _ = ladders_of(
        [offer("any", "0.07", allowance=str(allowance))],
        {"egress_gb": [used({}, *quantities)]},
        cuts,
    )

    by_day = growth(ladders[0], NOVEMBER, cuts)
    lines = charge_ladder(ladders[0], NOVEMBER, cuts)

    assert [day for day, _ in by_day] == days
    assert sum(exact for _, exact in by_day) == sum(
        (x.line.exact_minor for x in lines), start=Fraction(0)
    )
    assert all(exact >= 0 for _, exact in by_day)


@pytest.mark.parametrize(
    ("one", "other", "collide"),
    [
        ({}, {}, True),
        ({"region": {"fra"}}, {"region": {"syd"}}, False),
        ({"region": {"fra", "syd"}}, {"region": {"syd"}}, True),
        ({"region": {"fra"}}, {"app": {"api"}}, True),
        ({"region": {"fra"}}, {}, False),
    ],
)
def test_filters_that_some_usage_could_match_equally_collide(
    one: dict[str, set[str]], other: dict[str, set[str]], collide: bool
) -> None:
    left, right = (Filters({k: frozenset(v) for k, v in x.items()}) for x in (one, other))

    assert left.collides(right) is collide
    assert right.collides(left) is collide
