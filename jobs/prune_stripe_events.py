"""Forgetting what Stripe told us and was acted upon 90 days ago."""

from typing import Any

from billing import stripe_events


async def prune_stripe_events(ctx: dict[str, Any]) -> None:
    """Delete handled events whose time is over. Safe to run twice at once."""
    await stripe_events.prune_events(ctx["runtime"])
