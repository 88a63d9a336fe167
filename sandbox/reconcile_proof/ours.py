"""Our side of a plan, written in bulk past the triggers that freeze invoices."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from typing import Any

from sqlalchemy import insert, text

from billing.ids import InvoiceId, new_id
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    PaymentFacts,
    SyncState,
    SyncStep,
)
from billing.rules.drift import DriftKind
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.runtime import Sessions
from sandbox.reconcile_proof.plan import INVOICES_PER_CUSTOMER, Planned

START = datetime(2026, 11, 1, tzinfo=UTC)
END = datetime(2026, 12, 1, tzinfo=UTC)
PERIOD = "2026-11"
_CHUNK = 5000
_UNPUSHED = (DriftKind.NOT_SYNCED, DriftKind.STUCK_DRAFT)
Row = dict[str, Any]


async def write_ours(
    sessions: Sessions, planned: Sequence[Planned], stripe_ids: Mapping[InvoiceId, str]
) -> None:
    """Organizations, issued invoices, their lines, syncs and what is known of their payments."""
    ours = [one for one in planned if one.is_ours]
    orgs = [_organization(n) for n in range(planned[-1].place // INVOICES_PER_CUSTOMER + 1)]
    async with sessions.begin() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(insert(Organization), orgs)
        for some in _chunks(ours):
            await session.execute(insert(Invoice), [_invoice(one, orgs) for one in some])
            await session.execute(insert(InvoiceLine), [row for one in some for row in _lines(one)])
            await session.execute(insert(InvoiceSync), [_sync(one, stripe_ids) for one in some])
            facts = [_facts(one) for one in some if one.status is InvoiceStatus.PAID]
            if facts:
                await session.execute(insert(PaymentFacts), facts)
    async with sessions.begin() as session:
        await session.execute(text("ANALYZE"))


def _chunks(ours: Sequence[Planned]) -> Iterator[Sequence[Planned]]:
    for start in range(0, len(ours), _CHUNK):
        yield ours[start : start + _CHUNK]


def _organization(number: int) -> Row:
    name = f"proof{number}"
    return {
        "id": new_id(),
        "key": name,
        "slug": name,
        "name": name.title(),
        "currency": Currency.USD,
        "anchor_day": 1,
        "billing_email": f"billing@{name}.example",
        "invoice_prefix": name.upper(),
        "invoice_sequence": INVOICES_PER_CUSTOMER,
        "opened_at": START,
        "open_period_end": END,
        "recorded_at": START,
    }


def _invoice(one: Planned, orgs: Sequence[Row]) -> Row:
    is_paid, is_void = one.status is InvoiceStatus.PAID, one.status is InvoiceStatus.VOID
    return {
        "id": one.id,
        "org_id": orgs[one.place // INVOICES_PER_CUSTOMER]["id"],
        "kind": InvoiceKind.OFF_CYCLE,
        "cause": f"proof-{one.place}",
        "revision": 0,
        "status": one.status,
        "period_start": START,
        "period_end": END,
        "closes_at": END,
        "currency": Currency.USD,
        "number": one.number,
        "total_minor": sum(one.amounts),
        "digest": "",
        "issued_at": one.issued_at,
        "paid_at": one.issued_at if is_paid else None,
        "voided_at": one.issued_at if is_void else None,
        "recorded_at": one.issued_at,
    }


def _lines(one: Planned) -> Iterator[Row]:
    for position, amount in enumerate(one.amounts):
        yield {
            "id": new_id(),
            "invoice_id": one.id,
            "position": position,
            "kind": LineKind.ONE_OFF,
            "key": f"item-{position}",
            "segment": 0,
            "description": f"Item {position}",
            "span_start": START,
            "span_end": END,
            "exact_minor": Fraction(amount),
            "amount_minor": amount,
            "reduced_minor": 0,
            "granted_minor": 0,
            "steps": [],
        }


def _sync(one: Planned, stripe_ids: Mapping[InvoiceId, str]) -> Row:
    is_pushed = one.drift not in _UNPUSHED
    gone = f"in_gone_{one.place}" if one.drift is DriftKind.MISSING else None
    step = SyncStep.NEW if one.drift is DriftKind.NOT_SYNCED else SyncStep.LINES
    return {
        "invoice_id": one.id,
        "state": SyncState.PUSHED if is_pushed else SyncState.PENDING,
        "step": SyncStep.FINALIZED if is_pushed else step,
        "revision": 0,
        "stripe_invoice_id": stripe_ids.get(one.id, gone),
        "claim": 1,
        "next_attempt_at": one.issued_at,
        "pushed_at": one.issued_at + timedelta(seconds=31) if is_pushed else None,
    }


def _facts(one: Planned) -> Row:
    """What a fetch once found; of one variant of payment drift, before the rest was paid."""
    is_short = one.drift is DriftKind.PAYMENT_DRIFT and one.variant == 0
    is_credited = one.drift is DriftKind.PAYMENT_DRIFT and one.variant == 2
    return {
        "invoice_id": one.id,
        "amount_paid_minor": sum(one.amounts) - 100 * is_short,
        "paid_off_stripe_minor": 0,
        "credited_before_minor": 0,
        "credited_after_minor": 100 * is_credited,
        "refunded_minor": 0,
        "disputed_minor": 0,
        "balance_minor": 0,
        "fetched_at": one.issued_at,
    }
