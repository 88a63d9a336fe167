"""Terms given by an app instead of a file: read by the same rules, refused by the same codes."""

from collections.abc import Mapping

from billing.errors import Invalid
from billing.models.base import Json
from billing.price_book.document import Fields, Items, Text, Value
from billing.price_book.entry import Entry
from billing.price_book.problems import Place, Problem
from billing.price_book.versions import read_terms
from billing.rules.money import Currency

_HERE = Place("terms", 0)


def read_given_terms(given: Mapping[str, object], currency: Currency) -> Json:
    """A version's fields as a price book has them, every figure a text, as terms to be stored.

    Raises `Invalid` with the first problem: its code, its words and its field within `terms`.
    """
    problems: list[Problem] = []
    terms = read_terms(Entry(_value(given, _HERE), problems), currency)
    if problems:
        first = problems[0]
        raise Invalid(first.message, code=first.code, field=first.at.path)
    return terms


def _value(given: object, at: Place) -> Value:
    if isinstance(given, Mapping):
        return Fields(at, {str(k): _value(v, at.inside(str(k))) for k, v in given.items()})
    if isinstance(given, list):
        places = [Place(f"{at.path}[{i}]", at.line) for i in range(len(given))]
        return Items(at, tuple(map(_value, given, places)))
    return Text(at, None if given is None else str(given))
