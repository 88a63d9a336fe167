"""The pages of staff about Stripe's side: differences, books, webhooks."""

from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from billing.models import InvoiceSync, Outcome, PaymentFacts, StripeEvent
from billing.reconciling import Wanted, make_books, verify_books
from billing.runtime import Runtime, Sessions
from billing.stripe_events import check_endpoint_due
from sandbox.stripe.app import FakeStripe
from sandbox.stripe.webhooks import Endpoint
from tests.billing.conftest import connected, fake
from tests.billing.pushing import an_issued_invoice, held
from tests.billing.reconciling.conftest import run_of, settled_invoice
from tests.billing.test_stripe_events import hear, told
from tests.web.site import OLGA, Acme, a_person, sign_in, text_of
from tests.world import Clock

__all__ = ["connected", "fake"]


@pytest.fixture
async def olga(
    browser: httpx.AsyncClient, runtime: Runtime, sessions: Sessions
) -> httpx.AsyncClient:
    """Somebody of the staff, signed in."""
    async with sessions.begin() as session:
        await a_person(session, OLGA, is_ops=True)
    await sign_in(browser, runtime, OLGA)
    return browser


async def sign_books(runtime: Runtime) -> None:
    run = await run_of(runtime, Wanted(period="2026-11"))
    async with runtime.sessions.begin() as session:
        key, now = runtime.settings.secret_key, await runtime.now()
        await make_books(session, run, secret_key=key, is_live=False, now=now)


async def test_staff_see_what_differs_and_what_becomes_of_it(
    connected: Runtime, fake: FakeStripe, clock: Clock, olga: httpx.AsyncClient
) -> None:
    assert "Nothing has been compared yet." in (await olga.get("/ops/reconciliation")).text
    _, stripe_id = await settled_invoice(connected, fake, clock)
    await run_of(connected)
    assert "Both sides agree." in (await olga.get("/ops/reconciliation")).text

    held(fake)[0].lines[0].amount += 1
    run = await run_of(connected)
    text = text_of((await olga.get("/ops/reconciliation")).text)
    assert "total: 34.94 here, 34.95 there" in text
    assert "A person must decide." in text
    assert "Differences 1" in text_of((await olga.get("/ops")).text)

    metrics = (await olga.get("/metrics")).text
    assert 'reconciliation_differences{kind="AMOUNT_DRIFT"} 1.0' in metrics
    assert 'reconciliation_differences{kind="MISSING"} 0.0' in metrics

    one = (await olga.get(f"/ops/reconciliation.json?run={run.id}")).json()
    assert one["run"]["counts"] == {"AMOUNT_DRIFT": 1}
    assert one["differences"][0]["stripe_invoice_id"] == stripe_id
    csv = (await olga.get("/ops/reconciliation.csv")).text
    assert csv.splitlines()[1].startswith("AMOUNT_DRIFT,")


async def test_signed_books_are_shown_and_their_json_is_the_signed_file(
    connected: Runtime, fake: FakeStripe, clock: Clock, olga: httpx.AsyncClient
) -> None:
    await settled_invoice(connected, fake, clock)
    await sign_books(connected)

    text = text_of((await olga.get("/ops/books/2026-11")).text)
    assert "Books of 2026-11 Equal" in text
    assert "USD 1 34.94 1 34.94 0.00" in text
    document = (await olga.get("/ops/books/2026-11.json")).content
    assert verify_books(document, connected.settings.secret_key)["is_equal"] is True
    csv = (await olga.get("/ops/books/2026-11.csv")).text
    assert csv.splitlines()[1] == "TOTAL,USD,,,34.94,34.94,"
    assert 'href="/ops/books/2026-11"' in (await olga.get("/ops/reconciliation")).text


async def test_webhooks_are_listed_by_outcome_and_page_by_page(
    connected: Runtime, clock: Clock, olga: httpx.AsyncClient
) -> None:
    for number in range(60):
        await hear(connected, told("invoice.paid", f"in_{number}", id=f"evt_{number:02}"))
    await hear(connected, told("invoice.paid", "in_x", livemode=True, id="evt_live"))
    async with connected.sessions.begin() as session:
        await session.execute(
            update(StripeEvent)
            .where(StripeEvent.id == "evt_01")
            .values(outcome=Outcome.FAILED, handled_at=clock.at, reason="<b>refused</b>")
        )

    page = await olga.get("/ops/webhooks")
    assert "of the other mode: we are in test mode" in page.text
    first = (await olga.get("/ops/webhooks.json")).json()
    rest = (await olga.get(first["next"])).json()
    ids = [event["id"] for event in (*first["events"], *rest["events"])]
    assert len(ids) == len(set(ids)) == 61
    assert rest["next"] is None
    failed = (await olga.get("/ops/webhooks?outcome=FAILED")).text
    assert "&lt;b&gt;refused&lt;/b&gt;" in failed
    assert "evt_02" not in failed
    assert "evt_01" in (await olga.get("/ops/webhooks.csv?outcome=FAILED")).text


