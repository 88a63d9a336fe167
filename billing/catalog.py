"""What is sold, as it is stored: meters, and the terms of price versions."""

from collections.abc import Sequence
from decimal import Decimal

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.models import Meter
from billing.models.base import Json
from billing.rules.money import Currency
from billing.rules.prices import TIERED_MODELS, Filters, Model, Terms, Tier, Timing


async def meters(session: AsyncSession) -> Sequence[Meter]:
    """Every meter, by slug."""
    return (await session.scalars(select(Meter).order_by(Meter.slug))).all()


def terms_of(terms: Json, currency: Currency) -> Terms:
    """What a version's stored `terms` mean. Raises `InvalidPrice` when they are no price.

    Every figure is text: `{"model": "GRADUATED", "tiers": [{"up_to": "100", "unit_amount":
    "0.10"}, {"unit_amount": "0.05"}], "allowance": "20"}`, `{"model": "PER_UNIT", "unit_amount":
    "0.10", "minimum": "5.00"}`, `{"model": "PACKAGE", "unit_amount": "0.50", "package_size":
    "1000"}`, or `{"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}`.
    """
    model = Model(terms["model"])
    if model is Model.FLAT:
        return Terms(
            model, currency, amount=Decimal(terms["amount"]), timing=Timing(terms["timing"])
        )
    tiers = terms["tiers"] if model in TIERED_MODELS else [terms]
    return Terms(
        model,
        currency,
        tiers=tuple(_tier(tier) for tier in tiers),
        allowance=Decimal(terms.get("allowance", 0)),
        package_size=_figure(terms, "package_size"),
        minimum=Decimal(terms.get("minimum", 0)),
        maximum=_figure(terms, "maximum"),
    )


def _figure(terms: Json, name: str) -> Decimal | None:
    text = terms.get(name)
    return None if text is None else Decimal(text)


def _tier(tier: Json) -> Tier:
    up_to = tier.get("up_to")
    return Tier(
        up_to=None if up_to is None else Decimal(up_to),
        unit_amount=Decimal(tier["unit_amount"]),
        flat_amount=Decimal(tier.get("flat_amount", 0)),
    )


def filters_of(filters: Json) -> Filters:
    """What a price's stored `filters` mean."""
    return Filters({dimension: frozenset(values) for dimension, values in filters.items()})
