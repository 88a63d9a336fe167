"""The three calls of a push, each step committed before the next begins.

A crash, a lost answer or a second worker can come between any two lines here. Idempotency keys
make a repeated call the same call; when Stripe may have forgotten them, we look before we create.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from sqlalchemy import update

from billing.errors import BillingError
from billing.ids import OrgId, StripeCustomerId, StripeInvoiceId
from billing.models import InvoiceSync, SyncStep
from billing.runtime import Runtime
from billing.stripe_gateway import TooManyLines
from billing.stripe_protocol import PushInvoice, PushLine, StripeInvoice

LINES_PER_CALL_MAX = 100
KEY_AGE_MAX = timedelta(hours=20)
"""Stripe keeps idempotency keys at least 24 hours; ours count as forgotten a little earlier."""

_CLOCK_SLACK = timedelta(hours=1)
_DRAFT = "draft"
_MOST_ADVANCED_FIRST = ("paid", "uncollectible", "open", _DRAFT)


class Overtaken(Exception):
    """The lease ran out and somebody else has one: what we know is old, and must not be written."""


class Mismatch(BillingError):
    """Stripe holds something else than we sent: nothing goes on until a person has looked."""

    code = "STRIPE_MISMATCH"


@dataclass(frozen=True, slots=True)
class Push:
    """One push in progress: what is sent, and how far it is. A new value after each step.

    `is_in_doubt`: a key may be forgotten, or a call may have worked without our hearing of it.
    """

    runtime: Runtime
    org_id: OrgId
    invoice: PushInvoice
    customer: StripeCustomerId
    claim: int
    step: SyncStep
    stripe_id: StripeInvoiceId | None
    key_attempt: int
    keyed_at: datetime
    is_in_doubt: bool
    now: datetime

    def key(self, verb: str) -> str:
        """One invoice, revision and step always send one key, until it may be forgotten."""
        again = f"-a{self.key_attempt}" if self.key_attempt else ""
        return f"inv-{self.invoice.id}-r{self.invoice.revision}-{verb}{again}"

    @property
    def draft_id(self) -> StripeInvoiceId:
        """Stripe's id, known once the invoice has been created there."""
        assert self.stripe_id is not None, self.step
        return self.stripe_id


async def push(work: Push) -> StripeInvoice:
    """Take the steps that are left.

    Raises `Unavailable`, `StripeRefused`, `Mismatch`, or `Overtaken`.
    """
    was_left_alone = work.step is not SyncStep.NEW
    if work.is_in_doubt and work.stripe_id is not None:
        work = await _again_if_gone(work)
    if work.step is SyncStep.NEW:
        work = await _create(work)
    if work.step is SyncStep.CREATED:
        work = await _add_lines(work)
    return await _finalize(work, looks_first=work.is_in_doubt or was_left_alone)


async def _again_if_gone(work: Push) -> Push:
    """Begin anew where somebody has deleted our draft: the usual repair of a wrong one."""
    if await work.runtime.stripe.fetch_invoice(work.draft_id) is not None:
        return work
    return await _committed(replace(work, step=SyncStep.NEW, stripe_id=None))


async def _create(work: Push) -> Push:
    if work.is_in_doubt:
        found = await work.runtime.stripe.find_invoices(
            work.customer, work.invoice.id, work.invoice.issued_at - _CLOCK_SLACK
        )
        if found:
            return await _adopt(work, _most_advanced(found))
        work = await _with_new_keys(work)
    created = await work.runtime.stripe.create_invoice(
        work.invoice, work.customer, work.key("create")
    )
    return await _committed(replace(work, step=SyncStep.CREATED, stripe_id=created.id))


async def _adopt(work: Push, found: StripeInvoice) -> Push:
    """Go on with the one that an earlier attempt made; still in doubt about its lines."""
    step = SyncStep.CREATED if found.status == _DRAFT else SyncStep.LINES
    return await _committed(replace(work, step=step, stripe_id=found.id))


