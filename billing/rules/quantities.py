"""Exact numbers from text: what may be a quantity or a price, checked before it is one."""

import re
from decimal import Decimal
from fractions import Fraction

from billing.errors import Invalid

INTEGER_DIGITS_MAX = 15
DECIMALS_MAX = 12

_NUMBER = re.compile(r"-?\d+(\.\d+)?([eE][+-]?\d{1,4})?\Z", re.ASCII)
_TEXT_CHARACTERS_MAX = 64


class InvalidValue(Invalid):
    """Not a number we can count exactly."""

    code = "INVALID_VALUE"


def exact_decimal(text: str, *, field: str) -> Decimal:
    """The number in `text`, exactly: at most 15 integer digits and 12 decimals.

    The text decides, so no float ever stands between what was sent and what is counted; JSON's
    exponent form is fine when the number it spells fits. Raises `InvalidValue` naming `field`.
    """
    if len(text) > _TEXT_CHARACTERS_MAX or not _NUMBER.match(text):
        raise InvalidValue(
            f"{field} must be a finite decimal number, not {text[:40]!r}.", field=field
        )
    number = Decimal(text)
    if not number:
        return Decimal(0)
    digits, decimals = _shape(number)
    if digits - decimals > INTEGER_DIGITS_MAX or decimals > DECIMALS_MAX:
        raise InvalidValue(
            f"{field} may have at most {INTEGER_DIGITS_MAX} digits before the point and"
            f" {DECIMALS_MAX} after it; {text[:40]} has more.",
            field=field,
        )
    return number


def _shape(number: Decimal) -> tuple[int, int]:
    """How many digits, and how many of them after the point, without trailing zeros.

    Not `normalize()`: that rounds to the context's precision.
    """
    _, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int), "the text was finite"
    significant = len(bytes(digits).rstrip(b"\0"))
    return significant, -(exponent + len(digits) - significant)


def plain(number: Decimal | Fraction | int) -> str:
    """Decimal digits without exponent or trailing zeros; a fraction to 12 decimals.

    `Decimal("1E+2")` is "100"; one third is "0.333333333333".
    """
    if isinstance(number, Fraction):
        number = Decimal(round(number * 10**DECIMALS_MAX)).scaleb(-DECIMALS_MAX)
    text = f"{number:f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return "0" if text == "-0" else text
