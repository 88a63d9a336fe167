"""What a person sees at the fake's own addresses."""

import httpx

from sandbox.stripe.pages import money
from tests.sandbox.stripe.conftest import Receiver, Stage


async def page(stage: Stage, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=stage.url) as browser:
        return await browser.get(path)


async def test_the_root_page_lists_everything_and_says_it_is_not_real(
    stage: Stage, receiver: Receiver
) -> None:
    assert "None yet." in (await page(stage, "/")).text
    customer = await stage.a_customer(name="<b>Acme</b>", email="a@example.com")
    invoice = await stage.an_open_invoice(123456, customer=customer, metadata={"rev": "0"})
    await stage.pass_time(seconds=5)

    shown = (await page(stage, "/")).text
    assert "NOT REAL" in shown
    assert "<b>Acme" not in shown
    for part in ("&lt;b&gt;Acme", invoice.id, "1,234.56 USD", "rev=0", "invoice.paid", "200"):
        assert part in shown


async def test_a_final_invoice_has_a_page_and_a_draft_has_none(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500)
    draft = await stage.a_draft(500)

    shown = await page(stage, f"/hosted/{invoice.id}")
    assert "NOT REAL" in shown.text
    assert "5.00 USD" in shown.text
    assert (await page(stage, f"/hosted/{draft.id}")).status_code == 404


async def test_the_page_of_a_discounted_invoice_adds_up(stage: Stage) -> None:
    customer = await stage.a_customer()
    await stage.order(discounts={customer: {"percent_off": 10}})
    invoice = await stage.an_open_invoice(500, customer=customer)

    shown = (await page(stage, f"/hosted/{invoice.id}")).text
    for part in ("5.00 USD", "−0.50 USD", "4.50 USD"):
        assert part in shown


def test_money_in_each_kind_of_currency() -> None:
    assert money(-5, "usd") == "−0.05 USD"
    assert money(1500, "jpy") == "1,500 JPY"
    assert money(1500, "bhd") == "1.500 BHD"
