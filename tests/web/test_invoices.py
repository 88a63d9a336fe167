from datetime import UTC, datetime, timedelta

import httpx
import pytest
from sqlalchemy import update

from billing.closing import close_period_now
from billing.ids import InvoiceId
from billing.invoices import PAGE_SIZE_MAX
from billing.models import Invoice, InvoiceKind, InvoiceStatus, InvoiceSync, SyncState
from billing.runtime import Sessions
from tests.web.site import Acme, an_acme, text_of
from tests.world import Clock
from web.invoices import PAGE_SIZE

DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NUMBER = "ACME-0001"


@pytest.fixture
async def issued(sessions: Sessions, clock: Clock, acme: Acme) -> InvoiceId:
    """November's invoice, three days into December."""
    now = clock.advance(DECEMBER - clock.at + timedelta(days=3))
    async with sessions.begin() as session:
        invoice = await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)
    return invoice.id


async def test_an_invoice_has_the_shape_the_draft_had(
    dana: httpx.AsyncClient, acme: Acme, clock: Clock, sessions: Sessions
) -> None:
    draft = (await dana.get(f"{acme.path}.json")).json()
    now = clock.advance(DECEMBER - clock.at)
    async with sessions.begin() as session:
        await close_period_now(session, acme.org, DECEMBER, actor="test", now=now)

    page = await dana.get(f"{acme.path}/invoices/{NUMBER}")
    told = (await dana.get(f"{acme.path}/invoices/{NUMBER}.json")).json()
    lines = (await dana.get(f"{acme.path}/invoices/{NUMBER}.csv")).text.splitlines()

    text = text_of(page.text)
    assert "Invoice ACME-0001" in text
    assert "$34.94 for 1–30 Nov 2026 (UTC)" in text
    assert "412.6 GB − 100 GB included = 312.6 GB" in text
    assert (told["total"], told["digest"]) == (draft["total"], draft["digest"])
    assert told["lines"] == draft["lines"]
    assert len(lines) == 1 + len(draft["lines"])


@pytest.mark.parametrize(
    ("columns", "label"),
    [
        ({"state": SyncState.PENDING}, "Issued"),
        ({"state": SyncState.PUSHING, "error_code": "STRIPE_DOWN"}, "Waiting to be sent"),
        ({"state": SyncState.FAILED, "error_code": "REFUSED"}, "Waiting to be sent"),
        ({"state": SyncState.HELD, "error_code": "STRIPE_MISMATCH"}, "Held"),
        ({"state": SyncState.PUSHED}, "Sent"),
        ({"state": SyncState.PUSHED, "payment_attempts": 1}, "Payment failed"),
    ],
)
async def test_each_state_has_a_word(
    dana: httpx.AsyncClient,
    acme: Acme,
    sessions: Sessions,
    issued: InvoiceId,
    columns: dict[str, object],
    label: str,
) -> None:
    async with sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).where(InvoiceSync.invoice_id == issued).values(**columns)
        )

    for path in ("", "/invoices"):
        text = text_of((await dana.get(f"{acme.path}{path}")).text)
        assert f"{NUMBER} 1–30 Nov 2026 {label} $34.94" in text
        assert "REFUSED" not in text, "the cause is ours to know"
    state = (await dana.get(f"{acme.path}/invoices/{NUMBER}/state")).text
    assert label in state
    assert 'hx-trigger="every 5s"' in state


async def test_a_paid_invoice_is_asked_after_no_more(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions, clock: Clock, issued: InvoiceId
) -> None:
    async with sessions.begin() as session:
        paid = {"status": InvoiceStatus.PAID, "paid_at": clock.at}
        await session.execute(update(Invoice).where(Invoice.id == issued).values(**paid))

    page = (await dana.get(f"{acme.path}/invoices/{NUMBER}")).text

    state = (await dana.get(f"{acme.path}/invoices/{NUMBER}/state")).text

    assert "Paid" in page
    assert state.strip() in page, "the poll brings all that the page says of the state"
    assert "Nothing is left to pay." in text_of(state)
    assert "Paid 4 Dec 2026" in text_of(state)
    assert "hx-get" not in page
    assert "<script" not in page


