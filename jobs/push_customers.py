"""Telling Stripe of changed names and addresses."""

from typing import Any

from billing import customers


async def push_customers(ctx: dict[str, Any]) -> None:
    """Send every change that is due. Safe to run twice at once."""
    await customers.push_customers_due(ctx["runtime"])
