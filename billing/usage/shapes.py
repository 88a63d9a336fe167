"""The shape of an event (CloudEvents 1.0), checked before anything else is asked about it."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal

import msgspec

from billing.errors import Invalid
from billing.rules.periods import YEARS_TEXT, is_within_years
from billing.rules.quantities import InvalidValue
from billing.usage.events import (
    ATTRIBUTE_CHARACTERS_MAX,
    IncomingEvent,
    MalformedEvent,
    NumberText,
)

DATA_DEPTH_MAX = 20

_FIELD_CHARACTERS_MAX = 100


class InvalidEvent(Invalid):
    """Not an event of the shape we take."""

    code = "INVALID_EVENT"


def parse_event(raw: object) -> IncomingEvent | MalformedEvent:
    """An event from decoded JSON, numbers being `NumberText`: CloudEvents 1.0, JSON format §3.

    `time` and `data` may be absent or null; other attributes and extensions are ignored.
    """
    try:
        return _cloud_event(raw)
    except Invalid as error:
        return MalformedEvent.of(error, raw)


def incoming_event(
    *,
    id: str,
    source: str,
    type: str,
    subject: str,
    time: datetime | None,
    data: Mapping[str, object] | None,
) -> IncomingEvent | MalformedEvent:
    """An event from its parts, numbers being int, `Decimal` or text; a float is refused."""
    parts = {"id": id, "source": source, "type": type, "subject": subject}
    try:
        return _event({**parts, "data": data}, None if time is None else _utc(time))
    except Invalid as error:
        return MalformedEvent.of(error, {**parts, "time": time, "data": data})


def _cloud_event(raw: object) -> IncomingEvent:
    if not isinstance(raw, Mapping):
        raise InvalidEvent("An event must be a JSON object.")
    version = raw.get("specversion")
    if version != "1.0" or isinstance(version, NumberText):
        raise InvalidEvent('specversion must be "1.0".', field="specversion")
    if "data_base64" in raw:
        raise InvalidEvent("data must be a JSON object, not data_base64.", field="data_base64")
    return _event(raw, instant(raw.get("time")))


def _event(raw: Mapping[str, object], time: datetime | None) -> IncomingEvent:
    return IncomingEvent(
        attribute(raw, "id"),
        attribute(raw, "source"),
        attribute(raw, "type"),
        attribute(raw, "subject"),
        time,
        _data(raw.get("data")),
    )


def attribute(raw: Mapping[str, object], name: str) -> str:
    """A text that every event has. Raises `InvalidEvent`, naming it."""
    value = raw.get(name)
    if not isinstance(value, str) or isinstance(value, NumberText) or not value.strip():
        raise InvalidEvent(f"{name} must be a non-empty string.", field=name)
    if len(value) > ATTRIBUTE_CHARACTERS_MAX:
        raise InvalidEvent(
            f"{name} may have at most {ATTRIBUTE_CHARACTERS_MAX} characters.", field=name
        )
    return _storable_text(value, name)


def instant(value: object, field: str = "time") -> datetime | None:
    """An RFC 3339 instant in UTC; None for none. Raises `InvalidEvent`, naming `field`."""
    if value is None:
        return None
    try:
        return _utc(msgspec.convert(value, datetime), field)
    except (msgspec.ValidationError, UnicodeEncodeError):
        raise InvalidEvent(
            f"{field} must be an RFC 3339 instant such as 2026-11-01T12:00:00Z.", field=field
        ) from None


def _utc(time: datetime, field: str = "time") -> datetime:
    if time.tzinfo is None:
        raise InvalidEvent(f"{field} needs a time zone.", field=field)
    if not is_within_years(time):
        raise InvalidEvent(f"{field} must lie within {YEARS_TEXT}.", field=field)
    return time.astimezone(UTC)


def _data(value: object) -> dict[str, object]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InvalidEvent("data must be a JSON object.", field="data")
    return {
        _storable_text(key, "data"): _storable(item, f"data.{key[:_FIELD_CHARACTERS_MAX]}", 1)
        for key, item in value.items()
    }


def _storable(value: object, field: str, depth: int) -> object:
    match value:
        case NumberText():
            return _number(value, field)
        case str():
            return _storable_text(value, field)
        case bool() | None:
            return value
        case int() | Decimal():
            return _number(NumberText(Decimal(value)), field)
        case Mapping() | list() if depth == DATA_DEPTH_MAX:
            raise InvalidEvent(f"data may nest {DATA_DEPTH_MAX} levels deep.", field="data")
        case Mapping():
            return {
                _storable_text(key, field): _storable(item, field, depth + 1)
                for key, item in value.items()
            }
        case list():
            return [_storable(item, field, depth + 1) for item in value]
        case _:
            raise InvalidValue(
                f"{field} must be exact: send a decimal number as a string.", field=field
            )


def _number(text: NumberText, field: str) -> NumberText:
    """NaN and Infinity, which many JSON writers make, are refused wherever they stand."""
    if not text[-1].isdigit():
        raise InvalidValue(f"{field} must be a finite number, not {text}.", field=field)
    return text


def _storable_text(text: str, field: str) -> str:
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            raise InvalidEvent(f"{field} is not valid Unicode text.", field=field) from None
    if "\0" in text:
        raise InvalidEvent(f"{field} must not contain the NUL character.", field=field)
    return text
