"""Parameters, checked against the SDK's own `stripe.params` TypedDicts.

Those are generated from Stripe's OpenAPI description, so an unknown name, at any depth, is one
Stripe does not know either. What the types cannot say (lengths, combinations) is left to the
operations.
"""

import re
import types
import typing
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from functools import cache, partial
from typing import Any, Literal

from stripe._request_options import RequestOptions
from stripe._stripe_object import UntypedStripeObject
from typing_extensions import is_typeddict

from sandbox.stripe.errors import StripeError, missing, not_modelled
from sandbox.stripe.forms import Node

Params = dict[str, Any]
"""Checked parameters: int, bool, Decimal, str, lists and dicts of those; None was cleared by ""."""

Reader = Callable[[Node, str], Any]
"""Turns what arrived under a name into its value, or raises `StripeError` blaming that name."""

INTEGER = re.compile(r"-?\d+")
DECIMAL = re.compile(r"-?\d+(\.\d{1,12})?")
METADATA_KEYS_MAX = 50
METADATA_KEY_LENGTH_MAX = 40
METADATA_VALUE_LENGTH_MAX = 500

# Where recordings show Stripe listing choices in another order than the SDK's alphabetical one.
RECORDED_ORDER = ("draft", "open", "void", "paid", "uncollectible", "include", "exclude")


def read_params(shape: type, tree: dict[str, Node]) -> Params:
    """The values of `tree`, of the types `shape` (a `stripe.params` class) gives them.

    Raises `StripeError`: `parameter_unknown`, `parameter_missing`, `parameter_invalid_integer`, …
    """
    return _record(shape, tree, "")


def refuse_unmodelled(params: Params, modelled: Iterable[str], prefix: str = "") -> None:
    """Refuse a parameter the fake would have to ignore, unless it asks for nothing anyway.

    `discounts=""` and `automatic_tax[enabled]=false` ask for nothing.
    """
    for name, value in params.items():
        if name not in modelled and not _is_neutral(value):
            raise not_modelled(f"{prefix}[{name}]" if prefix else name)


def _is_neutral(value: object) -> bool:
    if isinstance(value, dict):
        return all(_is_neutral(part) for part in value.values())
    return value in (None, False, [])


def merge_metadata(current: dict[str, str], change: dict[str, str] | None) -> dict[str, str]:
    """Metadata after an update: keys are added or replaced, "" unsets one, None unsets all.

    Limits are Stripe's (docs, "Metadata"): 50 keys of 40 characters, values of 500.
    """
    if change is None:
        return {}
    for key, value in change.items():
        if len(key) > METADATA_KEY_LENGTH_MAX:
            raise StripeError(
                f"Metadata keys can have up to {METADATA_KEY_LENGTH_MAX} characters, but you"
                f" passed in a key that is {len(key)} characters. Invalid key: {key}"
            )
        if len(value) > METADATA_VALUE_LENGTH_MAX:
            raise StripeError(
                f"Metadata values can have up to {METADATA_VALUE_LENGTH_MAX} characters, but you"
                f" passed in a value that is {len(value)} characters. Invalid value: {value}"
            )
    merged = {key: value for key, value in (current | change).items() if value}
    if len(merged) > METADATA_KEYS_MAX:
        raise StripeError(f"You can have up to {METADATA_KEYS_MAX} metadata keys.")
    return merged


@cache
def _fields(shape: type) -> dict[str, Reader]:
    options = RequestOptions.__annotations__  # inherited by each shape; they travel as headers
    hints = typing.get_type_hints(shape, localns={"StripeContext": object, "Mapping": Mapping})
    return {name: _reader(hint) for name, hint in hints.items() if name not in options}


def _record(shape: type, node: Node, name: str) -> Params:
    if not isinstance(node, dict):
        raise StripeError("Invalid object", param=name)
    fields = _fields(shape)
    named = {part: f"{name}[{part}]" if name else part for part in (*node, *fields)}
    if unknown := [named[part] for part in node if part not in fields]:
        raise StripeError(
            f"Received unknown parameter{'s' * (len(unknown) > 1)}: {', '.join(unknown)}",
            code="parameter_unknown",
            param=unknown[0],
        )
    for part in fields:
        if part in shape.__required_keys__ and part not in node:  # type: ignore[attr-defined]
            raise missing(named[part])
    return {part: fields[part](value, named[part]) for part, value in node.items()}


