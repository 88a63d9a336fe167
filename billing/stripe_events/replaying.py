"""Acting on received events once more, and what that would change, without changing it.

The difference is found by writing what Stripe says in a transaction that is rolled back: so a dry
run cannot say anything else than what the real one does.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import select, update
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import BillingError, Invalid, NotFound, Unavailable
from billing.ids import InvoiceId, StripeEventId, StripeInvoiceId
from billing.models import Invoice, InvoiceSync, PaymentFacts, StripeEvent
from billing.runtime import Runtime
from billing.stripe_events.applying import apply_stripe_state
from billing.stripe_events.handling import MONEY_BACK
from billing.stripe_events.nouns import INVOICE, noun_of
from billing.stripe_events.refreshing import find_ours

EVENTS_MAX = 10_000
"""At once: more is narrowed by time."""

Told = dict[str, object]
_INVOICE = ("status", "paid_at", "voided_at", "settled_by")
_SYNC = (
    "state",
    "error_code",
    "stripe_status",
    "hosted_invoice_url",
    "payment_attempts",
    "next_payment_at",
)
_FACTS = (
    "amount_paid_minor",
    "paid_off_stripe_minor",
    "credited_before_minor",
    "credited_after_minor",
    "refunded_minor",
    "disputed_minor",
    "dispute_status",
    "balance_minor",
)


@dataclass(frozen=True, slots=True)
class Change:
    """One field of an invoice, as it is and as Stripe would make it."""

    field: str
    before: object
    after: object


@dataclass(frozen=True, slots=True)
class Preview:
    """What replaying would do about one object of Stripe's; `note` says why it would do nothing."""

    about: str
    events: tuple[StripeEventId, ...]
    number: str | None
    changes: tuple[Change, ...]
    note: str | None


async def get_events(session: AsyncSession, event_id: str) -> Sequence[StripeEvent]:
    """One event by Stripe's id. Raises `NotFound`."""
    found = await session.get(StripeEvent, StripeEventId(event_id)) if event_id else None
    if found is None:
        raise NotFound(
            f"There is no event {event_id!r} in the inbox; what Stripe made in the last 30 days"
            " comes into it by the hourly back-fill.",
            code="EVENT_NOT_FOUND",
        )
    return [found]


async def events_between(
    session: AsyncSession, since: datetime, until: datetime
) -> Sequence[StripeEvent]:
    """Those received in `[since, until)` that are about some object, the oldest first.

    Raises `Invalid` when they are too many: a part of them would look like all.
    """
    rows = await session.scalars(
        select(StripeEvent)
        .where(
            StripeEvent.received_at >= since,
            StripeEvent.received_at < until,
            StripeEvent.object_id.is_not(None),
        )
        .order_by(StripeEvent.received_at, StripeEvent.id)
        .limit(EVENTS_MAX + 1)
    )
    found = rows.all()
    if len(found) > EVENTS_MAX:
        raise Invalid(
            f"That span has over {EVENTS_MAX} events: narrow it.", code="TOO_MANY", field="since"
        )
    return found


async def replay_events(
    session: AsyncSession, events: Sequence[StripeEvent], *, actor: str, now: datetime
) -> int:
    """Make them due again, as if they had just come; audited. The worker's sweep does the rest.

    Answers how many: events ignored as another account's or mode's stay ignored.
    """
    ids = [event.id for event in events if not _is_foreign(event)]
    await session.execute(
        update(StripeEvent)
        .where(StripeEvent.id.in_(ids))
        .values(handled_at=None, outcome=None, reason="replayed", attempts=0, next_attempt_at=now)
        .execution_options(synchronize_session=False)
    )
    await record_act(
        session,
        actor=actor,
        action="stripe_events.replayed",
        subject=ids[0] if len(ids) == 1 else f"{len(ids)} events",
        details={"first": ids[0] if ids else None, "last": ids[-1] if ids else None},
        now=now,
    )
    return len(ids)


async def preview(runtime: Runtime, events: Sequence[StripeEvent]) -> list[Preview]:
    """What replaying would change, one entry for each object; nothing is written.

    Raises `Unavailable` when Stripe does not answer.
    """
    grouped: dict[tuple[str | None, str | None], list[StripeEvent]] = {}
    for event in events:
        noun = None if _is_foreign(event) else noun_of(event.type)
        grouped.setdefault((noun, event.object_id), []).append(event)
    now = await runtime.now()
    return [
        await _previewed(runtime, noun, about, group, now)
        for (noun, about), group in grouped.items()
    ]


def _is_foreign(event: StripeEvent) -> bool:
    return (event.reason or "").startswith("of ")


async def _previewed(
    runtime: Runtime,
    noun: str | None,
    about: str | None,
    events: Sequence[StripeEvent],
    now: datetime,
) -> Preview:
    ids = tuple(event.id for event in events)
    if noun is None or about is None:
        return Preview(about or "–", ids, None, (), "not about an invoice of ours")
    try:
        number, changes, note = await _difference(runtime, noun, about, now)
    except Unavailable:
        raise
    except BillingError as error:
        number, changes, note = None, (), f"{error.code}: {error}"
    return Preview(about, ids, number, changes, note)


async def _difference(
    runtime: Runtime, noun: str, about: str, now: datetime
) -> tuple[str | None, tuple[Change, ...], str | None]:
    stripe_id: StripeInvoiceId | None = StripeInvoiceId(about)
    if noun != INVOICE:
        stripe_id = await runtime.stripe.invoice_about(noun, about)
    invoice_id = None if stripe_id is None else await find_ours(runtime, stripe_id)
    if stripe_id is None or invoice_id is None:
        return None, (), "not an invoice of ours"
    found = await runtime.stripe.fetch_invoice(stripe_id)
    if found is None:
        return None, (), "Stripe no longer holds this invoice"
    back = await runtime.stripe.money_back(stripe_id) if noun in MONEY_BACK else None
    async with runtime.sessions() as session:  # never committed: that is the dry run
        number, before = await _told(session, invoice_id)
        sync = await session.get_one(InvoiceSync, invoice_id, with_for_update=True)
        await apply_stripe_state(session, invoice_id, found, sync.fetch_tickets + 1, now, back)
        await session.flush()
        _, after = await _told(session, invoice_id)
        await session.rollback()
    changes = tuple(
        Change(field, before[field], after[field])
        for field in before
        if before[field] != after[field]
    )
    return number, changes, None


async def _told(session: AsyncSession, invoice_id: InvoiceId) -> tuple[str | None, Told]:
    invoice = await session.get_one(Invoice, invoice_id)
    sync = await session.get_one(InvoiceSync, invoice_id)
    facts = await session.get(PaymentFacts, invoice_id)
    told: Told = {name: getattr(invoice, name) for name in _INVOICE}
    told |= {f"sync.{name}": getattr(sync, name) for name in _SYNC}
    told |= {f"facts.{name}": getattr(facts, name) if facts else None for name in _FACTS}
    return invoice.number, told
