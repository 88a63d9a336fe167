"""Playing one schedule: each act, then everything to its end, and what must hold all the while."""

import asyncio
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.orm import selectinload

from billing import stripe_events
from billing.closing import close_due
from billing.errors import Unavailable
from billing.invoice_sync import push_due
from billing.models import Base, Invoice, InvoiceStatus, InvoiceSync, StripeEvent, SyncState
from billing.reconciling import Wanted, finish_run, start_run
from billing.runtime import Runtime
from sandbox.stripe.chaos import Switch
from sandbox.stripe.records import Invoice as StripeRecord
from sandbox.stripe.records import Status
from tests.soak.schedules import Act, Schedule, What, shorter
from tests.soak.stage import Stage, Work, stage_for

ROUNDS_MAX = 80
"""Enough for every retry there is; who is not done by then never will be."""


@dataclass(frozen=True, slots=True)
class Violation:
    """What does not hold, after which schedule."""

    schedule: Schedule
    message: str

    def __str__(self) -> str:
        return f"{self.message}\n  {self.schedule}"


async def violation_of(base: Runtime, schedule: Schedule) -> Violation | None:
    """Play it; None when all holds."""
    async with stage_for(base, schedule.lines, schedule.seed) as stage:
        try:
            for act in schedule.acts:
                await _play(stage, act)
                await _check(stage)
            await _settle(stage)
            await _check(stage)
            await _check_end(stage)
        except AssertionError as error:
            return Violation(schedule, str(error).splitlines()[0])
    return None


async def shortest(base: Runtime, found: Violation) -> Violation:
    """The same violation, or another one, of a schedule from which nothing can be left out."""
    for schedule in shorter(found.schedule):
        if (smaller := await violation_of(base, schedule)) is not None:
            return await shortest(base, smaller)
    return found


async def _play(stage: Stage, act: Act) -> None:
    if act.what in _WORK:
        await stage.work(_WORK[act.what])
    elif act.what in _DEEDS:
        _DEEDS[act.what](stage, act)
    else:
        await _ACTS[act.what](stage, act)


async def _push_together(stage: Stage, _act: Act) -> None:
    await asyncio.gather(stage.work(push_due), stage.work(push_due))


async def _crash(stage: Stage, act: Act) -> None:
    await stage.work(push_due, fatal=act.number)


async def _flush(stage: Stage, _act: Act) -> None:
    await stage.base.nudges.redis.flushall()


async def _hear(stage: Stage, act: Act) -> None:
    await stage.hear(act.number)


async def _reconcile(runtime: Runtime) -> None:
    """Hear what webhooks have missed, then compare all and mend what is safe."""
    await stripe_events.backfill_due(runtime)
    now = await runtime.now()
    async with runtime.sessions.begin() as session:
        run = await start_run(session, Wanted(is_repairing=True), actor="soak", now=now)
    with suppress(Unavailable):
        await finish_run(runtime, run.id)


def _fail(stage: Stage, act: Act) -> None:
    assert act.fault is not None, act
    stage.fake.world.chaos.turn_on(act.fault, Switch(operation=act.operation, calls=act.number))


def _wait(stage: Stage, act: Act) -> None:
    stage.clock.advance(timedelta(minutes=act.number))


def _collect(stage: Stage, _act: Act) -> None:
    stage.collect()


def _edit(stage: Stage, _act: Act) -> None:
    """Somebody changes an amount in the dashboard, where there is still a draft."""
    for there in stage.fake.world.invoices:
        if there.status is Status.DRAFT and not there.deleted and there.lines:
            there.lines[0].amount += 1
            stage.edited = True
            return


