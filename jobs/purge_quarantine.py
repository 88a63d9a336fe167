"""Forgetting what was refused 30 days ago."""

from typing import Any

from billing import usage
from billing.runtime import Runtime


async def purge_quarantine(ctx: dict[str, Any]) -> None:
    """Delete quarantined events whose time is over."""
    runtime: Runtime = ctx["runtime"]
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        await usage.purge_quarantine(session, now)