async def _add_lines(work: Push) -> Push:
    missing: Sequence[PushLine] = work.invoice.lines
    if work.is_in_doubt or work.key_attempt:  # an earlier doubt may have left only some of them
        there = await work.runtime.stripe.line_ids(work.draft_id)
        missing = [line for line in work.invoice.lines if line.line_id not in there]
    if work.is_in_doubt:
        work = await _with_new_keys(work)
    held = await _add(work, missing)
    check(work.invoice, held or await _fetched(work))
    return await _committed(replace(work, step=SyncStep.LINES))


async def _add(work: Push, missing: Sequence[PushLine]) -> StripeInvoice | None:
    """All of them, a hundred a call, or half as many where Stripe finds that too many.

    The answer to the last call; None when nothing was missing.
    """
    at_once, held = LINES_PER_CALL_MAX, None
    while missing:
        lines = missing[:at_once]
        key = work.key(f"lines-{_chunk_name(lines)}")
        try:
            held = await work.runtime.stripe.add_lines(work.draft_id, lines, key)
        except TooManyLines:
            if len(lines) == 1:
                raise
            at_once = len(lines) // 2
        else:
            missing = missing[at_once:]
    return held


def _chunk_name(lines: Sequence[PushLine]) -> str:
    """Other lines are another call: a number would give two bodies one key."""
    return hashlib.sha256("".join(line.line_id for line in lines).encode()).hexdigest()[:16]


async def _finalize(work: Push, *, looks_first: bool) -> StripeInvoice:
    """A draft that was left alone may have been edited by hand, or deleted, meanwhile; and what a
    repeated call is answered may be the saved answer of before that.
    """
    if looks_first:
        held = await _fetched(work)
        check(work.invoice, held)
        if held.status != _DRAFT:
            return held
    if work.is_in_doubt:
        work = await _with_new_keys(work)
    issued = await work.runtime.stripe.finalize_invoice(work.draft_id, work.key("finalize"))
    check(work.invoice, issued)
    return issued


def check(sent: PushInvoice, held: StripeInvoice) -> None:
    """The gate: what Stripe holds must be what we sent. Raises `Mismatch`.

    Never compares what is due: Stripe subtracts balances from that.
    """
    if held.currency.upper() != sent.currency:
        raise Mismatch(f"Stripe holds {held.currency.upper()} where we issued {sent.currency}.")
    if held.total_minor != sent.total_minor:
        raise Mismatch(
            f"Stripe's total is {held.total_minor}, ours {sent.total_minor} minor units."
        )
    if held.line_count is not None and held.line_count != len(sent.lines):
        raise Mismatch(f"Stripe holds {held.line_count} lines where we sent {len(sent.lines)}.")


async def _fetched(work: Push) -> StripeInvoice:
    held = await work.runtime.stripe.fetch_invoice(work.draft_id)
    if held is None:
        raise Mismatch(f"Stripe no longer holds {work.draft_id}.")
    return held


def _most_advanced(found: Sequence[StripeInvoice]) -> StripeInvoice:
    return min(found, key=lambda invoice: _MOST_ADVANCED_FIRST.index(invoice.status))


async def _with_new_keys(work: Push) -> Push:
    """Having looked, ask under keys that Stripe has never seen."""
    fresh = replace(work, key_attempt=work.key_attempt + 1, keyed_at=work.now, is_in_doubt=False)
    return await _committed(fresh)


async def _committed(work: Push) -> Push:
    async with work.runtime.sessions.begin() as session:
        written = await session.scalar(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == work.invoice.id, InvoiceSync.claim == work.claim)
            .values(
                step=work.step,
                stripe_invoice_id=work.stripe_id,
                key_attempt=work.key_attempt,
                keyed_at=work.keyed_at,
                is_in_doubt=work.is_in_doubt,
            )
            .returning(InvoiceSync.claim)
            .execution_options(synchronize_session=False)
        )
    if written is None:
        raise Overtaken
    return work
