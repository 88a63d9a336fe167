"""Digests: what makes two events, two bodies or two combinations of dimensions the same one.

SHA-256, which PostgreSQL can compute as well, so that a person with psql can check any of them.
No part holds a NUL, so joining parts by NUL is unambiguous.
"""

import json
from collections.abc import Mapping
from functools import lru_cache
from hashlib import blake2b, sha256

from billing.ids import OrgId
from billing.usage.declared import Body, EventType

_SERIES_BYTES = 16
_ORGANIZATION_BYTES = 4
_IDENTITY_BYTES = 12
_FINGERPRINT_BYTES = 8


def identity_key(org_id: OrgId, source: str, external_id: str) -> bytes:
    """The 16 bytes that stand for (organization, source, id).

    First the end of the organization's id, its random part, so that one organization's identities
    are neighbours in the index; then 96 bits of a digest over all of it.
    """
    return identity_key_of(org_id.bytes, source, external_id)


def identity_key_of(org_bytes: bytes, source: str, external_id: str) -> bytes:
    """The same, for who has the organization's bytes at hand."""
    digest = sha256(org_bytes + f"{source}\0{external_id}".encode()).digest()
    return org_bytes[-_ORGANIZATION_BYTES:] + digest[:_IDENTITY_BYTES]


def fingerprint(event_type: EventType, body: Body) -> int:
    """Of the type, the values and the declared dimensions as read: 1.0 and "1.00" are the same.

    A missing key counts as missing rather than not at all, for otherwise adding a value to an
    event could look like a meter added to the catalogue. A signed 64-bit number.
    """
    parts = [event_type.name]
    # What cannot be read is no text at all, so it is spelled as none can be.
    parts += [x if type(x) is str else "\0" if x else "" for x in body.values]
    parts += [x if type(x) is str else "\0" if x else "" for x in body.texts]
    digest = sha256("\0".join(parts).encode()).digest()
    return int.from_bytes(digest[:_FINGERPRINT_BYTES], "big", signed=True)


def is_body_of(stored: int, event_type: EventType, data: Mapping[str, object] | None) -> bool:
    """Whether the data is what was fingerprinted, by whatever meters there were then.

    Meters are only ever added to a type, so the catalogue was once each of its own beginnings.
    Without this, adding a meter would turn honest resends into conflicts.
    """
    known: EventType | None = event_type
    while known is not None:
        if fingerprint(known, known.body(data)) == stored:
            return True
        known = known.earlier
    return False


def dimensions_digest(dimensions: Mapping[str, str]) -> bytes:
    """What finds a series within its organization and meter."""
    return _digest_of(tuple(sorted(dimensions.items())))


@lru_cache(maxsize=10_000)
def _digest_of(items: tuple[tuple[str, str], ...]) -> bytes:
    text = json.dumps(items, separators=(",", ":"))
    return blake2b(text.encode(), digest_size=_SERIES_BYTES).digest()
