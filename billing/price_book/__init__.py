"""A price book: the catalogue as a YAML file, checked as a whole, compared, and applied."""

from billing.price_book.applying import apply_price_book
from billing.price_book.book import PriceBook
from billing.price_book.differences import BookDiff, Change, Difference
from billing.price_book.problems import Place, PriceBookRefused, Problem
from billing.price_book.reading import read_price_book

__all__ = [
    "BookDiff",
    "Change",
    "Difference",
    "Place",
    "PriceBook",
    "PriceBookRefused",
    "Problem",
    "apply_price_book",
    "read_price_book",
]
