"""Handling what is in the inbox. A payload is never trusted, only its id.

Events come twice, late and in any order, and carry whole seconds. So the handler fetches the
invoice and writes what it finds: any order and repetition ends in the same state.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select, update

from billing.errors import BillingError, Unavailable
from billing.ids import StripeCustomerId, StripeInvoiceId
from billing.models import Outcome, StripeEvent
from billing.runtime import Runtime
from billing.stripe_events.deleted_customers import forget_if_deleted
from billing.stripe_events.nouns import CUSTOMER, INVOICE, noun_of
from billing.stripe_events.refreshing import refresh
from billing.stripe_limits import Lane, in_lane

log = logging.getLogger(__name__)

BATCH_SIZE = 20
LEASE = timedelta(minutes=5)
BUDGET_SECONDS = 120
"""How long one sweep goes on: well under a job's time, and the next one comes soon."""

RETRY_AFTER = timedelta(seconds=10)
ATTEMPTS_MAX = 30
"""For an invoice that we do not know yet: its webhook can come before our own commit."""

FAULT_PAUSE = timedelta(minutes=5)
MONEY_BACK = {"charge", "charge.dispute", "credit_note", "refund"}


@dataclass(frozen=True, slots=True)
class About:
    """What an event is about: all events about the same are answered by one fetch."""

    noun: str | None
    id: str | None

    @property
    def is_of_interest(self) -> bool:
        """Whether it can lead to an invoice at all."""
        return self.noun is not None and self.id is not None


NOTHING = About(None, None)


async def handle_due(runtime: Runtime) -> int:
    """Handle the events that are due, with one fetch for all that are about the same object.

    A batch's objects are fetched at once: after an outage there are fifty thousand of them.
    Answers how many events were tried.
    """
    loop = asyncio.get_running_loop()
    deadline = loop.time() + BUDGET_SECONDS
    tried = 0
    while loop.time() < deadline and (claimed := await _claim(runtime)):
        tried += len(claimed)
        with in_lane(Lane.REFETCH):
            groups = _by_object(claimed).items()
            await asyncio.gather(*(_handle(runtime, about, events) for about, events in groups))
    return tried


def _by_object(events: Sequence[StripeEvent]) -> dict[About, list[StripeEvent]]:
    grouped: dict[About, list[StripeEvent]] = {}
    for event in events:
        about = About(noun_of(event.type), event.object_id)
        grouped.setdefault(about if about.is_of_interest else NOTHING, []).append(event)
    return grouped


async def _claim(runtime: Runtime) -> Sequence[StripeEvent]:
    now = await runtime.now()
    due = (
        select(StripeEvent.id)
        .where(StripeEvent.handled_at.is_(None), StripeEvent.next_attempt_at <= now)
        .order_by(StripeEvent.next_attempt_at)
        .limit(BATCH_SIZE)
        .with_for_update(skip_locked=True)
        .cte("due")  # runs once: as a subquery it may run again for each row
    )
    async with runtime.sessions.begin() as session:
        claimed = await session.scalars(
            update(StripeEvent)
            .where(StripeEvent.id == due.c.id)
            .values(next_attempt_at=now + LEASE, attempts=StripeEvent.attempts + 1)
            .returning(StripeEvent)
            .execution_options(synchronize_session=False)
        )
        return claimed.all()


async def _handle(runtime: Runtime, about: About, events: Sequence[StripeEvent]) -> None:
    """What goes wrong is kept, not raised: nobody else's event waits for it."""
    now = await runtime.now()
    try:
        outcome, reason = await _acted_upon(runtime, about, now)
    except Unavailable as error:
        await _retry(runtime, events, f"{error.code}: {error}", now + error.retry_after)
    except BillingError as error:
        await _settle(runtime, events, Outcome.FAILED, f"{error.code}: {error}", now)
    except Exception as error:
        log.exception("stripe events about %s wait: a fault of ours", about.id)
        await _retry(runtime, events, f"INTERNAL: {type(error).__name__}", now + FAULT_PAUSE)
    else:
        is_early = max(event.attempts for event in events) < ATTEMPTS_MAX
        if outcome is Outcome.FAILED and is_early:
            await _retry(runtime, events, reason, now + RETRY_AFTER)
        else:
            await _settle(runtime, events, outcome, reason, now)


async def _acted_upon(runtime: Runtime, about: About, now: datetime) -> tuple[Outcome, str]:
    if about.noun is None or about.id is None:
        return Outcome.IGNORED, "not about an invoice"
    if about.noun == CUSTOMER:
        return await forget_if_deleted(runtime, StripeCustomerId(about.id))
    if about.noun == INVOICE:
        return await refresh(runtime, StripeInvoiceId(about.id), now)
    stripe_id = await runtime.stripe.invoice_about(about.noun, about.id)
    if stripe_id is None:
        return Outcome.IGNORED, "not about an invoice"
    return await refresh(runtime, stripe_id, now, with_money_back=about.noun in MONEY_BACK)


async def _settle(
    runtime: Runtime, events: Sequence[StripeEvent], outcome: Outcome, reason: str, now: datetime
) -> None:
    await _update(runtime, events, handled_at=now, outcome=outcome, reason=reason)


async def _retry(
    runtime: Runtime, events: Sequence[StripeEvent], reason: str, at: datetime
) -> None:
    await _update(runtime, events, next_attempt_at=at, reason=reason)


async def _update(runtime: Runtime, events: Sequence[StripeEvent], **values: object) -> None:
    async with runtime.sessions.begin() as session:
        await session.execute(
            update(StripeEvent)
            .where(StripeEvent.id.in_([event.id for event in events]))
            .values(**values)
            .execution_options(synchronize_session=False)
        )
