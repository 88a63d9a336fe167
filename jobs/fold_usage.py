"""Folding what was recorded into the hourly buckets."""

from typing import Any

from billing.runtime import Runtime
from billing.usage import fold_tail


async def fold_usage(ctx: dict[str, Any]) -> None:
    """Fold the tail. Whoever reads usage folds what they read, so this only keeps it short."""
    runtime: Runtime = ctx["runtime"]
    await fold_tail(runtime)
