"""YAML as text: every scalar stays the text that was written, so no number is ever a float.

Nor is `no` a boolean or a date a date. Aliases are refused (they can make a small file vast), and
so are repeated keys, of which YAML would silently keep the last.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import yaml

from billing.price_book.problems import Place, PriceBookRefused, Problem

CHARACTERS_MAX = 1_000_000
_NULLS = ("", "~", "null")


@dataclass(frozen=True, slots=True)
class Text:
    """A scalar; None when it was left empty."""

    at: Place
    text: str | None


@dataclass(frozen=True, slots=True)
class Items:
    """A list."""

    at: Place
    items: tuple["Value", ...]


@dataclass(frozen=True, slots=True)
class Fields:
    """A mapping."""

    at: Place
    fields: Mapping[str, "Value"]


Value = Text | Items | Fields


class _Loader(yaml.BaseLoader):
    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # the stubs' gap
            raise yaml.MarkedYAMLError(None, None, "an alias (*…) must be written out", mark)
        return super().compose_node(parent, index)


def read_document(source: str | bytes, problems: list[Problem]) -> Value:
    """The values of one document. What is no YAML at all raises `PriceBookRefused` at once."""
    try:
        text = source.decode() if isinstance(source, bytes) else source
    except UnicodeDecodeError as error:
        raise _unreadable(f"The file is not UTF-8 text: {error.reason}.") from error
    if len(text) > CHARACTERS_MAX:
        raise _unreadable(f"The file has more than {CHARACTERS_MAX:,} characters.")
    try:
        node = yaml.compose(text, Loader=_Loader)
        if node is None:
            raise _unreadable("The file is empty: it needs meters and plans.")
        return _value(node, "", problems)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _unreadable(f"This is not YAML: {error.problem or error.context}.", line) from error
    except yaml.YAMLError as error:
        raise _unreadable(f"This is not YAML: {str(error).splitlines()[0]}.") from error
    except RecursionError as error:
        raise _unreadable("The file is nested too deeply to be a price book.") from error


def _unreadable(message: str, line: int = 1) -> PriceBookRefused:
    return PriceBookRefused([Problem(Place("", line), "NOT_A_PRICE_BOOK", message)])


def _value(node: yaml.Node, path: str, problems: list[Problem]) -> Value:
    at = Place(path, node.start_mark.line + 1)
    if isinstance(node, yaml.ScalarNode):
        is_null = node.style is None and node.value in _NULLS
        return Text(at, None if is_null else node.value)
    if isinstance(node, yaml.SequenceNode):
        items = (_value(item, f"{path}[{i}]", problems) for i, item in enumerate(node.value))
        return Items(at, tuple(items))
    return Fields(at, _fields(node, path, problems))


def _fields(node: yaml.Node, path: str, problems: list[Problem]) -> dict[str, Value]:
    fields: dict[str, Value] = {}
    for key, value in node.value:
        name = key.value if isinstance(key, yaml.ScalarNode) else "?"
        inner = f"{path}.{name}" if path else name
        if name in fields:
            here = Place(inner, key.start_mark.line + 1)
            first = fields[name].at.line
            message = f"{name} is given twice, first near line {first}: remove one."
            problems.append(Problem(here, "DUPLICATE_FIELD", message))
        fields[name] = _value(value, inner, problems)
    return fields
