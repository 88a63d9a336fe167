"""An organization whose November is paid for, what is sold to it, and what it is billed."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from sqlalchemy.ext.asyncio import AsyncSession

from billing import subscribing
from billing.estimates import current_estimate, estimate_as_of
from billing.invoices import get_invoice, invoices_for_org
from billing.models import Invoice, Meter, Organization, Subscription
from billing.rules.lines import LineKind
from billing.runtime import Runtime
from billing.subscribing import Effect
from jobs.close_periods import close_periods
from tests.factories import a_meter, a_plan, a_price, an_organization, counted
from tests.world import Clock

OCTOBER = datetime(2026, 10, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
NOVEMBER_16 = datetime(2026, 11, 16, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
JANUARY = datetime(2027, 1, 1, tzinfo=UTC)

FEES = {"pro": "29.00", "twin": "29.00", "max": "49.00", "support": "10.00"}
"""Of a month, in advance. All but support price egress, so an organization is on one of them."""

ALLOWANCES = {"pro": "100", "twin": "100", "max": "1000"}


@dataclass(slots=True)
class Customer:
    """One organization, acted on through the public doors at the clock's instant."""

    runtime: Runtime
    clock: Clock
    org: Organization
    egress: Meter

    async def start(self, plan: str, **facts: Any) -> Subscription:
        """From now on, or as told."""
        starts_at = facts.pop("starts_at", self.clock.at)
        async with self.runtime.sessions.begin() as session:
            return await subscribing.start_subscription(
                session, self.org, plan, starts_at, actor="test", now=self.clock.at, **facts
            )

    async def cancel(self, plan: str, at: datetime | None = None) -> Subscription:
        """With the open period, or as told."""
        async with self.runtime.sessions.begin() as session:
            return await subscribing.cancel_subscription(
                session, self.org, plan, at=at, actor="test", now=self.clock.at
            )

    async def shown(self, at: datetime | None = None) -> str:
        """The digest of the estimate now, or as it was."""
        async with self.runtime.sessions() as session:
            org = await session.get_one(Organization, self.org.id)
        async with self.runtime.sessions() as session:
            if at is None:
                return (await current_estimate(session, org, self.clock.at)).digest
            return (await estimate_as_of(session, org, at, self.clock.at)).digest

    async def resume(self, plan: str) -> Subscription:
        """Go on."""
        async with self.runtime.sessions.begin() as session:
            return await subscribing.resume_subscription(
                session, self.org, plan, actor="test", now=self.clock.at
            )

    async def change(self, left: str, plan: str, at: datetime | None = None) -> Subscription:
        """Now, or as told."""
        async with self.runtime.sessions.begin() as session:
            return await subscribing.change_plan(
                session, self.org, left, plan, at=at, actor="test", now=self.clock.at
            )

    async def override(
        self, plan: str, price: str, terms: Mapping[str, object] | None, at: datetime | None = None
    ) -> None:
        """Its own terms, or the plan's again."""
        new = subscribing.NewOverride(plan, price, terms, "as agreed", at)
        async with self.runtime.sessions.begin() as session:
            await subscribing.override_price(
                session, self.org, new, actor="test", now=self.clock.at
            )

    async def close(self, at: datetime | None = None) -> Organization:
        """For good."""
        async with self.runtime.sessions.begin() as session:
            return await subscribing.close_organization(
                session, self.org, at, actor="test", now=self.clock.at
            )

    async def use(self, quantity: str | int, at: datetime) -> None:
        """Count gigabytes."""
        async with self.runtime.sessions.begin() as session:
            await counted(session, self.org.id, self.egress, quantity, at, app="api")

    async def effect(
        self,
        act: Callable[[AsyncSession, Organization, datetime], Awaitable[object]],
        *,
        is_kept: bool = False,
    ) -> Effect[object]:
        """What an act does: tried out, or done."""
        measured = subscribing.effect_of if is_kept else subscribing.preview
        async with self.runtime.sessions.begin() as session:
            return await measured(
                session, lambda s: act(s, self.org, self.clock.at), self.org, self.clock.at
            )

    async def on(self, instant: datetime) -> None:
        """Travel there, and close what is due."""
        self.clock.at = instant
        await close_periods({"runtime": self.runtime})

    async def invoices(self) -> Sequence[Invoice]:
        """Oldest first, with their lines."""
        async with self.runtime.sessions() as session:
            found = await invoices_for_org(session, self.org.id, limit=50)
            return [await get_invoice(session, self.org.id, x.id) for x in reversed(found)]

    async def invoice_of(self, start: datetime) -> Invoice:
        """The period invoice of the period that starts then."""
        return next(x for x in await self.invoices() if x.period_start == start and x.cause is None)

    async def billed(self) -> int:
        """All lines of all invoices but what only moves money from one to another."""
        moves = {
            LineKind.CARRIED_IN,
            LineKind.CARRIED_OUT,
            LineKind.MOVED_TO_CREDIT,
            LineKind.CREDIT_BALANCE,
        }
        return sum(
            line.amount_minor
            for invoice in await self.invoices()
            for line in invoice.lines
            if line.kind not in moves
        )


class Act:
    """A change that a test makes in a session of its own: `await act(session, org, now)`."""

    def __init__(self, name: str, *arguments: Any, **facts: Any) -> None:
        self._name = name
        self._arguments = arguments
        self._facts = facts

    async def __call__(self, session: AsyncSession, org: Organization, now: datetime) -> object:
        """By its name in `billing.subscribing`."""
        act = getattr(subscribing, self._name)
        return await act(session, org, *self._arguments, **self._facts, actor="test", now=now)


@pytest.fixture
async def customer(runtime: Runtime, clock: Clock) -> Customer:
    """On nothing yet, on 1 October."""
    clock.at = OCTOBER
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme", opened_at=OCTOBER)
        egress = await a_meter(session)
        for slug, fee in FEES.items():
            plan = await a_plan(session, slug)
            terms = {"model": "FLAT", "amount": fee, "timing": "ADVANCE"}
            await a_price(session, plan, terms, slug="base")
            if slug in ALLOWANCES:
                terms = {
                    "model": "PER_UNIT",
                    "unit_amount": "0.10",
                    "allowance": ALLOWANCES[slug],
                }
                await a_price(session, plan, terms, meter=egress, slug="egress")
    return Customer(runtime, clock, org, egress)


@pytest.fixture
async def on_pro(customer: Customer) -> Customer:
    """On the plan `pro` since October, on 10 November 14:37: November is paid for."""
    await customer.start("pro")
    await customer.on(datetime(2026, 11, 10, 14, 37, tzinfo=UTC))
    return customer
