"""Acting on what Stripe told us, and asking for what it did not."""

from typing import Any

from billing import stripe_events


async def handle_stripe_events(ctx: dict[str, Any]) -> None:
    """Handle every event in the inbox that is due."""
    await stripe_events.handle_due(ctx["runtime"])


async def backfill_stripe_events(ctx: dict[str, Any]) -> None:
    """Read Stripe's list of events once an hour; asked for oftener, it is not due.

    Likewise whether it still sends us any: first, for a long list ends the job.
    """
    await stripe_events.check_endpoint_due(ctx["runtime"])
    await stripe_events.backfill_due(ctx["runtime"])
