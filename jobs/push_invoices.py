"""Sending what is issued."""

from typing import Any

from billing import invoice_sync


async def push_invoices(ctx: dict[str, Any]) -> None:
    """Push every invoice that is due. Each is leased first, so two at once share the work."""
    await invoice_sync.push_due(ctx["runtime"])
