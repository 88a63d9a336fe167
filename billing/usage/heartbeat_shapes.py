"""The shape of a heartbeat, checked before anything else is asked about it. Pure."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from billing.errors import Invalid
from billing.names import did_you_mean
from billing.rules.periods import floor_hour
from billing.rules.quantities import InvalidValue, exact_decimal
from billing.usage.declared import MissingValue, NegativeValue
from billing.usage.shapes import InvalidEvent, attribute, instant

HOURS_MAX = 1_000
COUNT_MAX = 2_000_000_000
"""Of one source in one hour; GraphQL's integers end soon after."""

_HEARTBEAT = ("source", "through", "hours")
_TOTAL = ("hour", "meter", "count", "sum")


class InvalidHeartbeat(Invalid):
    """Not a heartbeat of the shape we take."""

    code = "INVALID_HEARTBEAT"


@dataclass(frozen=True, slots=True)
class HourTotal:
    """What a source says one hour of one meter came to. `field` is where it says so."""

    hour: datetime
    meter: str
    count: int
    total: Decimal
    field: str


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Everything that happened before `through` has been sent, and what it came to by the hour."""

    source: str
    through: datetime
    hours: tuple[HourTotal, ...]


def parse_heartbeat(raw: object) -> Heartbeat:
    """A heartbeat from decoded JSON, numbers being `NumberText`. Raises `Invalid` with the field.

    Members we do not know are refused: a misspelt `hours` would compare nothing, in silence.
    """
    if not isinstance(raw, Mapping):
        raise InvalidHeartbeat("A heartbeat must be a JSON object.")
    _refuse_unknown(raw, _HEARTBEAT, "")
    hours = [] if raw.get("hours") is None else raw["hours"]
    if not isinstance(hours, list):
        raise InvalidHeartbeat("hours must be an array of objects.", field="hours")
    if len(hours) > HOURS_MAX:
        raise Invalid(
            f"hours may have {HOURS_MAX:,} entries, not {len(hours):,}: send several heartbeats.",
            code="TOO_MANY_HOURS",
            field="hours",
        )
    with _named(""):
        source = attribute(raw, "source")
    heartbeat = Heartbeat(
        source,
        _instant(raw, "through", "through"),
        tuple(_hour_total(total, f"hours[{place}]") for place, total in enumerate(hours)),
    )
    _refuse_repeated(heartbeat)
    return heartbeat


def _hour_total(raw: object, field: str) -> HourTotal:
    if not isinstance(raw, Mapping):
        raise InvalidHeartbeat(f"{field} must be a JSON object.", field=field)
    _refuse_unknown(raw, _TOTAL, f"{field}.")
    hour = _instant(raw, "hour", f"{field}.hour")
    if hour != floor_hour(hour):
        raise Invalid(
            f"{field}.hour must be a whole UTC hour such as 2026-11-01T12:00:00Z.",
            code="NOT_A_WHOLE_HOUR",
            field=f"{field}.hour",
        )
    with _named(f"{field}."):
        meter = attribute(raw, "meter")
    count = _number(raw, "count", f"{field}.count")
    if count != int(count) or count > COUNT_MAX:
        raise InvalidValue(
            f"{field}.count must be a whole number of at most {COUNT_MAX:,}.",
            field=f"{field}.count",
        )
    return HourTotal(hour, meter, int(count), _number(raw, "sum", f"{field}.sum"), field)


def _refuse_unknown(raw: Mapping[str, object], known: tuple[str, ...], prefix: str) -> None:
    for name in raw:
        if name not in known:
            raise InvalidHeartbeat(
                f"{prefix}{name[:40]} is no part of a heartbeat.{did_you_mean(name[:40], known)}",
                field=f"{prefix}{name[:40]}",
            )


def _refuse_repeated(heartbeat: Heartbeat) -> None:
    first: dict[tuple[datetime, str], HourTotal] = {}
    for total in heartbeat.hours:
        if (before := first.setdefault((total.hour, total.meter), total)) is not total:
            raise Invalid(
                f"{total.field} is of the same hour and meter as {before.field}: send one.",
                code="REPEATED_HOUR",
                field=total.field,
            )


def _instant(raw: Mapping[str, object], name: str, field: str) -> datetime:
    with _named(""):
        found = instant(raw.get(name), field)
    if found is None:
        raise InvalidHeartbeat(f"{field} is needed, an RFC 3339 instant.", field=field)
    return found


def _number(raw: Mapping[str, object], name: str, field: str) -> Decimal:
    value = raw.get(name)
    if value is None or value == "":
        raise MissingValue(f"{field} is needed.", field=field)
    if not isinstance(value, str):
        raise InvalidValue(f"{field} must be a number or a numeric string.", field=field)
    number = exact_decimal(value, field=field)
    if number < 0:
        raise NegativeValue(f"{field} must not be negative.", field=field)
    return number


@contextmanager
def _named(prefix: str) -> Iterator[None]:
    """What is refused as of an event is of a heartbeat, and where in it."""
    try:
        yield
    except InvalidEvent as error:
        raise InvalidHeartbeat(f"{prefix}{error}", field=f"{prefix}{error.field}") from None
