"""Random price books: every model on every aggregation, filters, versions, twin plans."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from tests.reference.periods import Period
from tests.reference.world import (
    AggregationName,
    Meter,
    ModelName,
    Organization,
    Plan,
    Price,
    PriceVersion,
    Tier,
    TimingName,
)

MODELS: list[ModelName] = ["PER_UNIT", "PACKAGE", "GRADUATED", "VOLUME"]
APPS, REGIONS, RESOURCES = ("a", "b", "c"), ("eu", "us"), ("r1", "r2", "r3")
METERS: dict[str, tuple[str, str | None, AggregationName]] = {
    "calls": ("request", None, "COUNT"),
    "units": ("request", "units", "SUM"),
    "peak": ("probe", "level", "MAX"),
    "users": ("seen", "user", "UNIQUE_COUNT"),
    "seats": ("seat", "seats", "LATEST"),
    "storage": ("volume", "gb", "TIME_WEIGHTED"),
    "disks": ("volume", "gb", "LATEST"),
}


@dataclass(frozen=True)
class Catalogue:
    """Meters and plans: the family can be changed among, the add-on runs beside it."""

    meters: tuple[Meter, ...]
    plans: tuple[Plan, ...]
    family: tuple[str, ...]
    addon: str | None
    fixed_minor: int


@dataclass(frozen=True)
class Draw:
    """What terms are drawn from; `scale` is what a dollar is in the currency."""

    rng: Random
    since: datetime
    periods: Sequence[Period]
    scale: Decimal
    tiny: bool


def catalogue(
    rng: Random,
    organization: Organization,
    periods: Sequence[Period],
    unit: int,
    size: str,
    tiny: bool,
) -> Catalogue:
    """A price book for the organization's currency."""
    scale = Decimal(100) if organization.currency == "JPY" else Decimal(1)
    draw = Draw(rng, organization.opened_at - timedelta(days=400), periods, scale, tiny)
    count = rng.randint(2, 4) if size == "small" else rng.randint(4, len(METERS))
    meters = tuple(_meter(rng, slug) for slug in sorted(rng.sample(sorted(METERS), count)))
    beside = meters[-1:] if rng.random() < 0.5 else ()
    ours = meters[: len(meters) - len(beside)]
    shapes = {meter.slug: _filters(rng, meter) for meter in meters}
    family = [_plan(draw, "basic", ours, shapes, "base")]
    if rng.random() < 0.4:
        family.append(replace(family[0], slug="twin"))
    if rng.random() < 0.7:
        family.append(_plan(draw, "pro", ours, shapes, "base"))
    plans = (*family, *([_plan(draw, "extra", beside, shapes, "extra")] if beside else []))
    highest = sum(
        (max(v.amount for v in price.versions) for p in plans for price in p.prices), Decimal(0)
    )
    minor_per_major = unit if organization.currency != "JPY" else 1
    return Catalogue(
        meters,
        plans,
        tuple(plan.slug for plan in family),
        "extra" if beside else None,
        int(highest * minor_per_major),
    )


def _meter(rng: Random, slug: str) -> Meter:
    event_type, value, aggregation = METERS[slug]
    names = ["app", "region", "resource"]
    dimensions = tuple(name for name in names if rng.random() < 0.7)
    return Meter(slug, event_type, value, aggregation, dimensions)


def _filters(rng: Random, meter: Meter) -> list[dict[str, tuple[str, ...]]]:
    """At most one filter set per number of dimensions named, or disjoint ones on the same name."""
    found: list[dict[str, tuple[str, ...]]] = []
    if rng.random() < 0.85 or not meter.dimensions:
        found.append({})
    if "app" in meter.dimensions and rng.random() < 0.5:
        found.append({"app": ("a",)})
        if rng.random() < 0.4:
            found.append({"app": ("b", "c")})
    if {"app", "region"} <= set(meter.dimensions) and rng.random() < 0.5:
        found.append({"app": ("a", "b"), "region": (rng.choice(REGIONS),)})
    return found or [{}]


