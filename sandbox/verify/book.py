"""The price book that all organizations of the world share: every model on every aggregation."""

import json
from collections.abc import Iterator
from decimal import Decimal

from billing.rules.aggregation import Aggregation
from billing.rules.money import Currency
from billing.rules.prices import Model

CURRENCIES = (Currency.USD, Currency.BHD)
PLANS = ("start", "team", "scale")
EXTRA = "extra"
DIMENSIONS = ("app", "region")
METERS: dict[str, tuple[str, str | None, Aggregation]] = {
    "calls": ("request", None, Aggregation.COUNT),
    "egress": ("request", "gb", Aggregation.SUM),
    "peak": ("probe", "level", Aggregation.MAX),
    "users": ("visit", "user", Aggregation.UNIQUE_COUNT),
    "seats": ("seat", "seats", Aggregation.LATEST),
    "storage": ("volume", "gb", Aggregation.TIME_WEIGHTED),
}
LONG_AGO, FIRST_RISE, SECOND_RISE = "2025-01-01", "2026-07-20T10:00Z", "2026-09-07T17:30Z"
_USUAL = {"calls": 40, "egress": 600, "peak": 80, "users": 6, "seats": 20, "storage": 8000}
_MODELS = (Model.PER_UNIT, Model.PACKAGE, Model.GRADUATED, Model.VOLUME)


def price_book() -> str:
    """JSON is YAML, and every number in it a text."""
    meters = [
        {
            "slug": slug,
            "name": slug.title(),
            "unit": "units",
            "event_type": event_type,
            "aggregation": aggregation,
            "dimensions": list(DIMENSIONS),
            **({"value": value} if value else {}),
        }
        for slug, (event_type, value, aggregation) in METERS.items()
    ]
    plans = [
        {"slug": slug, "name": slug.title(), "prices": [*_prices(number)]}
        for number, slug in enumerate((*PLANS, EXTRA))
    ]
    return json.dumps({"meters": meters, "plans": plans})


def _prices(number: int) -> Iterator[dict[str, object]]:
    """The last meter is the extra plan's alone, so that two plans may be had at once."""
    *shared, last = METERS
    for currency in CURRENCIES:
        for place, meter in enumerate([last] if number == len(PLANS) else shared):
            model = _MODELS[(number + place) % len(_MODELS)]
            yield _price(meter, meter, currency, _versions(meter, model, currency, number))
            if place % 2 == 0:
                special = _versions(meter, Model.PER_UNIT, currency, number)[:1]
                filters = {"app": ["web"], "region": ["eu", "us"]}
                yield _price(f"{meter}-web", meter, currency, special, filters)
        timing = "ADVANCE" if number in {0, 2} else "ARREARS"
        fee = {"model": "FLAT", "amount": _money(currency, 4 + 5 * number), "timing": timing}
        yield _price("fee", None, currency, [{"effective_from": LONG_AGO, **fee}])


def _price(
    slug: str,
    meter: str | None,
    currency: Currency,
    versions: list[dict[str, object]],
    filters: dict[str, list[str]] | None = None,
) -> dict[str, object]:
    metered = {"meter": meter, "filters": filters or {}} if meter else {}
    name = slug.title()
    return {"slug": slug, "name": name, "currency": currency, "versions": versions, **metered}


def _versions(meter: str, model: Model, currency: Currency, number: int) -> list[dict[str, object]]:
    """Now and then a second and a third one, which split a period."""
    unit = Decimal(number + 2) / _USUAL[meter]
    dates = [LONG_AGO, *([FIRST_RISE] if number % 2 else []), SECOND_RISE]
    return [
        {"effective_from": date, **_terms(model, meter, currency, unit * (10 + rise) / 10)}
        for rise, date in enumerate(dates)
    ]


def _terms(model: Model, meter: str, currency: Currency, unit: Decimal) -> dict[str, object]:
    terms: dict[str, object] = {"model": model, "included": str(_USUAL[meter] // 8)}
    amount = _money(currency, unit, places=8)
    if model in (Model.GRADUATED, Model.VOLUME):
        half = {"up_to": str(_USUAL[meter] // 2), "unit_amount": amount}
        rest = {"unit_amount": _money(currency, unit / 2, places=8)}
        terms["tiers"] = [half, rest | {"flat_amount": _money(currency, 1)}]
    else:
        terms["unit_amount"] = amount
    if model is Model.PACKAGE:
        terms |= {"package_size": "7"}
    if model is Model.PER_UNIT:
        terms |= {"minimum": _money(currency, 1), "maximum": _money(currency, 40)}
    return terms


def _money(currency: Currency, dollars: Decimal | int, *, places: int = 0) -> str:
    """About as much in any currency."""
    amount = Decimal(dollars) / (2 if currency is Currency.BHD else 1)
    return f"{round(amount, max(places, 2)):f}"
