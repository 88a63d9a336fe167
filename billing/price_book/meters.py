"""Reading the meters of a price book."""

from billing.names import checked_name, checked_slug
from billing.price_book.book import MeterEntry
from billing.price_book.entry import Entry
from billing.price_book.values import OneOf
from billing.rules.aggregation import Aggregation

DIMENSIONS_MAX = 8
_FIELDS = ("slug", "name", "unit", "event_type", "value", "aggregation", "dimensions")
_aggregation = OneOf(Aggregation, "UNKNOWN_AGGREGATION")


def read_meter(entry: Entry) -> MeterEntry:
    """A meter; what is wrong with it is noted."""
    entry.allow(_FIELDS, "A meter")
    aggregation = entry.read("aggregation", _aggregation, Aggregation.SUM)
    return MeterEntry(
        at=entry.at,
        slug=entry.read("slug", checked_slug, ""),
        name=entry.read("name", checked_name, ""),
        unit=entry.read("unit", checked_name, ""),
        event_type=entry.read("event_type", checked_name, ""),
        value_property=_value_property(entry, aggregation),
        aggregation=aggregation,
        dimensions=_dimensions(entry),
    )


def _value_property(entry: Entry, aggregation: Aggregation) -> str | None:
    if aggregation is not Aggregation.COUNT:
        return entry.read("value", checked_name, "")
    if entry.find("value", checked_name):
        entry.refuse("UNUSED_VALUE", "COUNT counts events whatever they carry: remove it.", "value")
    return None


def _dimensions(entry: Entry) -> dict[str, str]:
    """`[app, region]`, or `{app: app_name}` where the data calls them something else."""
    if entry.is_list("dimensions"):
        names = entry.texts("dimensions", checked_slug)
        found = {name: name for name in names}
        if len(found) < len(names):
            entry.refuse("DUPLICATE_DIMENSION", "A dimension is named twice.", "dimensions")
    else:
        found = _named_dimensions(entry.entry("dimensions"))
    if len(found) > DIMENSIONS_MAX:
        entry.refuse(
            "TOO_MANY_DIMENSIONS",
            f"A meter has at most {DIMENSIONS_MAX} dimensions, not {len(found)}.",
            "dimensions",
        )
    return found


def _named_dimensions(mapping: Entry | None) -> dict[str, str]:
    if mapping is None:
        return {}
    for name in mapping:
        mapping.check_name(name, checked_slug)
    return {name: mapping.read(name, checked_name, "") for name in mapping}
