"""What a page and its JSON say of an invoice that was corrected, and staff of one that waits."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import httpx
import pytest

from billing.closing import close_period_now
from billing.credit_notes import NewCreditNote, create_credit_note
from billing.runtime import Runtime, Sessions
from billing.voiding import void_and_reissue, void_invoice
from jobs.close_periods import close_periods
from tests.factories import a_meter, counted
from tests.web.site import OLGA, Acme, a_person, form_token, sign_in, text_of
from tests.world import NOVEMBER_10, Clock

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NUMBER = "ACME-0001"


@pytest.fixture
async def issued(sessions: Sessions, clock: Clock, acme: Acme) -> str:
    """November's invoice as an address."""
    now = clock.advance(DECEMBER - clock.at + timedelta(hours=1))
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
    return f"{acme.path}/invoices/{NUMBER}"


async def test_a_void_invoice_says_why_and_what_replaces_it(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme, issued: str
) -> None:
    await void_and_reissue(runtime, acme.org, NUMBER, reason="A <wrong> price", actor="test")
    text = text_of((await dana.get(issued)).text)
    assert "Void since" in text
    assert "A &lt;wrong&gt; price" in text
    assert "A new invoice for this period is on its way." in text

    await close_periods({"runtime": runtime})
    assert "Replaced by ACME-0002 ." in text_of((await dana.get(issued)).text)
    newer = f"{acme.path}/invoices/ACME-0002"
    assert "Replaces ACME-0001 ." in text_of((await dana.get(newer)).text)
    old, new = [(await dana.get(f"{x}.json")).json() for x in (issued, newer)]
    assert (old["state"], old["amount_due"], old["replaced_by"]) == ("Void", "0.00", "ACME-0002")
    assert (old["void_reason"], old["replaces"]) == ("A <wrong> price", None)
    assert (new["amount_due"], new["replaces"]) == (new["total"], "ACME-0001")


async def test_credit_notes_lower_what_is_due(
    dana: httpx.AsyncClient, sessions: Sessions, clock: Clock, acme: Acme, issued: str
) -> None:
    total = Decimal((await dana.get(f"{issued}.json")).json()["total"])
    for amount, key, state, due in (
        (Decimal("3.94"), "k1", "Issued", total - Decimal("3.94")),
        (total - Decimal("3.94"), "k2", "Credited", Decimal(0)),
    ):
        wanted = NewCreditNote(amount, f"Sorry {key}", key)
        async with sessions.begin() as session:
            await create_credit_note(session, acme.org, NUMBER, wanted, actor="test", now=clock.at)
        told = (await dana.get(f"{issued}.json")).json()
        text = text_of((await dana.get(issued)).text)
        assert (told["state"], Decimal(told["amount_due"])) == (state, due)
        assert Decimal(told["total"]) == total
        assert f"off this invoice: Sorry {key}" in text
        assert f"Amount due ${due:.2f}" in text
    assert [x["number"] for x in told["credit_notes"]] == ["ACME-CN-0001", "ACME-CN-0002"]
    assert "ACME-CN-0001" in text_of((await dana.get(f"{issued}/state")).text)


async def test_staff_release_what_is_held_with_a_note(
    browser: httpx.AsyncClient, runtime: Runtime, sessions: Sessions, clock: Clock, acme: Acme
) -> None:
    async with sessions.begin() as session:
        await a_person(session, OLGA, is_ops=True)
        meter = await a_meter(session, "builds")
        await counted(session, acme.org.id, meter, 7, NOVEMBER_10)
    clock.at = DECEMBER + timedelta(days=1, minutes=1)
    await close_periods({"runtime": runtime})
    await sign_in(browser, runtime, OLGA)
    page = await browser.get("/ops")
    text = text_of(page.text)
    assert "In grace 0 Due 0 Held 1 Issued in the last day 0" in text
    assert "UNPRICED 7 GB of builds have no price" in text

    given = {
        "csrf_token": form_token(page.text),
        "organization": "acme",
        "reason": "UNPRICED",
        "note": "",
    }
    assert (await browser.post("/ops/holds/release", data=given)).status_code == 422
    assert (
        await browser.post("/ops/holds/release", data=given | {"reason": "WHIM"})
    ).status_code == 422
    assert (
        await browser.post("/ops/holds/release", data=given | {"csrf_token": "x"})
    ).status_code == 403
    done = await browser.post("/ops/holds/release", data=given | {"note": "Free of charge"})
    assert (done.status_code, done.headers["location"]) == (303, "/ops#closing-title")
    await close_periods({"runtime": runtime})
    assert "Held 0 Issued in the last day 1" in text_of((await browser.get("/ops")).text)


async def test_nobody_else_releases_anything(dana: httpx.AsyncClient, acme: Acme) -> None:
    token = form_token((await dana.get(acme.path)).text)
    given = {"csrf_token": token, "organization": "acme", "reason": "UNPRICED", "note": "x"}
    assert (await dana.post("/ops/holds/release", data=given)).status_code == 403


async def test_voiding_without_a_new_invoice_promises_none(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme, issued: str
) -> None:
    await void_invoice(runtime, acme.org, NUMBER, reason="A mistake", actor="test")
    assert "on its way" not in (await dana.get(issued)).text
