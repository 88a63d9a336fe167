"""What the catalogue declares of an event type, and what one event says of that. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property

from billing.errors import Invalid
from billing.models import Meter
from billing.rules.aggregation import Aggregation
from billing.rules.quantities import InvalidValue, exact_decimal, plain
from billing.usage.events import NumberText

DIMENSION_CHARACTERS_MAX = 200

GAUGES = frozenset({Aggregation.LATEST, Aggregation.TIME_WEIGHTED})
"""Their series keep a value until the next event, so that none is ever too old."""

_ONE = Decimal(1)


class MissingValue(Invalid):
    """A value is needed and not there."""

    code = "MISSING_VALUE"


class NegativeValue(Invalid):
    """Usage only grows; what was wrong is voided, not taken back."""

    code = "NEGATIVE_VALUE"


@dataclass(frozen=True, slots=True)
class Reading:
    """What one event adds to one meter; a COUNT meter reads 1."""

    meter: Meter
    value: Decimal
    dimensions: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Body:
    """The declared part of an event's data, by key: read, or why it cannot be; missing left out."""

    values: Mapping[str, Decimal | Invalid]
    dimensions: Mapping[str, str | Invalid]

    def as_data(self) -> dict[str, str]:
        """What is kept of an accepted event: values as plain decimals, and dimensions."""
        values = {k: plain(v) for k, v in self.values.items() if isinstance(v, Decimal)}
        return values | {k: v for k, v in self.dimensions.items() if isinstance(v, str)}


@dataclass(frozen=True)
class EventType:
    """All meters that feed on one event type, in the order they were recorded."""

    name: str
    meters: Sequence[Meter]

    @cached_property
    def value_keys(self) -> tuple[str, ...]:
        """The keys of the data that hold values."""
        keys = (meter.value_property for meter in self.meters if _needs_value(meter))
        return tuple(sorted({key for key in keys if key}))

    @cached_property
    def dimension_keys(self) -> tuple[str, ...]:
        """The keys of the data that hold dimensions."""
        return tuple(sorted({key for meter in self.meters for key in meter.dimensions.values()}))

    @cached_property
    def earlier(self) -> "EventType | None":
        """The same type as it was before its latest meter was added."""
        return EventType(self.name, self.meters[:-1]) if len(self.meters) > 1 else None

    def body(self, data: Mapping[str, object]) -> Body:
        """Read everything declared; what is wrong with it is said where it is needed."""
        values = {key: _value(data[key], key) for key in self.value_keys if _has(data, key)}
        dimensions = {
            key: _dimension(data[key], key) for key in self.dimension_keys if _has(data, key)
        }
        return Body(values, dimensions)

    def fed(self, body: Body) -> list[Meter]:
        """The meters this event is for: those that count events, and those whose value it has."""
        return [
            meter
            for meter in self.meters
            if not _needs_value(meter) or meter.value_property in body.values
        ]

    def readings(self, body: Body) -> list[Reading]:
        """What the event adds to each of its meters; it must be right for all of them.

        Raises `MissingValue`, `InvalidValue` or `NegativeValue`, naming the field.
        """
        if not (fed := self.fed(body)):
            wanted = " or ".join(f"data.{key}" for key in self.value_keys)
            raise MissingValue(
                f"An event of type {self.name} needs a value in {wanted}.",
                field=f"data.{self.value_keys[0]}" if self.value_keys else "data",
            )
        return [Reading(meter, _counted(meter, body), _dimensions(meter, body)) for meter in fed]


def _needs_value(meter: Meter) -> bool:
    return meter.aggregation is not Aggregation.COUNT


def _has(data: Mapping[str, object], key: str) -> bool:
    """An empty dimension is a missing one, as null is."""
    return data.get(key) not in (None, "")


def _counted(meter: Meter, body: Body) -> Decimal:
    if not _needs_value(meter):
        return _ONE
    assert meter.value_property is not None, "only fed meters are read"
    value = body.values[meter.value_property]
    if isinstance(value, Invalid):
        raise value
    if value < 0:
        field = f"data.{meter.value_property}"
        raise NegativeValue(f"{field} must not be negative.", field=field)
    return value


def _dimensions(meter: Meter, body: Body) -> dict[str, str]:
    read: dict[str, str] = {}
    for name, key in meter.dimensions.items():
        text = body.dimensions.get(key)
        if isinstance(text, Invalid):
            raise text
        if text is not None:
            read[name] = text
    return read


def _value(raw: object, key: str) -> Decimal | Invalid:
    field = f"data.{key}"
    if not isinstance(raw, str):
        return InvalidValue(f"{field} must be a number or a numeric string.", field=field)
    try:
        return exact_decimal(raw, field=field)
    except InvalidValue as error:
        return error


def _dimension(raw: object, key: str) -> str | Invalid:
    """Text as it is; a number as its plain decimal and a boolean as in JSON."""
    field = f"data.{key}"
    match raw:
        case NumberText():
            number = _value(raw, key)
            return number if isinstance(number, Invalid) else plain(number)
        case bool():
            return "true" if raw else "false"
        case str() if len(raw) <= DIMENSION_CHARACTERS_MAX:
            return raw
        case str():
            return InvalidValue(
                f"{field} may have at most {DIMENSION_CHARACTERS_MAX} characters.", field=field
            )
        case _:
            return InvalidValue(f"{field} must be text, a number or a boolean.", field=field)
