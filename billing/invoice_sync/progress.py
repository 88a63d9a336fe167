"""How long what waits for Stripe still takes, at the pace that we allow ourselves."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.invoice_sync.claiming import WAITING
from billing.models import InvoiceSync, SyncStep
from billing.stripe_limits import StripeLimits

_CALLS_LEFT = {SyncStep.NEW: 3, SyncStep.CREATED: 2, SyncStep.LINES: 1, SyncStep.FINALIZED: 0}
"""Create, add the lines, finalize. A customer's creation and lines beyond a hundred are not counted
here: they are few, and counting the lines of fifty thousand invoices is not cheap."""


@dataclass(frozen=True, slots=True)
class PushProgress:
    """What is still to be pushed, and the least time that it takes.

    `per_second` is invoices, not calls. An outage or a slow Stripe adds to `left`; nothing else
    here does.
    """

    waiting: int
    calls: int
    per_second: float
    left: timedelta


async def push_progress(session: AsyncSession, limits: StripeLimits) -> PushProgress:
    """Of all organizations; what is held or failed waits for a person and is not counted."""
    rows = await session.execute(
        select(InvoiceSync.step, func.count().label("waiting"))
        .where(InvoiceSync.state.in_(WAITING))
        .group_by(InvoiceSync.step)
    )
    return progress_of({row.step: row.waiting for row in rows}, limits)


def progress_of(waiting: Mapping[SyncStep, int], limits: StripeLimits) -> PushProgress:
    """From how many wait at each step.

    Every endpoint has a rate of its own, so the steps run beside each other: the one that most have
    before them takes longest (finalizing, which all have), unless the account's rate is less.
    """
    total = sum(waiting.values())
    calls = sum(count * _CALLS_LEFT[step] for step, count in waiting.items())
    seconds = max(total / limits.of_endpoint.per_second, calls / limits.of_all.per_second)
    typical = min(
        limits.of_endpoint.per_second, limits.of_all.per_second / _CALLS_LEFT[SyncStep.NEW]
    )
    return PushProgress(
        waiting=total,
        calls=calls,
        per_second=total / seconds if seconds else typical,
        left=timedelta(seconds=round(seconds)),
    )
