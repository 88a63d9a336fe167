"""One mapping of a price book, read field by field."""

from collections.abc import Collection, Iterator
from typing import Protocol, TypeVar

from billing.errors import Invalid
from billing.names import did_you_mean
from billing.price_book.document import Fields, Items, Text, Value
from billing.price_book.problems import Place, Problem

T = TypeVar("T")
T_co = TypeVar("T_co", covariant=True)


class Parse(Protocol[T_co]):
    """Makes a value of the text of a field; raises `Invalid`."""

    def __call__(self, text: str, *, field: str) -> T_co:
        """The value."""


class Entry:
    """What is wrong is noted and stood in for, so that all problems are found in one reading.

    A book with problems is never handed out, so nobody meets what stood in.
    """

    def __init__(self, value: Value, problems: list[Problem]) -> None:
        self.at = value.at
        self._problems = problems
        self._is_mapping = isinstance(value, Fields)
        self._fields = value.fields if isinstance(value, Fields) else {}
        if not self._is_mapping:
            self._note(value.at, "WRONG_SHAPE", "This must be a mapping of fields to values.")

    def refuse(self, code: str, message: str, field: str | None = None) -> None:
        """Note a problem with one field, or with the whole."""
        value = self._fields.get(field or "")
        missing = self.at.inside(field) if field else self.at
        self._note(value.at if value else missing, code, message)

    def allow(self, known: Collection[str], what: str) -> None:
        """Note every field that is not `known`; one that is ignored would be a trap."""
        for name, value in self._fields.items():
            if name not in known:
                hint = did_you_mean(name, known) or f" It may have {', '.join(known)}."
                self._note(value.at, "UNKNOWN_FIELD", f"{what} has no field {name!r}.{hint}")

    def read(self, field: str, parse: Parse[T], instead: T) -> T:
        """A text that must be there; `instead` stands in for what cannot be read."""
        found = self.find(field, parse)
        if found is None and self._is_mapping and not self._is_given(field):
            self.refuse("MISSING_FIELD", f"{field} is missing: add it.", field)
        return instead if found is None else found

    def find(self, field: str, parse: Parse[T]) -> T | None:
        """A text that may be absent or null."""
        match self._fields.get(field):
            case Text(at, text) if text is not None:
                return self._parsed(at, field, text, parse)
            case Items(at) | Fields(at):
                self._note(at, "WRONG_SHAPE", f"{field} must be a single value.")
            case _:
                pass
        return None

    def entries(self, field: str) -> list["Entry"]:
        """The mappings in a list; none when it is absent."""
        return [Entry(value, self._problems) for value in self._items(field)]

    def texts(self, field: str, parse: Parse[T]) -> list[T]:
        """The texts in a list."""
        found = (self._text(value, field, parse) for value in self._items(field))
        return [text for text in found if text is not None]

    def entry(self, field: str) -> "Entry | None":
        """A mapping that may be absent."""
        value = self._fields.get(field)
        return Entry(value, self._problems) if value and self._is_given(field) else None

    def is_list(self, field: str) -> bool:
        """Whether the field holds a list."""
        return isinstance(self._fields.get(field), Items)

    def check_name(self, name: str, check: Parse[object]) -> None:
        """Note what is wrong with the name of one of its fields."""
        self._parsed(self._fields[name].at, name, name, check)

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    @property
    def problem_count(self) -> int:
        """How many problems the whole book has so far."""
        return len(self._problems)

    def _items(self, field: str) -> tuple[Value, ...]:
        match self._fields.get(field):
            case Items(_, items):
                return items
            case Fields(at) | Text(at, str()):
                self._note(at, "WRONG_SHAPE", f"{field} must be a list.")
            case _:
                pass
        return ()

    def _text(self, value: Value, field: str, parse: Parse[T]) -> T | None:
        if isinstance(value, Text) and value.text is not None:
            return self._parsed(value.at, field, value.text, parse)
        self._note(value.at, "WRONG_SHAPE", f"{field} must be a list of single values.")
        return None

    def _parsed(self, at: Place, field: str, text: str, parse: Parse[T]) -> T | None:
        try:
            return parse(text, field=field)
        except Invalid as error:
            self._note(at, error.code, str(error))
            return None

    def _is_given(self, field: str) -> bool:
        value = self._fields.get(field)
        return value is not None and value != Text(value.at, None)

    def _note(self, at: Place, code: str, message: str) -> None:
        self._problems.append(Problem(at, code, message))
