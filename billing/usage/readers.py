"""What usual events of one shape say, read column by column; pure.

For events that differ from the usual in anything at all there is no reading here:
`declared.EventType` reads those, one by one, and says what is wrong with them, if anything is.
"""

import re
from collections.abc import Mapping, Sequence
from types import NoneType
from typing import cast

import msgspec

from billing.models import Form
from billing.usage.declared import DIMENSION_CHARACTERS_MAX, FeedShape, Shape
from billing.usage.events import NumberText

_NUMBERS = re.compile(r"(?:(?:0|[1-9][0-9]{0,14})(?:\.[0-9]{1,12})?\n)*")
"""Plain decimals, one a line: as `declared` reads without a second look."""

Texts = Sequence[str | None]


class FeedColumns(msgspec.Struct, frozen=True, gc=False):
    """What each event adds to one meter of its type: as `declared.Reading` has it, side by side."""

    form: Form
    quantities: Sequence[str]
    labels: Sequence[str] | None
    dimensions: Sequence[tuple[str | None, ...]]


class DataColumns(msgspec.Struct, frozen=True, gc=False):
    """All that events of one shape say; `bodies` are what their fingerprints are made of.

    `feeds` are in the order of each type's own.
    """

    bodies: Sequence[bytes]
    feeds: Sequence[FeedColumns]


def read_columns(
    shape: Shape, names: Sequence[str], data: Sequence[Mapping[str, object]]
) -> DataColumns | None:
    """What events of the types of these names say.

    None unless every event has every value, as a usual number, and dimensions that are text.
    """
    values: list[Sequence[str]] = []
    for key in shape.value_keys:
        if (numbers := _usual_numbers([one.get(key) for one in data])) is None:
            return None
        values.append(numbers)
    texts: list[Texts] = []
    for key in shape.text_keys:
        if (column := _usual_texts([one.get(key) for one in data])) is None:
            return None
        texts.append(column)
    feeds = []
    for feed in shape.feeds:
        if (columns := _feed_columns(feed, len(data), values, texts)) is None:
            return None
        feeds.append(columns)
    parts = [names, *values, *(_spelled(column) for column in texts)]
    bodies = map("\0".join, zip(*parts, strict=True))
    return DataColumns([body.encode() for body in bodies], feeds)


def _feed_columns(
    feed: FeedShape, count: int, values: Sequence[Sequence[str]], texts: Sequence[Texts]
) -> FeedColumns | None:
    labels: list[str] | None = None
    if feed.form is Form.DISTINCT:
        labels = [one for one in texts[feed.value_at or 0] if one is not None]
        if len(labels) < count:
            return None
    quantities = _quantities(feed, count, values)
    chosen = [texts[at] for at in feed.dimensions_at]
    return FeedColumns(feed.form, quantities, labels, _rows(chosen, count))


def _quantities(feed: FeedShape, count: int, values: Sequence[Sequence[str]]) -> Sequence[str]:
    if feed.form is Form.DISTINCT:
        return ["0"] * count
    return ["1"] * count if feed.value_at is None else values[feed.value_at]


def _rows(columns: Sequence[Texts], count: int) -> list[tuple[str | None, ...]]:
    return list(zip(*columns, strict=True)) if columns else [()] * count


def _usual_numbers(column: Sequence[object]) -> list[str] | None:
    """As plain decimals, the shortest of each; None when any is missing, or needs a second look."""
    kinds = set(map(type, column))
    if not kinds <= {str, NumberText, int}:
        return None
    texts = cast(Sequence[str], [str(one) for one in column] if int in kinds else column)
    lines = "\n".join([*texts, ""])
    if lines.count("\n") != len(column) or not _NUMBERS.fullmatch(lines):
        return None
    numbers = lines[:-1].split("\n")
    if "." not in lines:
        return numbers
    return [one.rstrip("0").rstrip(".") if "." in one else one for one in numbers]


def _usual_texts(column: Sequence[object]) -> Texts | None:
    """None for what is missing; None for the whole of it when any is not text, or too long."""
    if not set(map(type, column)) <= {str, NoneType}:
        return None
    texts = [one or None for one in cast(Texts, column)]
    longest = max(map(len, filter(None, texts)), default=0)
    return texts if longest <= DIMENSION_CHARACTERS_MAX else None


def _spelled(column: Texts) -> Sequence[str]:
    """As a fingerprint spells them: the missing as nothing."""
    return [one or "" for one in column]
