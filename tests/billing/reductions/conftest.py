"""One organization that pays a dollar a unit, and what is given to it and taken from it."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import update

from billing.capping import CapChange, set_cap
from billing.closing import close_period_now
from billing.coupons import NewCoupon, create_coupon
from billing.credits import NewGrant, grant_credit, grants_of
from billing.estimates import Estimate, current_estimate
from billing.invoices import get_invoice, get_invoice_by_number
from billing.models import Coupon, Grant, Invoice, Meter, Organization, Plan, Subscription
from billing.rules.money import Currency
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime
from billing.subscribing import start_subscription
from billing.taxes import set_tax_rate
from tests.factories import a_meter, a_plan, a_price, an_organization, counted, subscribed
from tests.world import NOVEMBER_10, Clock

DOLLAR = {"model": "PER_UNIT", "unit_amount": "1"}


@dataclass(slots=True)
class Books:
    """An organization, and everything one does with its bill."""

    runtime: Runtime
    clock: Clock
    org: Organization
    meter: Meter
    plan: Plan

    async def use(self, quantity: str | int, at: datetime = NOVEMBER_10) -> None:
        """So many units, a dollar each."""
        async with self.runtime.sessions.begin() as session:
            await counted(session, self.org.id, self.meter, quantity, at)

    async def estimate(self) -> Estimate:
        """As it stands now."""
        async with self.runtime.sessions() as session:
            return await current_estimate(session, self.org, self.clock.at)

    async def close(self, month: int = 11) -> Invoice:
        """The month's invoice, with its lines."""
        end = datetime(2026 + month // 12, month % 12 + 1, 1, tzinfo=UTC)
        self.clock.at = end + timedelta(hours=25)
        async with self.runtime.sessions.begin() as session:
            closed = await close_period_now(session, self.org, end, actor="test", now=self.clock.at)
        async with self.runtime.sessions() as session:
            return await get_invoice(session, self.org.id, closed.id)

    async def coupon(self, code: str = "half", **more: Any) -> Coupon:
        """50 % off unless told otherwise."""
        terms = more if {"percent", "amount"} & more.keys() else {"percent": Decimal(50), **more}
        new = NewCoupon(code, code.title(), **terms)
        async with self.runtime.sessions.begin() as session:
            return await create_coupon(session, self.org, new, actor="ops", now=self.clock.at)

    async def grant(
        self,
        code: str,
        amount: str,
        kind: GrantKind = GrantKind.PROMOTIONAL,
        **more: Any,
    ) -> Grant:
        """Credit."""
        new = NewGrant(code, code.title(), kind, Decimal(amount), **more)
        async with self.runtime.sessions.begin() as session:
            return await grant_credit(session, self.org, new, actor="ops", now=self.clock.at)

    async def tax(self, name: str, percent: str) -> None:
        """A rate."""
        async with self.runtime.sessions.begin() as session:
            await set_tax_rate(
                session, self.org, name, Decimal(percent), actor="ops", now=self.clock.at
            )

    async def cap(self, amount: str | None) -> CapChange:
        """The maximum from now on."""
        wanted = None if amount is None else Decimal(amount)
        async with self.runtime.sessions.begin() as session:
            return await set_cap(session, self.org, wanted, actor="dana", now=self.clock.at)

    async def end_plan(self, at: datetime) -> None:
        """It is on nothing from then on."""
        async with self.runtime.sessions.begin() as session:
            await session.execute(
                update(Subscription)
                .where(Subscription.org_id == self.org.id)
                .values(ends_at=at, ended_at=at)
            )

    async def start_plan(self, at: datetime) -> None:
        """It is on the plan again, without an invoice for that alone."""
        async with self.runtime.sessions.begin() as session:
            await subscribed(session, self.org, self.plan, since=at)

    async def a_plan_with_a_fee(self, slug: str, fee: str) -> Callable[[], Awaitable[None]]:
        """A plan of one fee in advance, and what starts it on the day there is then."""
        async with self.runtime.sessions.begin() as session:
            plan = await a_plan(session, slug)
            terms = {"model": "FLAT", "amount": fee, "timing": "ADVANCE"}
            await a_price(session, plan, terms, slug="fee")

        async def start() -> None:
            now = self.clock.at
            async with self.runtime.sessions.begin() as session:
                await start_subscription(session, self.org, slug, now, actor="ops", now=now)

        return start

    async def first_invoice(self) -> Invoice:
        """The one issued before all others."""
        async with self.runtime.sessions() as session:
            return await get_invoice_by_number(session, self.org.id, "ACME-0001")

    async def left(self) -> dict[str, int]:
        """What is left of each grant."""
        async with self.runtime.sessions() as session:
            return {x.row.code: x.left_minor for x in await grants_of(session, self.org.id)}


@pytest.fixture
async def books(runtime: Runtime, clock: Clock) -> Books:
    async with runtime.sessions.begin() as session:
        org = await an_organization(session, key="acme")
        meter = await a_meter(session, "units")
        plan = await a_plan(session)
        await a_price(session, plan, DOLLAR, meter=meter, slug="units")
        await subscribed(session, org, plan)
    return Books(runtime, clock, org, meter, plan)


async def with_another_currency(books: Books, currency: Currency, unit: str) -> Organization:
    """Somebody else on the same meter, at `unit` of their currency."""
    async with books.runtime.sessions.begin() as session:
        org = await an_organization(session, key="other", currency=currency)
        terms = {"model": "PER_UNIT", "unit_amount": unit}
        await a_price(session, books.plan, terms, meter=books.meter, slug="u", currency=currency)
        await subscribed(session, org, books.plan)
    return org


def amounts(invoice: Invoice) -> list[tuple[str, str]]:
    """The invoice's lines: what each is for, and its amount."""
    return [(x.kind.value, f"{Decimal(x.amount_minor) / 100:.2f}") for x in invoice.lines]