def _plan(
    draw: Draw,
    slug: str,
    meters: Sequence[Meter],
    shapes: dict[str, list[dict[str, tuple[str, ...]]]],
    fee: str,
) -> Plan:
    rng = draw.rng
    prices = []
    for meter in meters:
        for number, filters in enumerate(shapes[meter.slug]):
            if rng.random() < 0.12:
                continue
            first = _terms(draw, meter, draw.since)
            prices.append(
                Price(f"{meter.slug}-{number}", meter.slug, filters, _versions(draw, meter, first))
            )
    if rng.random() < (0.2 if draw.tiny else 0.8):
        prices.append(Price(fee, None, {}, _fee_versions(draw)))
    if rng.random() < 0.15 and not draw.tiny:
        amount = _cents(draw, 100, 900)
        support = PriceVersion(draw.since, "FLAT", amount=amount, timing="ARREARS")
        prices.append(Price(f"{fee}-support", None, {}, (support,)))
    if not prices:
        prices.append(Price(fee, None, {}, _fee_versions(draw)))
    return Plan(slug, tuple(prices))


def _versions(draw: Draw, meter: Meter, first: PriceVersion) -> tuple[PriceVersion, ...]:
    """Now and then a second or third version, or the same terms again."""
    found = [first]
    while draw.rng.random() < 0.25 and len(found) < 3:
        at = _instant(draw)
        if at <= found[-1].effective_from:
            break
        again = draw.rng.random() < 0.25
        same = replace(found[-1], effective_from=at)
        found.append(same if again else _terms(draw, meter, at))
    return tuple(found)


def _instant(draw: Draw) -> datetime:
    period = draw.rng.choice(draw.periods)
    hours = (period.end - period.start) // timedelta(hours=1)
    return period.start + timedelta(hours=draw.rng.randrange(hours))


def _fee_versions(draw: Draw) -> tuple[PriceVersion, ...]:
    rng = draw.rng
    timings: list[TimingName] = ["ADVANCE", "ADVANCE", "ARREARS"]
    timing = rng.choice(timings)
    amount = _cents(draw, 1, 60) if draw.tiny else _cents(draw, 500, 4000)
    first = PriceVersion(draw.since, "FLAT", amount=amount, timing=timing)
    if rng.random() < 0.2:
        raised = replace(first, effective_from=_instant(draw), amount=amount + draw.scale)
        return (first, raised)
    return (first,)


def _cents(draw: Draw, least: int, most: int) -> Decimal:
    return Decimal(draw.rng.randint(least, most)).scaleb(-2) * draw.scale


def _terms(draw: Draw, meter: Meter, since: datetime) -> PriceVersion:
    """Prices that give usual quantities of the meter some dollars, or some cents if tiny."""
    rng = draw.rng
    usual = {"SUM": 300, "COUNT": 8, "MAX": 80, "UNIQUE_COUNT": 6, "LATEST": 40}
    many = Decimal(usual.get(meter.aggregation, 20_000))
    per_unit = draw.scale * rng.randint(1, 3000) / 100 / many
    unit = (per_unit / 100 if draw.tiny else per_unit).quantize(Decimal("1E-6"))
    model = rng.choice(MODELS)
    limits = rng.random() < 0.2 and not draw.tiny
    minimum = _cents(draw, 1, 500) if limits and rng.random() < 0.6 else Decimal(0)
    maximum = minimum + _cents(draw, 100, 2000) if limits and rng.random() < 0.7 else None
    return PriceVersion(
        since,
        model,
        unit_amount=unit if model in ("PER_UNIT", "PACKAGE") else Decimal(0),
        package_size=rng.choice([1, 2, 7, 100]) if model == "PACKAGE" else 1,
        tiers=_tiers(draw, unit, many) if model in ("GRADUATED", "VOLUME") else (),
        allowance=(many / rng.choice([3, 4, 7])).quantize(Decimal("0.1"))
        if rng.random() < 0.35
        else Decimal(0),
        minimum=minimum,
        maximum=maximum,
    )


def _tiers(draw: Draw, unit: Decimal, many: Decimal) -> tuple[Tier, ...]:
    rng = draw.rng
    tops = {(many * rng.randint(5, 120) / 100).quantize(Decimal(1)) + 1 for _ in range(2)}
    closed = sorted(tops)[: rng.choice([0, 1, 1, 2, 2])]
    tiers = []
    for number, top in enumerate([*closed, None]):
        flat = _cents(draw, 1, 20 if draw.tiny else 300) if rng.random() < 0.3 else Decimal(0)
        tiers.append(Tier(top, (unit / (number + 1)).quantize(Decimal("1E-8")), flat))
    return tuple(tiers)
