"""Forecasts and comparisons of bills for scripts: the JSON twins of what pages say in words."""

from datetime import datetime
from typing import Any

from billing.bill_diffs import Compared
from billing.rules.bill_diff import Movement
from billing.rules.forecast import Forecast
from billing.rules.periods import Period


def forecast_told(forecast: Forecast | None) -> dict[str, Any] | None:
    """Where the period is going; null before its third day."""
    if forecast is None:
        return None
    return {
        "low": f"{forecast.low.major:f}",
        "expected": f"{forecast.expected.major:f}",
        "high": f"{forecast.high.major:f}",
        "fixed": f"{forecast.fixed.major:f}",
        "method": forecast.method,
    }


def changes_told(changes: Compared | None) -> dict[str, Any] | None:
    """What changed, every movement of it; null without an earlier invoice."""
    if changes is None:
        return None
    return {
        "from": {"number": changes.before_number, "period": _span(changes.before)},
        "to": {"number": changes.after_number, "period": _span(changes.after)},
        "same_days": changes.is_same_days,
        "difference": f"{changes.diff.difference.major:f}",
        "words": changes.words,
        "movements": [_movement(one) for one in changes.diff.movements],
    }


def _movement(one: Movement) -> dict[str, Any]:
    return {
        "kind": one.kind,
        "product": one.product,
        "resource": one.resource.name if one.resource else None,
        "region": (one.resource.place or None) if one.resource else None,
        "amount": f"{one.amount.major:f}",
        "words": one.words,
    }


def _span(period: Period) -> dict[str, str]:
    return {"from": _instant(period.start), "to": _instant(period.end)}


def _instant(instant: datetime) -> str:
    return f"{instant:%Y-%m-%dT%H:%M:%S.%fZ}"
