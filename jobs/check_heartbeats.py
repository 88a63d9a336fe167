"""Comparing what sources say they sent with what has come."""

from typing import Any

from billing.runtime import Runtime
from billing.usage.comparing import check_control_totals


async def check_heartbeats(ctx: dict[str, Any]) -> None:
    """Compare every control total that is due."""
    runtime: Runtime = ctx["runtime"]
    await check_control_totals(runtime)
