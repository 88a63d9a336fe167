"""Computing what was issued again from its events: the proof that estimates and invoices hold."""

from typing import Any

from billing import verifying


async def verify_invoices(ctx: dict[str, Any]) -> None:
    """A chunk of what is not checked yet; a difference is told to staff and counted."""
    await verifying.verify_unchecked(ctx["runtime"])
