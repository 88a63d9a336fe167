"""A world's catalogue as the text of a price book, as an operator would write it."""

import json

from tests.reference.world import Meter, Price, PriceVersion, World


def price_book_of(world: World) -> str:
    """JSON, which is YAML; every number is a text, so that none is ever a float."""
    currency = world.organization.currency
    plans = [
        {
            "slug": plan.slug,
            "name": plan.slug.title(),
            "prices": [_price(price, currency) for price in plan.prices],
        }
        for plan in world.plans
    ]
    return json.dumps({"meters": [_meter(meter) for meter in world.meters], "plans": plans})


def _meter(meter: Meter) -> dict[str, object]:
    value = {} if meter.aggregation == "COUNT" else {"value": meter.value_property}
    return {
        "slug": meter.slug,
        "name": meter.slug.title(),
        "unit": "units",
        "event_type": meter.event_type,
        "aggregation": meter.aggregation,
        "dimensions": list(meter.dimensions),
        **value,
    }


def _price(price: Price, currency: str) -> dict[str, object]:
    metered = {"meter": price.meter, "filters": price.filters} if price.meter else {}
    return {
        "slug": price.slug,
        "name": price.slug.title(),
        "currency": currency,
        "versions": [_version(version) for version in price.versions],
        **metered,
    }


def _version(version: PriceVersion) -> dict[str, object]:
    return {"effective_from": version.effective_from.isoformat(), **terms_of(version)}


def terms_of(version: PriceVersion) -> dict[str, object]:
    """What it charges, without its date."""
    terms: dict[str, object] = {"model": version.model}
    if version.model == "FLAT":
        return terms | {"amount": f"{version.amount:f}", "timing": version.timing}
    terms |= {"included": f"{version.allowance:f}", "minimum": f"{version.minimum:f}"}
    if version.maximum is not None:
        terms["maximum"] = f"{version.maximum:f}"
    if version.model in ("PER_UNIT", "PACKAGE"):
        terms["unit_amount"] = f"{version.unit_amount:f}"
    if version.model == "PACKAGE":
        terms["package_size"] = str(version.package_size)
    if version.tiers:
        terms["tiers"] = [
            {
                "up_to": None if tier.up_to is None else f"{tier.up_to:f}",
                "unit_amount": f"{tier.unit_amount:f}",
                "flat_amount": f"{tier.flat_amount:f}",
            }
            for tier in version.tiers
        ]
    return terms
