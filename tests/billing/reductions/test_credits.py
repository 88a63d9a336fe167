import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from sqlalchemy import select, update

from billing.charges import restore_credits
from billing.credits import NewGrant, grant_credit, ledger
from billing.errors import BillingError, IdempotencyConflict
from billing.models import CreditEntry, EntryKind, Invoice, InvoiceStatus
from billing.rules.reductions import GrantKind
from tests.billing.reductions.conftest import Books, amounts
from tests.factories import a_meter, a_price

PREPAID = GrantKind.PREPAID
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
NOVEMBER_10_LATER = datetime(2026, 11, 10, 15, tzinfo=UTC)


async def test_grants_are_drawn_scoped_first_then_by_priority_expiry_and_age(
    books: Books,
) -> None:
    async with books.runtime.sessions.begin() as session:
        builds = await a_meter(session, "builds")
        await a_price(session, books.plan, {"model": "PER_UNIT", "unit_amount": "1"}, meter=builds)
    await books.grant("old", "4")
    books.clock.advance(timedelta(minutes=1))
    await books.grant("soon", "4", expires_at=DECEMBER)
    await books.grant("first", "4", priority=0)
    await books.grant("last", "4", priority=5)
    await books.grant("units", "4", meter="units", priority=9)
    await books.grant("builds", "4", meter="builds")
    await books.use(14)

    issued = await books.close()

    drawn = [x.description for x in issued.lines if x.kind == "PROMOTIONAL_CREDIT"]
    assert drawn == ["Units", "Soon", "Old", "First"]
    assert await books.left() == {
        "old": 0,
        "soon": 0,
        "first": 200,
        "last": 400,
        "units": 0,
        "builds": 400,
    }
    assert issued.total_minor == 0


async def test_a_grant_counts_if_it_is_valid_at_any_instant_of_the_period(books: Books) -> None:
    await books.grant("over", "5", valid_from=NOVEMBER - timedelta(days=9), expires_at=NOVEMBER)
    await books.grant("edge", "1", expires_at=NOVEMBER_10_LATER)
    await books.grant("next", "5", valid_from=DECEMBER)
    await books.use(10)

    await books.close()

    assert await books.left() == {"over": 500, "edge": 0, "next": 500}


async def test_prepaid_credit_pays_tax_and_what_is_left_pays_the_next(books: Books) -> None:
    await books.tax("VAT", "20")
    await books.grant("paid", "20", PREPAID)
    await books.use(10)
    november = await books.close()
    await books.use(10, DECEMBER)
    december = await books.close(12)

    assert amounts(november) == [("USAGE", "10.00"), ("TAX", "2.00"), ("PREPAID_CREDIT", "-12.00")]
    assert amounts(december)[-1] == ("PREPAID_CREDIT", "-8.00")
    assert december.total_minor == 400


async def test_the_ledger_says_every_movement_and_voiding_gives_back(books: Books) -> None:
    await books.grant("gift", "6")
    await books.use(10)
    issued = await books.close()
    async with books.runtime.sessions.begin() as session:
        await session.execute(
            update(Invoice).where(Invoice.id == issued.id).values(status=InvoiceStatus.VOID)
        )
        for _ in range(2):
            await restore_credits(session, issued, books.clock.at + timedelta(minutes=1))
            await session.flush()

    async with books.runtime.sessions() as session:
        first = await ledger(session, books.org.id, limit=2)
        rest = await ledger(
            session, books.org.id, limit=2, before=(first[-1].row.recorded_at, first[-1].row.id)
        )
    told = [(x.row.kind, x.row.amount_minor, x.grant, x.invoice) for x in [*first, *rest]]
    assert told == [
        (EntryKind.RESTORE, 600, "gift", issued.number),
        (EntryKind.DRAW, -600, "gift", issued.number),
        (EntryKind.GRANT, 600, "gift", None),
    ]
    assert await books.left() == {"gift": 600}


async def test_the_same_code_and_body_give_once_also_at_once(books: Books) -> None:
    given = await asyncio.gather(*(books.grant("gift", "6") for _ in range(5)))

    assert len({x.id for x in given}) == 1
    assert await books.left() == {"gift": 600}
    for changed in ({"amount": "7"}, {"amount": "6", "priority": 1}):
        with pytest.raises(IdempotencyConflict):
            await books.grant("gift", **changed)


async def test_the_same_credit_is_never_drawn_twice_at_once(books: Books) -> None:
    """A close and the start of another plan, at the same moment, each with something to pay."""
    await books.grant("gift", "10")
    await books.use(10)
    start_plan = await books.a_plan_with_a_fee("addon", "10.00")
    books.clock.at = DECEMBER + timedelta(hours=25)

    outcomes = await asyncio.gather(books.close(), start_plan(), return_exceptions=True)
    if any(isinstance(one, BaseException) for one in outcomes):
        assert {str(x) for x in outcomes if isinstance(x, BaseException)} == {
            "The organization changed meanwhile: try again."
        }
        await books.close()

    assert await books.left() == {"gift": 0}
    async with books.runtime.sessions() as session:
        draws = (
            await session.scalars(select(CreditEntry).where(CreditEntry.kind == EntryKind.DRAW))
        ).all()
        issued = (await session.scalars(select(Invoice).where(Invoice.number.is_not(None)))).all()
    assert sum(x.amount_minor for x in draws) == -1_000
    assert len(issued) == 2
    assert sum(x.total_minor for x in issued) > 0, "one of them found nothing left"


@pytest.mark.parametrize(
    ("more", "code", "field"),
    [
        ({"amount": Decimal(0)}, "INVALID_AMOUNT", "amount"),
        ({"amount": Decimal("1.001")}, "INVALID_AMOUNT", None),
        ({"priority": -1}, "INVALID_PRIORITY", "priority"),
        ({"priority": 1_000}, "INVALID_PRIORITY", "priority"),
        ({"expires_at": NOVEMBER}, "INVALID_EXPIRY", "expiresAt"),
        ({"meter": "unit"}, "METER_NOT_FOUND", "meter"),
        ({"code": "a/b"}, "INVALID_CODE", "code"),
        ({"name": ""}, "INVALID_NAME", "name"),
    ],
)
async def test_what_is_no_grant_is_refused(
    books: Books, more: dict[str, Any], code: str, field: str | None
) -> None:
    body = {"code": "a", "name": "A", "kind": PREPAID, "amount": Decimal(1), **more}
    async with books.runtime.sessions.begin() as session:
        with pytest.raises(BillingError) as refused:
            await grant_credit(
                session, books.org, NewGrant(**body), actor="ops", now=books.clock.at
            )

    assert (refused.value.code, refused.value.field) == (code, field)
    assert field != "meter" or "Did you mean 'units'?" in str(refused.value)
