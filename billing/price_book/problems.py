"""What is wrong with a price book, where, and what to do about it."""

from collections.abc import Sequence
from dataclasses import dataclass

from billing.errors import Invalid


@dataclass(frozen=True, slots=True)
class Place:
    """Where something stands in the file: `plans[0].prices[2].versions[0]`, and its line."""

    path: str
    line: int

    def inside(self, field: str) -> "Place":
        """A field of what stands here."""
        return Place(f"{self.path}.{field}" if self.path else field, self.line)

    def __str__(self) -> str:
        return f"{self.path or 'the file'} (line {self.line})"


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend. `code` is stable; `message` says what to do."""

    at: Place
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.at}: {self.code}: {self.message}"


class PriceBookRefused(Invalid):
    """The book cannot be applied, and nothing of it was: `problems` are all there are."""

    code = "PRICE_BOOK_REFUSED"

    def __init__(self, problems: Sequence[Problem]) -> None:
        count = "one problem" if len(problems) == 1 else f"{len(problems)} problems"
        super().__init__(f"The price book has {count}; nothing was written.")
        self.problems = tuple(problems)
