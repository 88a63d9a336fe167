"""What the catalogue declares of an event type, and what one event says of that. Pure."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import msgspec

from billing.errors import Invalid
from billing.models import Form, Meter
from billing.rules.aggregation import Aggregation
from billing.rules.quantities import InvalidValue, exact_decimal, plain
from billing.usage.events import NumberText

DIMENSION_CHARACTERS_MAX = 200

FORMS: Mapping[Aggregation, Form] = {
    Aggregation.SUM: Form.COUNTED,
    Aggregation.COUNT: Form.COUNTED,
    Aggregation.MAX: Form.COUNTED,
    Aggregation.LATEST: Form.HELD,
    Aggregation.TIME_WEIGHTED: Form.HELD,
    Aggregation.UNIQUE_COUNT: Form.DISTINCT,
}

_USUAL_NUMBER = re.compile(r"(?:0|[1-9]\d{0,14})(?:\.\d{1,12})?\Z", re.ASCII)
"""What nearly every quantity looks like, so that nearly none needs the careful reading."""


class MissingValue(Invalid):
    """A value is needed and not there."""

    code = "MISSING_VALUE"


class NegativeValue(Invalid):
    """Usage only grows; what was wrong is voided, not taken back."""

    code = "NEGATIVE_VALUE"


@dataclass(frozen=True, slots=True, eq=False)
class Feed:
    """One meter of an event type, and where in a `Body` its value and its dimensions are.

    `number` is its place among all feeds of the process's catalogue. COUNT reads no value.
    """

    meter: Meter
    number: int
    form: Form
    value_at: int | None
    dimensions_at: tuple[int, ...]

    def named(self, dimensions: Sequence[str | None]) -> dict[str, str]:
        """Dimensions by name, without the missing ones."""
        pairs = zip(self.meter.dimensions, dimensions, strict=True)
        return {name: value for name, value in pairs if value is not None}


class Reading(msgspec.Struct, frozen=True, gc=False):
    """What one event adds to one series: a plain decimal, 0 where only the label counts.

    `dimensions` are the values in the order of the meter's, None where one is missing.
    """

    feed: Feed
    quantity: str
    label: str | None
    dimensions: tuple[str | None, ...]


class Body(msgspec.Struct, frozen=True, gc=False):
    """The declared part of an event's data: read, or why it cannot be; None for what is missing.

    In the order of the type's `value_keys` and `text_keys`. Values are plain decimals, a minus
    sign still being there to be refused.
    """

    values: tuple[str | Invalid | None, ...]
    texts: tuple[str | Invalid | None, ...]


@dataclass(frozen=True)
class EventType:
    """All meters that feed on one event type, in the order they were recorded."""

    name: str
    meters: Sequence[Meter]
    first_feed: int = 0

    @cached_property
    def feeds(self) -> tuple[Feed, ...]:
        """The same, with where their parts are."""
        return tuple(self._feed(meter, place) for place, meter in enumerate(self.meters))

    @cached_property
    def value_keys(self) -> tuple[str, ...]:
        """The keys of the data that hold quantities."""
        return tuple(sorted({key for form, key in self._valued if form is not Form.DISTINCT}))

    @cached_property
    def text_keys(self) -> tuple[str, ...]:
        """The keys of the data that hold text: dimensions, and labels to be told apart."""
        labels = {key for form, key in self._valued if form is Form.DISTINCT}
        dimensions = {key for meter in self.meters for key in meter.dimensions.values()}
        return tuple(sorted(labels | dimensions))

    @cached_property
    def _valued(self) -> tuple[tuple[Form, str], ...]:
        return tuple(
            (FORMS[meter.aggregation], meter.value_property)
            for meter in self.meters
            if meter.aggregation is not Aggregation.COUNT and meter.value_property
        )

    def _feed(self, meter: Meter, place: int) -> Feed:
        form = FORMS[meter.aggregation]
        keys = self.text_keys if form is Form.DISTINCT else self.value_keys
        counts = meter.aggregation is Aggregation.COUNT or not meter.value_property
        return Feed(
            meter,
            self.first_feed + place,
            form,
            None if counts else keys.index(str(meter.value_property)),
            tuple(self.text_keys.index(key) for key in meter.dimensions.values()),
        )

    @cached_property
    def holds_only(self) -> bool:
        """Whether nothing but gauges feeds on it: their values are never too old."""
        return bool(self.feeds) and all(feed.form is Form.HELD for feed in self.feeds)

    @cached_property
    def earlier(self) -> "EventType | None":
        """The same type as it was before its latest meter was added."""
        return EventType(self.name, self.meters[:-1]) if len(self.meters) > 1 else None

    def body(self, data: Mapping[str, object] | None) -> Body:
        """Read everything declared; what is wrong with it is said where it is needed."""
        get = (data or {}).get
        return Body(
            tuple([_quantity(get(key), key) for key in self.value_keys]),
            tuple([_text(get(key), key) for key in self.text_keys]),
        )

    def readings(self, body: Body) -> list[Reading]:
        """What the event adds to each of its meters; it must be right for all of them.

        Raises `MissingValue`, `InvalidValue` or `NegativeValue`, naming the field.
        """
        readings = []
        for feed in self.feeds:
            quantity: str | None = "1"
            label = None
            if feed.form is Form.DISTINCT:
                quantity = label = _right(body.texts[feed.value_at or 0])
            elif feed.value_at is not None:
                quantity = _right(body.values[feed.value_at])
                if quantity and quantity[0] == "-":
                    raise _negative(self.value_keys[feed.value_at])
            if quantity is not None:
                dimensions = tuple([_right(body.texts[at]) for at in feed.dimensions_at])
                readings.append(
                    Reading(feed, quantity if label is None else "0", label, dimensions)
                )
        if not readings:
            self._refuse_without_value()
        return readings

    def _refuse_without_value(self) -> None:
        keys = sorted({key for _, key in self._valued})
        wanted = " or ".join(f"data.{key}" for key in keys)
        raise MissingValue(
            f"An event of type {self.name} needs a value in {wanted}.",
            field=f"data.{keys[0]}" if keys else "data",
        )


def _right(read: str | Invalid | None) -> str | None:
    if isinstance(read, Invalid):
        raise read
    return read


def _negative(key: str) -> NegativeValue:
    return NegativeValue(f"data.{key} must not be negative.", field=f"data.{key}")


def _quantity(raw: object, key: str) -> str | Invalid | None:
    """As a plain decimal. An empty text is a missing value, as null is."""
    if raw is None or raw == "":
        return None
    if type(raw) is int:
        raw = str(raw)
    elif not isinstance(raw, str):
        field = f"data.{key}"
        return InvalidValue(f"{field} must be a number or a numeric string.", field=field)
    if _USUAL_NUMBER.match(raw):
        return raw.rstrip("0").rstrip(".") if "." in raw else str(raw)
    try:
        return plain(exact_decimal(raw, field=f"data.{key}"))
    except InvalidValue as error:
        return error


def _text(raw: object, key: str) -> str | Invalid | None:
    """Text as it is; a number as its plain decimal and a boolean as in JSON; empty is missing."""
    if type(raw) is str:
        if len(raw) <= DIMENSION_CHARACTERS_MAX:
            return raw or None
        field = f"data.{key}"
        return InvalidValue(
            f"{field} may have at most {DIMENSION_CHARACTERS_MAX} characters.", field=field
        )
    if raw is None:
        return None
    if isinstance(raw, bool):
        return "true" if raw else "false"
    if isinstance(raw, int | NumberText):
        return _quantity(raw, key)
    field = f"data.{key}"
    return InvalidValue(f"{field} must be text, a number or a boolean.", field=field)
