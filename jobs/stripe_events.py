"""Acting on what Stripe told us."""

from typing import Any

from billing import stripe_events


async def handle_stripe_events(ctx: dict[str, Any]) -> None:
    """Handle every event in the inbox that is due."""
    await stripe_events.handle_due(ctx["runtime"])
