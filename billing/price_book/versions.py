"""Reading the versions of a price: when they take effect, and their terms."""

from datetime import UTC, datetime

from billing.catalog import terms_of
from billing.errors import Invalid
from billing.models.base import Json
from billing.price_book.book import VersionEntry
from billing.price_book.entry import Entry
from billing.price_book.values import OneOf, instant, number
from billing.rules.money import Currency
from billing.rules.periods import ceil_hour
from billing.rules.prices import Model, Timing

_METERED = ("model", "included", "minimum", "maximum")
_FIELDS = {
    Model.PER_UNIT: (*_METERED, "unit_amount"),
    Model.PACKAGE: (*_METERED, "unit_amount", "package_size"),
    Model.GRADUATED: (*_METERED, "tiers"),
    Model.VOLUME: (*_METERED, "tiers"),
    Model.FLAT: ("model", "amount", "timing"),
}
_TIER_FIELDS = ("up_to", "unit_amount", "flat_amount")
_LONG_AGO = datetime(2000, 1, 1, tzinfo=UTC)

_model = OneOf(Model, "UNKNOWN_MODEL")
_timing = OneOf(Timing, "UNKNOWN_TIMING")


def read_version(entry: Entry, currency: Currency) -> VersionEntry:
    """A version; `effective_from` is rounded up to a whole UTC hour."""
    asked_for = entry.read("effective_from", instant, _LONG_AGO)
    terms = read_terms(entry, currency, besides=("effective_from",))
    return VersionEntry(entry.at, ceil_hour(asked_for), asked_for, terms)


def read_terms(entry: Entry, currency: Currency, *, besides: tuple[str, ...] = ()) -> Json:
    """What a version asks for, as it is stored; fields `besides` are somebody else's to read."""
    before = entry.problem_count
    model = entry.read("model", _model, Model.FLAT)
    if entry.problem_count > before:
        return {}
    entry.allow((*besides, *_FIELDS[model]), f"A {model} version")
    terms: Json = {"model": model.value}
    match model:
        case Model.FLAT:
            terms |= _fee(entry)
        case Model.PER_UNIT:
            terms |= _unit_amount(entry) | _bounds(entry)
        case Model.PACKAGE:
            size = entry.read("package_size", number, "1")
            terms |= _unit_amount(entry) | {"package_size": size} | _bounds(entry)
        case Model.GRADUATED | Model.VOLUME:
            terms |= {"tiers": [_tier(tier) for tier in entry.entries("tiers")]} | _bounds(entry)
    if entry.problem_count == before:
        _check(entry, terms, currency)
    return terms


def _fee(entry: Entry) -> Json:
    return {
        "amount": entry.read("amount", number, "0"),
        "timing": entry.read("timing", _timing, Timing.ARREARS).value,
    }


def _unit_amount(entry: Entry) -> Json:
    return {"unit_amount": entry.read("unit_amount", number, "0")}


def _bounds(entry: Entry) -> Json:
    """What every price of usage may have; `included` is stored as the allowance."""
    given = {
        "allowance": entry.find("included", number),
        "minimum": entry.find("minimum", number),
        "maximum": entry.find("maximum", number),
    }
    return {name: text for name, text in given.items() if text is not None}


def _tier(entry: Entry) -> Json:
    entry.allow(_TIER_FIELDS, "A tier")
    tier = {
        "up_to": entry.find("up_to", number),
        "unit_amount": entry.read("unit_amount", number, "0"),
        "flat_amount": entry.find("flat_amount", number),
    }
    return {name: text for name, text in tier.items() if text is not None}


def _check(entry: Entry, terms: Json, currency: Currency) -> None:
    """A ladder must hold and a fee be payable: `Terms` refuses to be anything else."""
    try:
        terms_of(terms, currency)
    except Invalid as error:
        entry.refuse(error.code, str(error), _field(error, terms))


def _field(error: Invalid, terms: Json) -> str | None:
    match error.field:
        case "allowance":
            return "included"
        case "tiers" if "tiers" not in terms:
            return "amount" if terms["model"] == Model.FLAT else "unit_amount"
        case None if terms["model"] == Model.FLAT:
            return "amount"
        case field:
            return field
