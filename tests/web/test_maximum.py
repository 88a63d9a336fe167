"""What reduces the bill, on the page; and the form that sets the maximum."""

import re
from datetime import UTC, datetime
from decimal import Decimal

import httpx
import pytest
from sqlalchemy import select, update

from billing.coupons import NewCoupon, create_coupon
from billing.credits import NewGrant, grant_credit
from billing.models import Cap, Membership, Role
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime, Sessions
from billing.taxes import set_tax_rate
from tests.web.site import Acme, form_token, text_of, use
from tests.world import NOVEMBER_10, Clock


async def submit(browser: httpx.AsyncClient, acme: Acme, **fields: str) -> httpx.Response:
    """Send the form as the page has it."""
    page = await browser.get(acme.path)
    fields["csrf_token"] = form_token(page.text)
    return await browser.post(f"{acme.path}/maximum", data=fields)


async def test_all_that_reduces_the_bill_is_summed_up(
    dana: httpx.AsyncClient, sessions: Sessions, acme: Acme
) -> None:
    act = {"actor": "ops", "now": NOVEMBER_10}
    half = NewCoupon("half", "Launch offer", Decimal(50))
    gift = NewGrant("gift", "Sorry", GrantKind.PROMOTIONAL, Decimal(1))
    async with sessions.begin() as session:
        await create_coupon(session, acme.org, half, **act)  # type: ignore[arg-type]
        await grant_credit(session, acme.org, gift, **act)  # type: ignore[arg-type]
        await set_tax_rate(session, acme.org, "VAT", Decimal(20), **act)  # type: ignore[arg-type]

    text = text_of((await dana.get(acme.path)).text)

    for words in (
        "Credits and discounts −$",
        "Tax $",
        "Coupons −$",
        "Launch offer: 50 % off",
        "Promotional credit −$1.00 Sorry −$1.00",
        "VAT 20 %",
    ):
        assert words in text
    assert "<$0.01" not in text
    head = text.partition("Your invoice may differ")[0]
    *parts, total = (
        Decimal(digits) * (-1 if minus else 1)
        for minus, digits in re.findall(r"(−?)\$([\d.]+)", head.partition("Fees certain")[2])
    )
    assert sum(parts) == total


async def test_it_is_set_and_said(dana: httpx.AsyncClient, acme: Acme, runtime: Runtime) -> None:
    assert "You have no maximum." in text_of((await dana.get(acme.path)).text)

    answer = await submit(dana, acme, amount="$50")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{acme.path}#maximum-title")
    text = text_of((await dana.get(acme.path)).text)
    assert (
        "Your maximum is $50.00 . It stops nothing: usage above it is free this month."
        in text.replace("$50.00.", "$50.00 .")
    )
    assert "to go until usage is free" in text

    await use(runtime, acme, "99000", "one")
    page = (await dana.get(acme.path)).text
    assert 'aria-label="100 % of your maximum"' in page
    told = (await dana.get(f"{acme.path}.json")).json()
    assert told["maximum"]["used"] == told["maximum"]["amount"] == "50.00"
    assert told["lines"][0]["reduced"] == told["maximum"]["forgiven"]
    assert "above it is free." in text_of(page)
    assert "Above your maximum −$" in text_of(page)


async def test_set_too_late_the_page_says_from_when_it_holds(
    dana: httpx.AsyncClient, acme: Acme, runtime: Runtime
) -> None:
    await use(runtime, acme, "9900", "one")
    await submit(dana, acme, amount="50")

    text = text_of((await dana.get(acme.path)).text)

    assert "You asked for $50.00 when this was owed already: it holds from 1 Dec 2026 on." in text


async def test_it_is_removed(dana: httpx.AsyncClient, acme: Acme, clock: Clock) -> None:
    await submit(dana, acme, amount="50")
    clock.at = datetime(2026, 11, 11, tzinfo=UTC)

    assert (await submit(dana, acme, amount="50", remove="yes")).status_code == 303
    assert "You have no maximum." in text_of((await dana.get(acme.path)).text)


@pytest.mark.parametrize(
    ("amount", "words"),
    [
        ("5", "The fixed fees come to $29.00: the maximum can be that or more."),
        ("fifty", "The maximum must be a finite decimal number, not 'fifty'."),
        ("", "The maximum must be a finite decimal number"),
        ("50.001", "50.001 USD is finer than 0.01"),
        ("<b>", "The maximum must be"),
    ],
)
async def test_what_cannot_be_set_is_said_on_the_page(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions, amount: str, words: str
) -> None:
    answer = await submit(dana, acme, amount=amount)

    assert answer.status_code == 422
    assert words in text_of(answer.text).replace("&#39;", "'")
    assert f'value="{amount}"' in answer.text or amount == "<b>"
    assert "<b>" not in answer.text
    async with sessions() as session:
        assert await session.scalar(select(Cap.id)) is None


async def test_who_may_not_set_it_sees_no_form_and_is_refused(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await session.execute(update(Membership).values(role=Role.MEMBER))

    page = await dana.get(acme.path)
    answer = await submit(dana, acme, amount="50")

    assert "/maximum" not in page.text
    assert answer.status_code == 403


async def test_a_form_from_elsewhere_sets_nothing(dana: httpx.AsyncClient, acme: Acme) -> None:
    answer = await dana.post(f"{acme.path}/maximum", data={"amount": "50", "csrf_token": "x.y"})

    assert answer.status_code == 403


async def test_somebody_signed_out_is_asked_to_sign_in(dana: httpx.AsyncClient, acme: Acme) -> None:
    dana.cookies.clear()
    login = await dana.get("/login")
    fields = {"csrf_token": form_token(login.text), "amount": "50"}

    answer = await dana.post(f"{acme.path}/maximum", data=fields)

    assert answer.headers["location"] == f"/login?next={acme.path}"