async def test_an_endpoint_that_stripe_turned_off_warns_staff_and_counts(
    connected: Runtime, fake: FakeStripe, clock: Clock, olga: httpx.AsyncClient
) -> None:
    metric = "stripe_webhook_endpoint_enabled"
    assert f"{metric} NaN" in (await olga.get("/metrics")).text
    url = f"{connected.settings.base_url}/webhooks/stripe"
    fake.world.postbox.endpoints = (Endpoint(url, ("whsec_test",), id="we_1"),)
    await check_endpoint_due(connected)
    assert f"{metric} 1.0" in (await olga.get("/metrics")).text
    assert "webhook endpoint" not in text_of((await olga.get("/ops")).text)

    fake.world.postbox.endpoints = (Endpoint(url, ("whsec_test",), id="we_1", status="disabled"),)
    clock.advance(timedelta(hours=1))
    await check_endpoint_due(connected)
    assert f"{metric} 0.0" in (await olga.get("/metrics")).text
    page = text_of((await olga.get("/ops")).text)
    assert f"Stripe's webhook endpoint for {url} is disabled: turn it on in Stripe." in page

    fake.world.postbox.endpoints = ()
    clock.advance(timedelta(hours=1))
    await check_endpoint_due(connected)
    assert f"Stripe has no webhook endpoint for {url}" in text_of((await olga.get("/ops")).text)


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/ops/reconciliation?run=nonsense", 404),
        ("/ops/reconciliation?run=00000000-0000-7000-8000-000000000000", 404),
        ("/ops/books/2026-11", 404),
        ("/ops/books/%00", 422),
        ("/ops/webhooks?outcome=NEVER", 422),
        ("/ops/webhooks?before=%00", 422),
        ("/ops/webhooks?before=20261110140000000000-00", 422),
    ],
)
async def test_what_is_not_there_is_refused(
    olga: httpx.AsyncClient, path: str, status: int
) -> None:
    assert (await olga.get(path)).status_code == status


@pytest.mark.parametrize(
    "path", ["/ops/reconciliation", "/ops/books/2026-11", "/ops/webhooks", "/ops/webhooks.json"]
)
async def test_only_staff_see_them(dana: httpx.AsyncClient, path: str) -> None:
    assert (await dana.get(path)).status_code == 403


async def failed_payment(runtime: Runtime, acme: Acme, **facts: object) -> str:
    """Acme's invoice, sent and declined once; its address."""
    invoice_id = await an_issued_invoice(runtime, org=acme.org)
    next_at = await runtime.now() + timedelta(days=3)
    async with runtime.sessions.begin() as session:
        await session.execute(
            update(InvoiceSync)
            .where(InvoiceSync.invoice_id == invoice_id)
            .values(
                **{
                    "state": "PUSHED",
                    "payment_attempts": 1,
                    "hosted_invoice_url": "https://pay.example/x",
                    "next_payment_at": next_at,
                    **facts,
                }
            )
        )
    return f"{acme.path}/invoices/ACME-0001"


async def test_a_declined_payment_tells_what_happens_next(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    path = await failed_payment(runtime, acme)

    text = text_of((await dana.get(path)).text)
    assert (
        "The payment was declined. It is tried again by itself on 13 Nov 2026, 14:00 UTC ." in text
    )
    assert "If that fails too, our payment processor chooses when to try next." in text
    assert "You are never charged twice, and your running estimate is not affected." in text
    assert 'href="https://pay.example/x"' in (await dana.get(path)).text
    told_ = (await dana.get(f"{path}.json")).json()["payment"]
    assert (told_["failed_attempts"], told_["retries"]) == (1, "SMART")
    assert told_["next_attempt_at"] == "2026-11-13T14:00:00.000000Z"
    assert told_["pay_url"] == "https://pay.example/x"
    listed = text_of((await dana.get(f"{acme.path}/invoices")).text)
    assert "Payment failed tried again 13 Nov 2026, 14:00 UTC · Pay" in listed


async def test_after_the_last_attempt_it_says_that_it_waits(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    path = await failed_payment(runtime, acme, next_payment_at=None, payment_attempts=4)

    text = text_of((await dana.get(path)).text)
    assert "The payment was declined 4 times. It is not tried again by itself" in text


async def test_money_that_went_back_is_told_beside_the_status(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    invoice_id = await an_issued_invoice(runtime, org=acme.org)
    async with runtime.sessions.begin() as session:
        session.add(
            PaymentFacts(
                invoice_id=invoice_id,
                amount_paid_minor=3494,
                paid_off_stripe_minor=0,
                credited_before_minor=0,
                credited_after_minor=0,
                refunded_minor=1000,
                disputed_minor=3494,
                dispute_status="needs_response",
                balance_minor=0,
                fetched_at=await runtime.now(),
            )
        )
    text = text_of((await dana.get(f"{acme.path}/invoices/ACME-0001")).text)

    assert "Paid $34.94 Refunded $10.00 Disputed $34.94 Dispute needs response" in text
    payment = (await dana.get(f"{acme.path}/invoices/ACME-0001.json")).json()["payment"]
    assert (payment["refunded"], payment["dispute_status"]) == ("10.00", "needs_response")
