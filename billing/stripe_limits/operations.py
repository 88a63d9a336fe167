"""Which of Stripe's named operations a request is: those of other ids share one limit."""

from urllib.parse import urlsplit

_ACTIONS = {"search", "create_preview"}
"""What stands in the place of an id and is none."""


def operation_of(method: str, url: str) -> str:
    """`POST /v1/invoices/{id}/finalize` for any invoice; ids are every second part of a path."""
    version, *parts = urlsplit(url).path.strip("/").split("/")
    before = parts[:1] if version == "v2" else []  # v2 has a namespace: /v2/core/events/{id}
    named = [
        "{id}" if number % 2 and part not in _ACTIONS else part
        for number, part in enumerate(parts[len(before) :])
    ]
    return f"{method.upper()} /{'/'.join([version, *before, *named])}"
