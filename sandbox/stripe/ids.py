"""Ids that look like Stripe's."""

import random
import string

LETTERS_AND_DIGITS = string.ascii_letters + string.digits
CAPITALS_AND_DIGITS = string.ascii_uppercase + string.digits

# Account-scoped objects of newer make carry a 24-character tail, older ones 14.
TAIL_LENGTHS = {"cus": 14, "req": 14, "prod": 14}
TAIL_LENGTH = 24
INVOICE_PREFIX_LENGTH = 8


class Ids:
    """Fresh ids. The same seed gives the same ids; no seed gives ids no earlier run has given."""

    def __init__(self, seed: int | None = None) -> None:
        self._random = random.Random(seed)  # noqa: S311 - names of play objects, no secrets

    def new(self, prefix: str) -> str:
        """For instance `in_5fX…` for the prefix `in`."""
        length = TAIL_LENGTHS.get(prefix, TAIL_LENGTH)
        return f"{prefix}_{''.join(self._random.choices(LETTERS_AND_DIGITS, k=length))}"

    def invoice_prefix(self) -> str:
        """What a customer's invoice numbers start with: eight capitals and digits."""
        return "".join(self._random.choices(CAPITALS_AND_DIGITS, k=INVOICE_PREFIX_LENGTH))
