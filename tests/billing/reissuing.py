"""The books of one organization, voided and issued again."""

from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal

from sqlalchemy import func, select

from billing.closing import close_due
from billing.invoices import get_invoice, invoices_for_org
from billing.models import (
    Coupon,
    CreditEntry,
    EntryKind,
    Grant,
    Invoice,
    InvoiceStatus,
    Organization,
    Plan,
    TaxRate,
)
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime
from billing.voiding import (
    reissue_invoice,
    void_invoice,
)
from tests.factories import a_price
from tests.world import Clock

NOVEMBER_30 = datetime(2026, 11, 30, 12, tzinfo=UTC)
"""Not yet too old on the third of January."""


async def with_a_price(runtime: Runtime, plan: Plan, terms: dict[str, str], slug: str) -> None:
    async with runtime.sessions.begin() as session:
        await a_price(session, plan, terms, slug=slug)


async def closed(runtime: Runtime, clock: Clock, at: datetime) -> list[Invoice]:
    """Every invoice, the newest period first, the newest revision first."""
    clock.at = at
    report = await close_due(runtime)
    assert (report.held, report.failed) == (0, [])
    return await every(runtime)


async def every(runtime: Runtime) -> list[Invoice]:
    async with runtime.sessions() as session:
        [org] = await session.scalars(select(Organization))
        found = await invoices_for_org(session, org.id, limit=20)
        full = [await get_invoice(session, org.id, one.id) for one in found]
    return sorted(full, key=lambda x: (x.period_start, x.revision), reverse=True)


def counting(invoices: Sequence[Invoice]) -> list[Invoice]:
    return [x for x in invoices if x.status is not InvoiceStatus.VOID]


def lines_of(invoice: Invoice) -> list[tuple[LineKind, int]]:
    return [(x.kind, x.amount_minor) for x in invoice.lines]


async def void(runtime: Runtime, org: Organization, number: str) -> None:
    await void_invoice(runtime, org, number, reason="A mistake", actor="test")


async def reissue(runtime: Runtime, org: Organization, number: str) -> None:
    async with runtime.sessions.begin() as session:
        now = await runtime.now()
        await reissue_invoice(session, org, number, actor="test", now=now)


async def balances(runtime: Runtime) -> dict[str, int]:
    """What is left of each grant, and of the credit balance."""
    async with runtime.sessions() as session:
        rows = await session.execute(
            select(func.coalesce(Grant.code, "balance"), func.sum(CreditEntry.amount_minor))
            .select_from(CreditEntry)
            .outerjoin(Grant, Grant.id == CreditEntry.grant_id)
            .group_by(Grant.code)
        )
        return {code: int(left) for code, left in rows}


async def everything_that_reduces(runtime: Runtime, org: Organization, now: datetime) -> None:
    """A coupon for one invoice, both grants, a balance, tax and a one-off item."""
    async with runtime.sessions.begin() as session:
        session.add(
            Coupon(
                org_id=org.id,
                code="ten",
                name="Ten off",
                percent=Decimal(10),
                invoices_max=1,
                recorded_at=now,
            )
        )
        for code, kind in (("promo", GrantKind.PROMOTIONAL), ("paid", GrantKind.PREPAID)):
            grant = Grant(
                org_id=org.id,
                code=code,
                name=code,
                kind=kind,
                amount_minor=200,
                valid_from=now,
                recorded_at=now,
            )
            session.add(grant)
            await session.flush()
            session.add(_credit(org, 200, now, grant))
        session.add(_credit(org, 100, now))
        session.add(TaxRate(org_id=org.id, name="VAT", percent=Decimal(20), recorded_at=now))
        item = NewOneOff("Import", Decimal("10"), Currency.USD, "import-1", now)
        await add_one_off(session, org, item, actor="test", now=now)


def _credit(
    org: Organization, minor: int, now: datetime, grant: Grant | None = None
) -> CreditEntry:
    return CreditEntry(
        org_id=org.id,
        grant_id=grant.id if grant else None,
        kind=EntryKind.GRANT,
        amount_minor=minor,
        recorded_at=now,
    )
