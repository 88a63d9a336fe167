"""The maximum bill, set, moved and removed within a period, over every invoice of it."""

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select

from billing.capping import CapBelowFees
from billing.errors import Invalid
from billing.models import AuditEntry, Cap
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.caps import CapStanding
from billing.rules.money import Currency
from tests.billing.reductions.conftest import Books, amounts
from tests.factories import a_price
from tests.world import NOVEMBER_10

DAY = timedelta(days=1)
DECEMBER_5 = datetime(2026, 12, 5, tzinfo=UTC)
FEE = {"model": "FLAT", "amount": "29.00", "timing": "ARREARS"}


async def sell(books: Books, amount: str, key: str, at: datetime) -> None:
    item = NewOneOff("Import", Decimal(amount), Currency.USD, key, at)
    async with books.runtime.sessions.begin() as session:
        await add_one_off(session, books.org, item, actor="test", now=books.clock.at)


async def test_it_holds_from_the_moment_it_is_set_and_stops_nothing(books: Books) -> None:
    await books.use(30)
    change = await books.cap("50")
    assert change.standing == CapStanding(5_000, 3_000, 0)

    await books.use(90)
    estimate = await books.estimate()

    assert estimate.accrued.major == Decimal("50.00")
    assert estimate.maximum == CapStanding(5_000, 5_000, 7_000)
    assert amounts(await books.close()) == [("USAGE", "120.00"), ("CAP_CREDIT", "-70.00")]


async def test_set_too_late_for_this_period_it_holds_from_the_next_on(books: Books) -> None:
    await books.use(80)
    change = await books.cap("50")
    assert (change.asked_minor, change.standing.amount_minor) == (5_000, 8_000)

    await books.use(70)
    november = await books.close()
    await books.use(90, DECEMBER_5)
    december = await books.close(12)

    assert [x.total.major for x in (november, december)] == [Decimal(80), Decimal(50)]


async def test_raised_it_keeps_what_it_forgave_and_removed_it_bills_the_rest(
    books: Books,
) -> None:
    await books.cap("50")
    await books.use(80)
    books.clock.advance(DAY)
    raised = await books.cap("100")
    assert raised.standing == CapStanding(10_000, 5_000, 3_000)

    await books.use(20)
    books.clock.advance(DAY)
    removed = await books.cap(None)
    assert removed.standing == CapStanding(None, 7_000, 3_000)

    await books.use(50)
    assert (await books.close()).total.major == Decimal("120.00")


async def test_up_and_down_again_takes_nothing_back(books: Books) -> None:
    await books.cap("50")
    await books.use(80)
    for amount in ("200", "10", None, "10", "60"):
        books.clock.advance(DAY)
        assert (await books.cap(amount)).standing.used_minor == 5_000
        assert (await books.estimate()).accrued.major == Decimal("50.00")

    await books.use(500)
    assert (await books.close()).total.major == Decimal("60.00")


async def test_the_same_again_is_no_change(books: Books) -> None:
    await books.cap("50")
    await books.use(80)
    books.clock.advance(DAY)
    await books.cap("50.00")

    async with books.runtime.sessions() as session:
        assert len((await session.scalars(select(Cap))).all()) == 1
        acts = await session.scalars(select(AuditEntry).where(AuditEntry.subject == "acme"))
        assert [(x.actor, x.action) for x in acts] == [("dana", "maximum.set")]


async def test_coupons_come_before_it(books: Books) -> None:
    await books.coupon()
    await books.cap("50")
    await books.use(80)
    assert (await books.estimate()).maximum == CapStanding(5_000, 4_000, 0)

    await books.use(80)
    assert amounts(await books.close()) == [
        ("USAGE", "160.00"),
        ("COUPON", "-80.00"),
        ("CAP_CREDIT", "-30.00"),
    ]


async def test_below_the_fixed_fees_it_is_refused_naming_the_least(books: Books) -> None:
    async with books.runtime.sessions.begin() as session:
        await a_price(session, books.plan, FEE, slug="base")

    with pytest.raises(CapBelowFees, match=r"fees come to \$29\.00: .* that or more") as refused:
        await books.cap("28.99")
    assert (refused.value.code, refused.value.field) == ("CAP_BELOW_FEES", "amount")
    assert (await books.cap("29")).standing.amount_minor == 2_900


async def test_a_part_of_a_month_is_no_way_under_the_fees(books: Books) -> None:
    async with books.runtime.sessions.begin() as session:
        await a_price(session, books.plan, FEE, slug="base")
    await books.end_plan(NOVEMBER_10 - DAY * 9)
    await books.start_plan(NOVEMBER_10)

    with pytest.raises(CapBelowFees, match=r"\$29\.00"):
        await books.cap("25")


@pytest.mark.parametrize(
    ("amount", "error"), [("0", CapBelowFees), ("-1", CapBelowFees), ("1.001", Invalid)]
)
async def test_what_is_no_maximum_is_refused(
    books: Books, amount: str, error: type[Invalid]
) -> None:
    with pytest.raises(error):
        await books.cap(amount)


async def test_what_is_sold_late_is_under_the_maximum_of_its_own_period(books: Books) -> None:
    await books.cap("50")
    await books.use(40)
    november = await books.close()
    await sell(books, "30.00", "late", NOVEMBER_10)
    await books.use(20, DECEMBER_5)
    books.clock.at = DECEMBER_5
    await sell(books, "5.00", "own", DECEMBER_5)
    december = await books.close(12)

    assert november.total.major == Decimal("40.00")
    assert amounts(december) == [
        ("USAGE", "20.00"),
        ("ONE_OFF", "30.00"),
        ("ONE_OFF", "5.00"),
        ("CAP_CREDIT", "-20.00"),
    ]
    assert december.lines[-1].span_start == datetime(2026, 11, 1, tzinfo=UTC)


async def test_fees_in_advance_are_under_the_maximum_of_the_period_they_are_for(
    books: Books,
) -> None:
    await books.cap("20")
    start = await books.a_plan_with_a_fee("addon", "29.00")
    books.clock.at = datetime(2026, 11, 1, 0, 30, tzinfo=UTC) + DAY * 10
    await start()
    await books.use(30)
    november = await books.close()
    await books.use(30, DECEMBER_5)
    december = await books.close(12)

    cut = [(x.key, x.amount_minor) for x in december.lines if x.kind == "CAP_CREDIT"]
    first = await books.first_invoice()
    assert first.total_minor == 1_933, "29.00 x 480/720, under the maximum of 20.00"
    assert [(x.key, x.amount_minor) for x in november.lines if x.kind == "CAP_CREDIT"] == [
        ("cap", -2_933),
        ("cap/2026-12-01", -900),
    ]
    assert november.total_minor == 67 + 2_000
    assert cut == [("cap", -3_000), ("cap/2027-01-01", -900)]
    assert december.total_minor == 2_000


async def test_whoever_sets_it_at_once_sets_it_in_turn(books: Books) -> None:
    await books.cap("50")
    await books.use(80)
    books.clock.advance(DAY)
    await asyncio.gather(*(books.cap(amount) for amount in ("60", "70", "80", None)))

    async with books.runtime.sessions() as session:
        rows = (await session.scalars(select(Cap).order_by(Cap.recorded_at, Cap.id))).all()
    assert {x.forgiven_minor for x in rows[1:]} == {3_000}
    assert (await books.estimate()).accrued.major == Decimal("50.00")
