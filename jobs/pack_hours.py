"""Putting together what trickled in during hours that are over."""

from typing import Any

from billing import usage
from billing.runtime import Runtime


async def pack_hours(ctx: dict[str, Any]) -> None:
    """Pack hours that are over; what one run leaves is for the next."""
    runtime: Runtime = ctx["runtime"]
    await usage.pack_hours(runtime)
