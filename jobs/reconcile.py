"""Comparing our books with Stripe's."""

from typing import Any

from billing import reconciling


async def reconcile(ctx: dict[str, Any]) -> None:
    """Begin what the hour or the night asks for, and go on with what was begun."""
    await reconciling.schedule_runs(ctx["runtime"])
    await reconciling.reconcile_due(ctx["runtime"])
