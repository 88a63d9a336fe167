"""What a change does to the money: the bill before it and after it, from one snapshot."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Generic, TypeVar

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.charges import Basis, charges_for
from billing.ids import InvoiceId
from billing.models import Invoice, InvoiceKind, InvoiceStatus, Organization
from billing.outages import refusing_when_overtaken
from billing.rules.invoicing import Draft
from billing.rules.lines import DraftLine
from billing.rules.money import Currency, Money, total_of
from billing.rules.periods import Period, period_after, period_at
from billing.subscribing.holding import open_since
from billing.usage import settle_usage

T = TypeVar("T")
Act = Callable[[AsyncSession], Awaitable[T]]
"""Makes one change in the session it is given, and answers what came of it."""


@dataclass(frozen=True, slots=True)
class LineChange:
    """A line that is new, gone (no `after`), or another amount."""

    before: DraftLine | None
    after: DraftLine | None

    @property
    def line(self) -> DraftLine:
        """The line as it will be; as it was where it is gone."""
        line = self.after or self.before
        assert line is not None
        return line

    @property
    def amount(self) -> Money:
        """How much more it asks for."""
        was, will = (0 if line is None else line.amount.minor for line in (self.before, self.after))
        return Money(will - was, self.line.amount.currency)


@dataclass(frozen=True, slots=True)
class Effect(Generic[T]):
    """`before` and `after` are the invoices still to be issued, up to the open period's.

    There is one, as a rule; during its grace an ended period's comes before it. `off_cycle` is what
    was invoiced at once. `result` is what the change itself answered.
    """

    result: T
    before: tuple[Draft, ...]
    after: tuple[Draft, ...]
    off_cycle: Money | None
    currency: Currency

    @property
    def total_before(self) -> Money:
        """What would have been asked for."""
        return total_of([draft.total for draft in self.before], self.currency)

    @property
    def total_after(self) -> Money:
        """What will be, without what was invoiced at once."""
        return total_of([draft.total for draft in self.after], self.currency)

    @property
    def difference(self) -> Money:
        """How much more the change costs by the end of the open period, all in all."""
        at_once = self.off_cycle or Money(0, self.currency)
        return self.total_after + -self.total_before + at_once

    @property
    def lines(self) -> list[LineChange]:
        """What is new, gone or different: with what was invoiced at once, the difference."""
        was, will = _by_name(self.before), _by_name(self.after)
        names = dict.fromkeys([*will, *was])
        changes = [LineChange(was.get(name), will.get(name)) for name in names]
        return [change for change in changes if change.amount.minor]


async def preview(
    session: AsyncSession, change: Act[T], org: Organization, now: datetime
) -> Effect[T]:
    """The effect of a change that is then taken back whole. `session` must be fresh."""
    return await _effect(session, change, org, now, is_kept=False)


async def effect_of(
    session: AsyncSession, change: Act[T], org: Organization, now: datetime
) -> Effect[T]:
    """The effect of a change that stands. `session` must be fresh.

    Raises `ChangedMeanwhile` when somebody else's came between: nothing was done then.
    """
    return await _effect(session, change, org, now, is_kept=True)


async def _effect(
    session: AsyncSession, change: Act[T], org: Organization, now: datetime, *, is_kept: bool
) -> Effect[T]:
    await settle_usage(session, org.id)
    await session.connection(execution_options={"isolation_level": "REPEATABLE READ"})
    org = await session.get_one(Organization, org.id)
    periods = await _unissued(session, org, now)
    billed = await _off_cycle(session, org, now)
    before = await _drafts(session, org, periods, now)
    savepoint = None if is_kept else await session.begin_nested()
    with refusing_when_overtaken():
        result = await change(session)
    after = await _drafts(session, org, periods, now)
    fresh = await _off_cycle(session, org, now)
    at_once = [amount for key, amount in fresh.items() if key not in billed]
    off_cycle = total_of(at_once, org.currency) if at_once else None
    effect = Effect(result, before, after, off_cycle, org.currency)
    if savepoint is not None:
        await savepoint.rollback()
        await session.refresh(org)  # the rollback has forgotten it
    return effect


async def _unissued(session: AsyncSession, org: Organization, now: datetime) -> list[Period]:
    closing = await session.scalars(
        select(Invoice)
        .where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.PERIOD,
            Invoice.status == InvoiceStatus.CLOSING,
        )
        .order_by(Invoice.period_start)
    )
    periods = [invoice.period for invoice in closing]
    period = period_at(open_since(org), org.anchor_day)
    while period.start <= now:
        periods.append(period)
        period = period_after(period, org.anchor_day)
    return periods


async def _drafts(
    session: AsyncSession, org: Organization, periods: Sequence[Period], now: datetime
) -> tuple[Draft, ...]:
    found = [await charges_for(session, org, period, Basis(now)) for period in periods]
    return tuple(charges.draft for charges in found)


async def _off_cycle(
    session: AsyncSession, org: Organization, now: datetime
) -> dict[InvoiceId, Money]:
    rows = await session.scalars(
        select(Invoice).where(
            Invoice.org_id == org.id,
            Invoice.kind == InvoiceKind.OFF_CYCLE,
            Invoice.recorded_at == now,
        )
    )
    return {invoice.id: invoice.total for invoice in rows}


def _by_name(drafts: Iterable[Draft]) -> dict[tuple[object, ...], DraftLine]:
    """Lines by what stays the same when their amount changes; those alike are numbered."""
    seen: Counter[tuple[object, ...]] = Counter()
    named: dict[tuple[object, ...], DraftLine] = {}
    for draft in drafts:
        for line in draft.lines:
            name = (draft.period.start, line.kind, line.key, line.segment)
            seen[name] += 1
            named[(*name, seen[name])] = line
    return named