def _reader(hint: Any) -> Reader:  # noqa: ANN401 - a type as typing gives it
    simple = SIMPLE.get(hint)
    if simple is not None:
        return simple
    if is_typeddict(hint):
        return partial(_record, hint)
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is list:
        return partial(_list, _reader(arguments[0]))
    if origin is dict:
        return _text_by_name
    if origin is Literal:
        return partial(_choice, arguments)
    assert origin in (typing.Union, types.UnionType), hint
    return _union(arguments)


def _union(members: tuple[Any, ...]) -> Reader:
    """`Literal['']|X` may be cleared; `Literal['a', 'b']|str` is a choice; a record may be int."""
    clear = Literal[""]
    wanted = [member for member in members if member not in (clear, type(None))]
    wanted = [member for member in wanted if typing.get_origin(member) is not UntypedStripeObject]
    literals = [member for member in wanted if typing.get_origin(member) is Literal]
    records = [member for member in wanted if is_typeddict(member)]
    chosen = (literals or records or wanted)[0]
    reader = _reader(chosen)
    if records and int in wanted:
        reader = partial(_record_or_integer, reader)
    return partial(_clearable, reader) if clear in members else reader


def _clearable(reader: Reader, node: Node, name: str) -> Any:  # noqa: ANN401 - whatever it reads
    return None if node == "" else reader(node, name)


def _record_or_integer(record: Reader, node: Node, name: str) -> Any:  # noqa: ANN401 - either
    return record(node, name) if isinstance(node, dict) else _integer(node, name)


def _scalar(node: Node, name: str) -> str:
    if not isinstance(node, str):
        raise StripeError("Invalid string", param=name)
    return node


def _given(node: Node, name: str) -> str:
    text = _scalar(node, name)
    if not text:
        raise StripeError(
            f"You passed an empty string for '{name}'. We assume empty values are an attempt to"
            f" unset a parameter; however '{name}' cannot be unset. You should remove '{name}'"
            " from your request or supply a non-empty value.",
            code="parameter_invalid_empty",
            param=name,
        )
    return text


def _text(node: Node, name: str) -> str | None:
    return _scalar(node, name) or None


def _integer(node: Node, name: str) -> int:
    text = _given(node, name)
    if not INTEGER.fullmatch(text):
        raise StripeError(f"Invalid integer: {text}", code="parameter_invalid_integer", param=name)
    return int(text)


def _boolean(node: Node, name: str) -> bool:
    text = _given(node, name)
    if text not in ("true", "false"):
        raise StripeError(f"Invalid boolean: {text}", param=name)
    return text == "true"


def _decimal(node: Node, name: str) -> Decimal:
    text = _given(node, name)
    if not DECIMAL.fullmatch(text):
        raise StripeError(
            f"Invalid decimal: {text}; must contain at maximum 12 decimal places.", param=name
        )
    return Decimal(text)


def _choice(choices: tuple[str, ...], node: Node, name: str) -> str:
    text = _given(node, name)
    if text not in choices:
        order = [*RECORDED_ORDER, *choices]
        *others, last = sorted(choices, key=order.index)
        listed = f"{', '.join(others)}{',' * (len(others) > 1)} or {last}" if others else last
        raise StripeError(f"Invalid {name}: must be one of {listed}", param=name)
    return text


def _list(reader: Reader, node: Node, name: str) -> list[Any]:
    if not isinstance(node, dict):
        raise StripeError("Invalid array", param=name)
    indexes = sorted(node, key=int) if all(map(str.isdecimal, node)) else list(node)
    return [reader(node[index], f"{name}[{index}]") for index in indexes]


def _text_by_name(node: Node, name: str) -> dict[str, str]:
    if not isinstance(node, dict):
        raise StripeError("Invalid object", param=name)
    return {key: _scalar(value, f"{name}[{key}]") for key, value in node.items()}


SIMPLE: dict[Any, Reader] = {
    str: _text,
    int: _integer,
    bool: _boolean,
    Decimal: _decimal,
    float: _decimal,  # the SDK's word for a percentage; here, too, no number is ever a float
}
