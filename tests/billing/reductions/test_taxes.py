from datetime import timedelta
from decimal import Decimal

import pytest

from billing.errors import Invalid, NotFound
from billing.taxes import end_tax_rate, set_tax_rate, tax_rates_of
from tests.billing.reductions.conftest import Books, amounts


async def rates(books: Books) -> list[tuple[str, str]]:
    async with books.runtime.sessions() as session:
        return [(x.name, f"{x.percent:f}"[:5]) for x in await tax_rates_of(session, books.org.id)]


async def test_each_rate_is_a_line_and_another_percent_takes_its_place(books: Books) -> None:
    await books.tax("VAT", "19")
    await books.tax("VAT", "19")
    await books.tax("City", "0.50")
    books.clock.advance(timedelta(days=1))
    await books.tax("VAT", "20")
    await books.use(10)

    assert await rates(books) == [("City", "0.500"), ("VAT", "20.00")]
    issued = await books.close()
    assert amounts(issued) == [("USAGE", "10.00"), ("TAX", "0.05"), ("TAX", "2.00")]
    assert [x.description for x in issued.lines[1:]] == ["City 0.5 %", "VAT 20 %"]


async def test_an_ended_rate_is_charged_no_more(books: Books) -> None:
    await books.tax("VAT", "20")
    await books.use(10)
    async with books.runtime.sessions.begin() as session:
        await end_tax_rate(session, books.org, "VAT", actor="ops", now=books.clock.at)

    assert await rates(books) == []
    assert (await books.estimate()).total.major == Decimal("10.00")
    async with books.runtime.sessions.begin() as session:
        with pytest.raises(NotFound, match="no tax rate 'VAT'"):
            await end_tax_rate(session, books.org, "VAT", actor="ops", now=books.clock.at)


@pytest.mark.parametrize("percent", ["0", "-1", "100.01"])
async def test_a_rate_is_a_percentage(books: Books, percent: str) -> None:
    async with books.runtime.sessions.begin() as session:
        with pytest.raises(Invalid, match="above 0 and at most 100"):
            await set_tax_rate(
                session, books.org, "VAT", Decimal(percent), actor="ops", now=books.clock.at
            )
