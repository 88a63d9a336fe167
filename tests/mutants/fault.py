"""What a fault is: a text of the product's source, what stands there instead, and who notices."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Fault:
    """`changes` are pairs of a text that stands once in `file`, and what is planted for it.

    `tests` are those of which one at least must fail, as pytest names them.
    """

    name: str
    file: str
    changes: tuple[tuple[str, str], ...]
    tests: tuple[str, ...]


def fault(name: str, file: str, stands: str, planted: str, *tests: str) -> Fault:
    """A fault of one change."""
    return Fault(name, file, ((stands, planted),), tests)
