from datetime import UTC, datetime
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.coupons import NewCoupon, coupons_of, create_coupon, end_coupon
from billing.errors import BillingError, IdempotencyConflict, NotFound
from billing.models import AuditEntry
from tests.billing.reductions.conftest import Books, amounts

DECEMBER_5 = datetime(2026, 12, 5, tzinfo=UTC)
JANUARY_5 = datetime(2027, 1, 5, tzinfo=UTC)


async def test_a_coupon_lasts_for_invoices_that_have_something_to_reduce(books: Books) -> None:
    await books.coupon(invoices_max=1)

    november = await books.close()
    await books.use(10, DECEMBER_5)
    december = await books.close(12)
    await books.use(10, JANUARY_5)
    january = await books.close(13)

    assert amounts(november) == []
    assert amounts(december) == [("USAGE", "10.00"), ("COUPON", "-5.00")]
    assert amounts(january) == [("USAGE", "10.00")]
    async with books.runtime.sessions() as session:
        [found] = await coupons_of(session, books.org.id)
    assert (found.invoices_reduced, found.is_active) == (1, False)


async def test_percent_comes_before_amount_whichever_is_older(books: Books) -> None:
    await books.coupon("five", amount=Decimal("5.00"))
    await books.coupon("half")
    await books.use(20)

    assert amounts(await books.close()) == [
        ("USAGE", "20.00"),
        ("COUPON", "-10.00"),
        ("COUPON", "-5.00"),
    ]


async def test_the_same_code_and_body_are_the_same_coupon(books: Books) -> None:
    first = await books.coupon()
    again = await books.coupon()

    assert again.id == first.id
    async with books.runtime.sessions() as session:
        acts = await session.scalars(
            select(AuditEntry).where(AuditEntry.action == "coupon.created")
        )
        assert [(x.actor, x.subject, x.details["percent"]) for x in acts] == [("ops", "half", "50")]
    with pytest.raises(IdempotencyConflict, match="another coupon's"):
        await books.coupon(percent=Decimal(49))


async def test_an_ended_coupon_reduces_nothing_more(books: Books) -> None:
    await books.coupon()
    await books.use(10)
    assert (await books.estimate()).total.major == Decimal("5.00")

    async with books.runtime.sessions.begin() as session:
        ended = await end_coupon(session, books.org, "half", actor="ops", now=books.clock.at)
        again = await end_coupon(session, books.org, "half", actor="ops", now=DECEMBER_5)
    assert ended.ended_at == again.ended_at == books.clock.at
    assert (await books.estimate()).total.major == Decimal("10.00")

    async with books.runtime.sessions.begin() as session:
        with pytest.raises(NotFound, match="no coupon 'halv'"):
            await end_coupon(session, books.org, "halv", actor="ops", now=books.clock.at)


@pytest.mark.parametrize(
    ("new", "code", "field"),
    [
        (NewCoupon("a", "A"), "INVALID_COUPON", "percent"),
        (NewCoupon("a", "A", Decimal(1), Decimal(1)), "INVALID_COUPON", "percent"),
        (NewCoupon("a", "A", Decimal(0)), "INVALID_PERCENT", "percent"),
        (NewCoupon("a", "A", Decimal("100.01")), "INVALID_PERCENT", "percent"),
        (NewCoupon("a", "A", amount=Decimal(0)), "INVALID_AMOUNT", "amount"),
        (NewCoupon("a", "A", amount=Decimal("0.001")), "INVALID_AMOUNT", None),
        (NewCoupon("a", "A", Decimal(1), invoices_max=0), "INVALID_INVOICES_MAX", "invoicesMax"),
        (NewCoupon("a b", "A", Decimal(1)), "INVALID_CODE", "code"),
        (NewCoupon("a", " ", Decimal(1)), "INVALID_NAME", "name"),
    ],
)
async def test_what_is_no_coupon_is_refused(
    books: Books, new: NewCoupon, code: str, field: str | None
) -> None:
    async with books.runtime.sessions.begin() as session:
        with pytest.raises(BillingError) as refused:
            await create_coupon(session, books.org, new, actor="ops", now=books.clock.at)

    assert (refused.value.code, refused.value.field) == (code, field)