async def test_a_delay_in_sending_is_announced_on_the_bill(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions, issued: InvoiceId
) -> None:
    failing = {"state": SyncState.PENDING, "error_code": "STRIPE_DOWN"}
    async with sessions.begin() as session:
        await session.execute(
            update(InvoiceSync).where(InvoiceSync.invoice_id == issued).values(**failing)
        )

    text = text_of((await dana.get(acme.path)).text)

    assert "Sending invoices to our payment processor is delayed." in text
    assert "Your estimate is calculated here and is not affected." in text
    assert "You will not be charged twice." in text
    assert "Started 4 Dec 2026, 00:00 UTC" in text


async def test_the_list_goes_on_page_by_page(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        session.add_all(a_closing_invoice(acme, months) for months in range(PAGE_SIZE + 5))

    first = (await dana.get(f"{acme.path}/invoices.json")).json()
    second = (await dana.get(first["next"])).json()
    page = (await dana.get(f"{acme.path}/invoices")).text

    starts = [x["period"]["from"] for x in (*first["invoices"], *second["invoices"])]
    assert len(first["invoices"]) == PAGE_SIZE
    assert starts == sorted(set(starts), reverse=True)
    assert len(starts) == PAGE_SIZE + 5
    assert second["next"] is None
    assert first["invoices"][0]["total"] is None, "nothing is final yet"
    older = first["next"].partition("?")[2]
    assert f'href="?{older}">Older</a>' in page
    page = (await dana.get(f"{acme.path}/invoices?{older}")).text
    assert "Newest" in page
    assert f'href="{acme.path}/invoices.json?{older}"' in page


async def test_the_list_as_csv_is_whole(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions
) -> None:
    months = PAGE_SIZE_MAX + 5
    async with sessions.begin() as session:
        session.add_all(a_closing_invoice(acme, ago) for ago in range(months))

    rows = (await dana.get(f"{acme.path}/invoices.csv")).text.splitlines()

    assert len(set(rows)) == 1 + months


@pytest.mark.parametrize("before", ["yesterday", "2026110100-zz", "", "%00"])
async def test_a_page_that_no_list_has_shown(
    dana: httpx.AsyncClient, acme: Acme, before: str
) -> None:
    refused = await dana.get(f"{acme.path}/invoices?before={before}")

    assert refused.status_code == 422
    assert "This page of the list does not exist." in refused.text


@pytest.mark.parametrize("number", ["ACME-0002", "nothing", "%00"])
async def test_an_invoice_that_is_not_there(
    dana: httpx.AsyncClient, acme: Acme, number: str
) -> None:
    for twin in ("", ".json", ".csv", "/state"):
        assert (await dana.get(f"{acme.path}/invoices/{number}{twin}")).status_code == 404


@pytest.mark.usefixtures("issued")
async def test_another_organizations_invoice_is_not_there(
    dana: httpx.AsyncClient, acme: Acme, sessions: Sessions
) -> None:
    other = await an_acme(sessions, "other")

    assert (await dana.get(f"{acme.path}/invoices/{NUMBER}")).status_code == 200
    assert (await dana.get(f"{other.path}/invoices/{NUMBER}")).status_code == 404


def a_closing_invoice(acme: Acme, months_ago: int) -> Invoice:
    """A period that has ended and is still being counted."""
    year, month = divmod(2026 * 12 + 9 - months_ago, 12)
    start = datetime(year, month + 1, 1, tzinfo=UTC)
    return Invoice(
        org_id=acme.org.id,
        kind=InvoiceKind.PERIOD,
        status=InvoiceStatus.CLOSING,
        period_start=start,
        period_end=start + timedelta(days=28),
        closes_at=start + timedelta(days=29),
        currency=acme.org.currency,
        recorded_at=start,
    )