_WORK: dict[What, Work] = {
    What.CLOSE: close_due,
    What.PUSH: push_due,
    What.RECONCILE: _reconcile,
}
_ACTS: dict[What, Callable[[Stage, Act], Awaitable[None]]] = {
    What.PUSH_TOGETHER: _push_together,
    What.CRASH: _crash,
    What.FLUSH: _flush,
    What.HEAR: _hear,
}
_DEEDS: dict[What, Callable[[Stage, Act], None]] = {
    What.FAULT: _fail,
    What.WAIT: _wait,
    What.COLLECT: _collect,
    What.EDIT: _edit,
}


async def _settle(stage: Stage) -> None:
    """No more faults; time passes until nothing is left to do."""
    for fault in list(stage.fake.world.chaos.switches):
        stage.fake.world.chaos.turn_off(fault)
    await stage.work(close_due)
    for _ in range(ROUNDS_MAX):
        await stage.work(push_due)
        stage.collect()
        if await _is_pushed(stage):
            break
        stage.clock.advance(timedelta(minutes=11))
    else:
        raise AssertionError("it never came to rest")
    stage.clock.advance(timedelta(hours=2))
    stage.collect()
    await stage.work(stripe_events.backfill_due)
    for _ in range(ROUNDS_MAX):
        await stage.hear(0)
        if await _is_handled(stage):
            return
        stage.clock.advance(timedelta(minutes=1))
    raise AssertionError("its events never came to rest")


async def _is_pushed(stage: Stage) -> bool:
    waiting = InvoiceSync.state.in_((SyncState.PENDING, SyncState.PUSHING))
    return not await _count(stage, InvoiceSync, waiting)


async def _is_handled(stage: Stage) -> bool:
    return not await _count(stage, StripeEvent, StripeEvent.handled_at.is_(None))


async def _count(stage: Stage, rows: type[Base], which: ColumnElement[bool]) -> int:
    async with stage.base.sessions() as session:
        return await session.scalar(select(func.count()).select_from(rows).where(which)) or 0


def _there(stage: Stage) -> Iterator[StripeRecord]:
    return (x for x in stage.fake.world.invoices if not x.deleted and x.status is not Status.VOID)


async def _ours(stage: Stage) -> dict[str, Invoice]:
    async with stage.base.sessions() as session:
        found = await session.scalars(select(Invoice).options(selectinload(Invoice.sync)))
        return {str(invoice.id): invoice for invoice in found}


async def _check(stage: Stage) -> None:
    """At every moment: nothing final that is not ours, and nothing of ours twice."""
    finals = [there for there in _there(stage) if there.status is not Status.DRAFT]
    ours = await _ours(stage) if finals else {}
    final: set[str] = set()
    for there in finals:
        name = there.metadata["invoice_id"]
        invoice = ours[name]
        assert name not in final, f"{invoice.number} is billed twice"
        final.add(name)
        assert there.total == invoice.total_minor, (
            f"{invoice.number} was finalized over {there.total} instead of {invoice.total_minor}"
        )
        lines = stage.lines_of(invoice.org_id)
        assert len(there.lines) == lines, (
            f"{invoice.number} was finalized with {len(there.lines)} lines instead of {lines}"
        )


async def _check_end(stage: Stage) -> None:
    """At rest: one there for each of ours, and we know what became of it."""
    ours = await _ours(stage)
    assert len(ours) == len(stage.orgs), "an invoice each"
    for invoice in ours.values():
        assert invoice.sync is not None, invoice.number
        there = [x for x in _there(stage) if x.metadata["invoice_id"] == str(invoice.id)]
        assert len(there) == 1, f"{invoice.number}: {len(there)} in Stripe instead of one"
        if stage.edited and invoice.sync.state is SyncState.HELD:
            assert there[0].status is Status.DRAFT, f"{invoice.number} is held, and final in Stripe"
            continue
        assert invoice.sync.state is SyncState.PUSHED, (
            f"{invoice.number} is {invoice.sync.state}: {invoice.sync.error_message}"
        )
        assert invoice.status is InvoiceStatus(there[0].status.value.upper()), (
            f"{invoice.number} is {invoice.status} here and {there[0].status.value} in Stripe"
        )
