"""Reading a price book: the whole file is checked before any of it is used."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from billing.price_book.book import MeterEntry, PlanEntry, PriceBook
from billing.price_book.document import read_document
from billing.price_book.entry import Entry
from billing.price_book.meters import read_meter
from billing.price_book.plans import read_plan
from billing.price_book.problems import PriceBookRefused, Problem

_FIELDS = ("meters", "plans")
Sluggish = TypeVar("Sluggish", MeterEntry, PlanEntry)


def read_price_book(source: str | bytes) -> PriceBook:
    """The book in a YAML file. Raises `PriceBookRefused` with every problem of its own.

    What only the database can tell, such as a price for a meter that is nowhere, is checked when
    the book is applied.
    """
    problems: list[Problem] = []
    root = Entry(read_document(source, problems), problems)
    root.allow(_FIELDS, "A price book")
    book = PriceBook(
        meters=_read(root.entries("meters"), read_meter),
        plans=_read(root.entries("plans"), read_plan),
    )
    if not problems and not book.meters and not book.plans:
        root.refuse("NOT_A_PRICE_BOOK", "The file needs meters or plans.")
    if problems:
        raise PriceBookRefused(sorted(problems, key=lambda problem: problem.at.line))
    return book


def _read(entries: Sequence[Entry], read: Callable[[Entry], Sluggish]) -> tuple[Sluggish, ...]:
    found: dict[str, Sluggish] = {}
    for entry in entries:
        one = read(entry)
        if one.slug in found and one.slug:
            first = found[one.slug].at
            entry.refuse("DUPLICATE_SLUG", f"{first} has the same slug: rename one.", "slug")
        found[one.slug] = one
    return tuple(found.values())
