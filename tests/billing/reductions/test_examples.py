"""Worked examples 6, 7, 13 and 14, through the database."""

from datetime import UTC, datetime
from decimal import Decimal

from billing.credits import credit_balance
from billing.estimates import current_estimate
from billing.models import InvoiceStatus
from billing.rules.invoicing import Settlement
from billing.rules.money import Currency, Money
from tests.billing.reductions.conftest import Books, amounts, with_another_currency
from tests.factories import a_price, counted
from tests.world import NOVEMBER_10

FEE = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}
DECEMBER_16 = datetime(2026, 12, 16, tzinfo=UTC)


async def test_worked_example_6_cap_credit_and_tax(books: Books) -> None:
    await books.cap("50")
    await books.grant("welcome", "20")
    await books.tax("VAT", "20")
    await books.use(100)

    before = await books.estimate()
    issued = await books.close()

    assert amounts(issued) == [
        ("USAGE", "100.00"),
        ("CAP_CREDIT", "-50.00"),
        ("PROMOTIONAL_CREDIT", "-20.00"),
        ("TAX", "6.00"),
    ]
    assert issued.total.major == before.total.major == Decimal("36.00")
    assert issued.digest == before.digest
    assert before.accrued.major == Decimal("30.00")
    [line, *_] = issued.lines
    assert (line.reduced_minor, line.granted_minor) == (5_000, 2_000)


async def test_worked_example_7_what_is_carried_starts_the_next(books: Books) -> None:
    await books.use("0.31")
    november = await books.close()
    await books.use(1, DECEMBER_16)
    december = await books.close(12)

    assert amounts(november) == [("USAGE", "0.31"), ("CARRIED_OUT", "-0.31")]
    assert (november.total_minor, november.status) == (0, InvoiceStatus.PAID)
    assert november.settled_by is Settlement.NOTHING_DUE
    assert amounts(december) == [("CARRIED_IN", "0.31"), ("USAGE", "1.00")]
    assert december.lines[0].description == f"Carried from {november.number}"


async def test_worked_example_13_a_currency_without_decimals(books: Books) -> None:
    org = await with_another_currency(books, Currency.JPY, "1.5")
    async with books.runtime.sessions.begin() as session:
        await counted(session, org.id, books.meter, 3, NOVEMBER_10)
    async with books.runtime.sessions() as session:
        estimate = await current_estimate(session, org, books.clock.at)

    assert estimate.accrued == Money(5, Currency.JPY)


async def test_worked_example_14_an_unused_fee_becomes_credit_and_pays_the_next(
    books: Books,
) -> None:
    async with books.runtime.sessions.begin() as session:
        await a_price(session, books.plan, FEE, slug="base")
    november = await books.close()
    assert amounts(november)[-1] == ("FEE_IN_ADVANCE", "29.00")

    await books.end_plan(datetime(2026, 12, 16, 12, tzinfo=UTC))
    await books.use(4, DECEMBER_16)
    december = await books.close(12)
    async with books.runtime.sessions() as session:
        assert await credit_balance(session, books.org.id) == 1_050
    await books.start_plan(datetime(2027, 1, 1, tzinfo=UTC))
    await books.use(3, datetime(2027, 1, 5, tzinfo=UTC))
    january = await books.close(13)

    assert amounts(december) == [
        ("USAGE", "4.00"),
        ("UNUSED_FEE", "-14.50"),
        ("MOVED_TO_CREDIT", "10.50"),
    ]
    assert december.total_minor == 0
    assert ("CREDIT_BALANCE", "-10.50") in amounts(january)
    async with books.runtime.sessions() as session:
        assert await credit_balance(session, books.org.id) == 0
