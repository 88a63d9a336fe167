"""What makes two bodies, or two combinations of dimensions, the same one: short digests."""

import json
from collections.abc import Mapping
from decimal import Decimal
from hashlib import blake2b

from billing.errors import Invalid
from billing.rules.quantities import plain
from billing.usage.declared import Body, EventType

_DIGEST_BYTES = 16


def fingerprint(event_type: EventType, body: Body) -> bytes:
    """Of the type, the values and the declared dimensions as read: 1.0 and "1.00" are the same.

    A missing key counts as missing rather than not at all, for otherwise adding a value to an
    event could look like a meter added to the catalogue.
    """
    values = [[key, _spelled(body.values.get(key))] for key in event_type.value_keys]
    dimensions = [[key, _spelled(body.dimensions.get(key))] for key in event_type.dimension_keys]
    return _digest([event_type.name, values, dimensions])


def is_body_of(stored: bytes, event_type: EventType, body: Body) -> bool:
    """Whether the body is the one that was fingerprinted, by whatever meters there were then.

    Meters are only ever added to a type, so the catalogue was once each of its own beginnings.
    Without this, adding a meter would turn honest resends into conflicts.
    """
    known: EventType | None = event_type
    while known is not None:
        if fingerprint(known, body) == stored:
            return True
        known = known.earlier
    return False


def dimensions_digest(dimensions: Mapping[str, str]) -> bytes:
    """What finds a series within its organization and meter."""
    return _digest(sorted(dimensions.items()))


def _spelled(read: Decimal | str | Invalid | None) -> str | bool | None:
    match read:
        case Decimal():
            return plain(read)
        case Invalid():
            return False  # nothing like it was ever stored
        case _:
            return read


def _digest(content: object) -> bytes:
    text = json.dumps(content, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=_DIGEST_BYTES).digest()
