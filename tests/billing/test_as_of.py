"""What was shown at an instant is shown again whenever it is asked for, whatever happens after."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.capping import set_cap
from billing.errors import Conflict, Invalid
from billing.estimates import Estimate, current_estimate, estimate_as_of
from billing.models import InvoiceCheck, Meter, Organization, Plan, Price, PriceVersion
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.money import Currency
from billing.runtime import Runtime
from billing.subscribing import NewOverride, change_plan, override_price
from billing.usage import fold_tail
from billing.usage.archive import attach_month, detach_month
from billing.verifying import verify_unchecked
from tests.billing.reissuing import everything_that_reduces, reissue
from tests.billing.reissuing import void as void_invoice
from tests.explained import (
    AFTER_GRACE,
    JANUARY,
    PER_GB,
    an_explained_acme,
    close,
    reread,
    send,
    void,
)
from tests.factories import a_plan, a_price
from tests.world import NOVEMBER_10, Clock

NOVEMBER_2 = datetime(2026, 11, 2, 10, 20, tzinfo=UTC)
SETTLED = datetime(2027, 1, 4, 1, tzinfo=UTC)
"""34 days after the end of November."""


class History:
    """What was shown after each thing that happened, an hour or more apart."""

    def __init__(self, runtime: Runtime, clock: Clock) -> None:
        self.runtime = runtime
        self.clock = clock
        self.shown: dict[datetime, str] = {}

    async def look(self) -> None:
        """Note what is shown now, and let an hour pass."""
        org = await reread(self.runtime)
        async with self.runtime.sessions() as session:
            estimate = await current_estimate(session, org, self.clock.at)
        self.shown[self.clock.at] = estimate.digest
        self.clock.advance(timedelta(hours=1))

    async def again(self) -> dict[datetime, str]:
        """The same instants, asked for now."""
        return {
            then: (await as_of(self.runtime, then, self.clock.at)).digest for then in self.shown
        }


async def as_of(runtime: Runtime, then: datetime, now: datetime) -> Estimate:
    org = await reread(runtime)
    async with runtime.sessions() as session:
        return await estimate_as_of(session, org, then, now)


@pytest.fixture
async def org(runtime: Runtime) -> Organization:
    return await an_explained_acme(runtime)


async def a_version_of_egress(runtime: Runtime, now: datetime) -> None:
    """Dearer from the 8th of November on, as decided now."""
    async with runtime.sessions.begin() as session:
        egress = select(Price).join(Plan).where(Plan.slug == "pro", Price.slug == "egress")
        price = (await session.scalars(egress)).one()
        session.add(
            PriceVersion(
                price_id=price.id,
                number=2,
                effective_from=datetime(2026, 11, 8, tzinfo=UTC),
                terms={"model": "PER_UNIT", "unit_amount": "0.20"},
                recorded_at=now,
            )
        )


async def the_open_period(history: History, org: Organization) -> None:
    """Usage that comes late, is voided, priced anew; items, a maximum, and another plan."""
    runtime, clock = history.runtime, history.clock
    await history.look()
    await send(runtime, "a", "80", NOVEMBER_2)
    await history.look()
    await everything_that_reduces(runtime, org, clock.at)
    await send(runtime, "b", "20", clock.at, region="syd")
    await history.look()
    await void(runtime, "a")
    await history.look()
    await a_version_of_egress(runtime, clock.at)
    await send(runtime, "c", "50", NOVEMBER_2 + timedelta(days=7))
    await history.look()
    terms = {"model": "PER_UNIT", "unit_amount": "0.30"}
    async with runtime.sessions.begin() as session:
        override = NewOverride("pro", "egress", terms, "a deal")
        await override_price(session, org, override, actor="test", now=clock.at)
    async with runtime.sessions.begin() as session:
        await set_cap(session, org, Decimal(70), actor="test", now=clock.at)
    await history.look()
    async with runtime.sessions.begin() as session:
        at = datetime(2026, 11, 20, tzinfo=UTC)
        await change_plan(session, org, "pro", "next", at=at, actor="test", now=clock.at)
    await history.look()


async def another_plan(runtime: Runtime) -> None:
    """To change to: 60.00 a month in advance."""
    async with runtime.sessions.begin() as session:
        plan = await a_plan(session, "next")
        fee = {"model": "FLAT", "amount": "60.00", "timing": "ADVANCE"}
        await a_price(session, plan, fee, slug="base")
        meter = (await session.scalars(select(Meter))).one()
        await a_price(session, plan, PER_GB, meter=meter, slug="egress")


async def closes_and_corrections(history: History, org: Organization) -> None:
    """November is closed, corrected, voided and issued again, and December is closed."""
    runtime, clock = history.runtime, history.clock
    await close(runtime, clock, AFTER_GRACE)
    clock.advance(timedelta(minutes=1))
    await history.look()
    await send(runtime, "late", "30", NOVEMBER_10)
    await history.look()
    async with runtime.sessions.begin() as session:
        item = NewOneOff("Import", Decimal(7), Currency.USD, "import-2", clock.at)
        await add_one_off(session, org, item, actor="test", now=clock.at)
    await history.look()
    await void_invoice(runtime, org, "ACME-0001")
    await history.look()
    await reissue(runtime, org, "ACME-0001")
    await history.look()
    for at in (clock.at, JANUARY):
        await close(runtime, clock, at)
        clock.advance(timedelta(minutes=1))
        await history.look()


async def test_whatever_happens_later_the_digest_of_then_is_found_again(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    await another_plan(connected)
    history = History(connected, clock)
    await the_open_period(history, org)
    clock.at = AFTER_GRACE - timedelta(hours=3)
    await send(connected, "d", "5", clock.at - timedelta(days=2))
    await history.look()
    await closes_and_corrections(history, org)

    assert len(set(history.shown.values())) > 10, "something happened each time"
    assert await history.again() == history.shown


async def test_an_item_was_billed_then_though_its_invoice_was_voided_since(
    connected: Runtime, clock: Clock, org: Organization
) -> None:
    async with connected.sessions.begin() as session:
        item = NewOneOff("Import", Decimal(7), Currency.USD, "import-1", NOVEMBER_10)
        await add_one_off(session, org, item, actor="test", now=NOVEMBER_10)
    await close(connected, clock, AFTER_GRACE)
    then = clock.advance(timedelta(hours=1))
    shown = await as_of(connected, then, clock.at)
    clock.advance(timedelta(hours=1))
    await void_invoice(connected, org, "ACME-0001")

    again = await as_of(connected, then, clock.at)

    assert again.lines == shown.lines
    assert [line.key for line in again.lines] == ["pro/base/USD@1"]


@pytest.mark.parametrize(
    ("then", "code"),
    [
        (NOVEMBER_10 + timedelta(microseconds=1), "AS_OF_IN_FUTURE"),
        (datetime(2026, 10, 31, 23, 59, 59, tzinfo=UTC), "AS_OF_BEFORE_OPENING"),
    ],
)
async def test_only_what_was_can_be_asked_for(
    runtime: Runtime, org: Organization, then: datetime, code: str
) -> None:
    with pytest.raises(Invalid) as refused:
        await as_of(runtime, then, NOVEMBER_10)

    assert (refused.value.code, refused.value.field) == (code, "asOf")


@asynccontextmanager
async def archived(runtime: Runtime, month: date, now: datetime) -> AsyncIterator[None]:
    await fold_tail(runtime)
    await detach_month(runtime.sessions, month, now=now)
    try:
        yield
    finally:
        await attach_month(runtime.sessions, month)


async def test_what_needs_archived_events_is_refused_and_not_taken_for_nothing(
    runtime: Runtime, clock: Clock, org: Organization
) -> None:
    """December's estimate may have had corrections of November: who knows without its events?"""
    await send(runtime, "a", "5", NOVEMBER_10)
    await close(runtime, clock, AFTER_GRACE)
    in_december = clock.advance(timedelta(hours=1))
    await send(runtime, "late", "7", NOVEMBER_10)
    later = clock.advance(timedelta(hours=1))
    clock.at = SETTLED
    before = (await as_of(runtime, later, clock.at)).digest

    async with archived(runtime, date(2026, 11, 1), clock.at):
        for then in (NOVEMBER_10, in_december, later):
            with pytest.raises(Conflict) as refused:
                await as_of(runtime, then, clock.at)
            assert refused.value.code == "MONTH_ARCHIVED"
        now = clock.advance(timedelta(hours=1))
        assert (await as_of(runtime, now, now)).period.start == datetime(2027, 1, 1, tzinfo=UTC)

        assert await verify_unchecked(runtime) == 1, "once: it is noted that it cannot be"
        assert await verify_unchecked(runtime) == 0
        async with runtime.sessions() as session:
            check = (await session.scalars(select(InvoiceCheck))).one()
        assert (check.is_same, "2026-11 are archived" in check.message) == (None, True)

    assert (await as_of(runtime, later, clock.at)).digest == before
