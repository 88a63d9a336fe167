"""The twins of a line's page for scripts and accountants: the very same hours and events."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from starlette.responses import JSONResponse, Response

from billing.explaining import Evidence
from billing.models import Organization
from billing.rules.lines import DraftLine
from billing.rules.quantities import plain
from billing.usage import EventBehind, HourBehind
from web.exports import csv_response, instant_told, line_told

_HOUR = ("start", "quantity", "event_count")
_EVENT = (
    "id",
    "source",
    "occurred_at",
    "recorded_at",
    "quantity",
    "label",
    "dimensions",
    "is_voided",
    "voided_at",
    "void_reason",
)


def line_json(org: Organization, line: DraftLine, evidence: Evidence | None) -> dict[str, Any]:
    """A line with its arithmetic; no meter and no unit where no event is behind it."""
    return {
        "organization": {"slug": org.slug, "name": org.name},
        "line": line_told(line),
        "meter": evidence and evidence.meter.slug,
        "unit": evidence and evidence.meter.unit,
    }


def hours_json(
    line: Mapping[str, Any], hours: Sequence[HourBehind], next_url: str | None
) -> Response:
    """Some of a line's hours."""
    return JSONResponse({**line, "hours": [_hour(one) for one in hours], "next": next_url})


def events_json(
    line: Mapping[str, Any],
    hour: datetime,
    events: Sequence[EventBehind],
    next_url: str | None,
) -> Response:
    """Some of an hour's events."""
    told = {"hour": instant_told(hour), "events": [_event(x) for x in events], "next": next_url}
    return JSONResponse({**line, **told})


def hours_csv(name: str, hours: Sequence[HourBehind]) -> Response:
    """One row an hour."""
    rows = [[told[column] for column in _HOUR] for told in map(_hour, hours)]
    return csv_response(f"{name}-hours.csv", _HOUR, rows)


def events_csv(name: str, events: Sequence[EventBehind], next_url: str | None) -> Response:
    """One row an event, its dimensions as JSON."""
    rows = []
    for told in map(_event, events):
        told["dimensions"] = json.dumps(told["dimensions"], ensure_ascii=False, sort_keys=True)
        rows.append([told[column] for column in _EVENT])
    response = csv_response(f"{name}-events.csv", _EVENT, rows)
    if next_url:
        response.headers["Link"] = f'<{next_url}>; rel="next"'
    return response


def _hour(one: HourBehind) -> dict[str, Any]:
    return {
        "start": instant_told(one.hour),
        "quantity": plain(one.quantity),
        "event_count": one.event_count,
    }


def _event(one: EventBehind) -> dict[str, Any]:
    return {
        "id": one.id,
        "source": one.source,
        "occurred_at": instant_told(one.occurred_at),
        "recorded_at": instant_told(one.recorded_at),
        "quantity": plain(one.quantity),
        "label": one.label,
        "dimensions": dict(one.dimensions),
        "is_voided": one.is_voided,
        "voided_at": instant_told(one.voided_at),
        "void_reason": one.void_reason,
    }
