"""Telling Stripe of credit notes."""

from typing import Any

from billing import credit_notes


async def push_credit_notes(ctx: dict[str, Any]) -> None:
    """Send every note that is due and whose invoice Stripe has. Safe to run twice at once."""
    await credit_notes.push_credit_notes_due(ctx["runtime"])
