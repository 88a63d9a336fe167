"""Global ids: opaque, tagged with their type, so that `node(id)` finds anything (Relay)."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from uuid import UUID

import strawberry

from billing.errors import Invalid


@strawberry.interface(description="Anything with a global id. `node(id)` fetches it again.")
class Node:
    """What Relay-style clients cache by."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable; never reused.")


def global_id(type_name: str, *keys: UUID) -> strawberry.ID:
    """A type's name and the ids that find its row: an organization's own things name it first.

    So no look-up by a client's id can ever forget whose the row must be.
    """
    text = ":".join([type_name, *(key.hex for key in keys)])
    return strawberry.ID(urlsafe_b64encode(text.encode()).decode())


def parsed_id(text: str, *, field: str = "id") -> tuple[str, list[UUID]]:
    """Type name and ids. Raises `Invalid` for what was never one of our ids."""
    try:
        type_name, *keys = urlsafe_b64decode(text.encode()).decode().split(":")
        return type_name, [UUID(key) for key in keys]
    except ValueError:
        raise Invalid(f"{text[:60]!r} is not an id of this API.", field=field) from None


def keys_of(type_name: str, size: int, text: str, *, field: str) -> list[UUID]:
    """The ids of this type only. Raises `Invalid` for another type's id."""
    found, keys = parsed_id(text, field=field)
    if found != type_name or len(keys) != size:
        raise Invalid(f"{text[:60]!r} is no {type_name}'s id.", field=field)
    return keys
