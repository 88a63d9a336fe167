"""Closing what has ended: finding nothing is its usual day."""

from typing import Any

from billing import closing
from billing.runtime import Runtime


async def close_periods(ctx: dict[str, Any]) -> None:
    """Close every period whose time has come, and have what was issued sent."""
    runtime: Runtime = ctx["runtime"]
    if (await closing.close_due(runtime)).issued:
        await runtime.nudges.enqueue("push_invoices")
