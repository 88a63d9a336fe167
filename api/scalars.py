"""Scalars that lose nothing: decimals are text, instants are UTC, and a float is refused.

Strawberry's own `Decimal` takes NaN and prints 1E+2, and its `DateTime` takes an instant that does
not say where on earth it was.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from typing import NewType

import strawberry
from graphql import (
    FloatValueNode,
    GraphQLError,
    IntValueNode,
    ListValueNode,
    ObjectValueNode,
    StringValueNode,
    ValueNode,
    VariableNode,
    value_from_ast_untyped,
)
from strawberry.types.scalar import ScalarDefinition

from billing.errors import BillingError
from billing.rules.money import Currency
from billing.rules.periods import YEARS_TEXT, is_within_years
from billing.rules.quantities import exact_decimal, plain

CurrencyCode = NewType("CurrencyCode", Currency)
JSONObject = NewType("JSONObject", Mapping[str, object])


def exactly(number: Decimal | Fraction) -> Decimal:
    """A quantity or an unrounded amount as shown: no trailing zeros, a fraction to 12 decimals."""
    return Decimal(plain(number))


def decimal_text(value: object) -> str:
    """`Decimal("1E+2")` is "100"; cents keep their zeros: "12.30"."""
    if not isinstance(value, Decimal) or not value.is_finite():
        raise TypeError(f"{value!r} is not a finite Decimal")
    return f"{value:f}"


def decimal_from(value: object) -> Decimal:
    """A decimal from a string, or from a whole number; never from a float."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise GraphQLError('A Decimal is sent as a string, such as "12.50".')
    try:
        return exact_decimal(str(value), field="Decimal")
    except BillingError as error:
        raise GraphQLError(str(error), original_error=error) from error


def decimal_literal(node: ValueNode, _variables: object = None) -> Decimal:
    """The same for a value written into the query itself."""
    if isinstance(node, StringValueNode | IntValueNode):
        return decimal_from(node.value)
    raise GraphQLError('A Decimal is written as a string, such as "12.50".', node)


def instant_text(value: datetime) -> str:
    """In UTC, such as 2026-11-10T14:00:00Z."""
    return value.astimezone(UTC).isoformat().replace("+00:00", "Z")


def instant_from(value: object) -> datetime:
    """An ISO 8601 instant that names its offset, within `YEARS`; held in UTC."""
    try:
        instant = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise GraphQLError(
            "A DateTime is ISO 8601 with an offset, such as 2026-11-10T14:00:00Z"
            f" or 2026-11-10T15:00:00+01:00, not {str(value)[:40]!r}."
        )
    if not is_within_years(instant):
        raise GraphQLError(f"A DateTime must lie within {YEARS_TEXT}, not {str(value)[:40]!r}.")
    return instant.astimezone(UTC)


def currency_from(value: object) -> Currency:
    """One of the currencies we bill in."""
    if isinstance(value, str) and value in set(Currency):
        return Currency(value)
    raise GraphQLError(f"{str(value)[:40]!r} is not one of {', '.join(Currency)}.")


def object_from(value: object) -> Mapping[str, object]:
    """A JSON object as it was parsed: its numbers are ints and Decimals."""
    if isinstance(value, Mapping):
        return value
    raise GraphQLError('An object is expected, such as {value: 3, app: "api"}.')


def object_literal(node: ValueNode, variables: Mapping[str, object] | None = None) -> object:
    """The same written into the query itself; variables may stand inside."""
    return object_from(_untyped(node, variables or {}))


def _untyped(node: ValueNode, variables: Mapping[str, object]) -> object:
    """graphql-core's `value_from_ast_untyped`, but a number with a point stays exact."""
    match node:
        case ObjectValueNode():
            return {x.name.value: _untyped(x.value, variables) for x in node.fields}
        case ListValueNode():
            return [_untyped(x, variables) for x in node.values]
        case VariableNode():
            return variables.get(node.name.value)
        case FloatValueNode():
            return Decimal(node.value)
        case _:
            return value_from_ast_untyped(node)


SCALARS: dict[object, ScalarDefinition] = {
    Decimal: strawberry.scalar(
        name="Decimal",
        description=(
            "An exact decimal number as a string, never in exponent form: at most 15 digits before"
            " the point and 12 after it. Whole numbers may be sent as integers; a float is refused."
        ),
        serialize=decimal_text,
        parse_value=decimal_from,
        parse_literal=decimal_literal,
    ),
    datetime: strawberry.scalar(
        name="DateTime",
        description=(
            "An instant, ISO 8601 with an offset (RFC 3339), within the years 1970 to 2199;"
            " always answered in UTC."
        ),
        specified_by_url="https://www.rfc-editor.org/rfc/rfc3339",
        serialize=instant_text,
        parse_value=instant_from,
    ),
    CurrencyCode: strawberry.scalar(
        name="CurrencyCode",
        description="An ISO 4217 code in capitals, of a currency we bill in, such as USD.",
        specified_by_url="https://www.iso.org/iso-4217-currency-codes.html",
        serialize=str,
        parse_value=currency_from,
    ),
    JSONObject: strawberry.scalar(
        name="JSONObject",
        description="A JSON object. Numbers in it are read exactly, never as floats.",
        serialize=dict,
        parse_value=object_from,
        parse_literal=object_literal,
    ),
}
