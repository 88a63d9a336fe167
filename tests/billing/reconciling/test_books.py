"""The signed report on a month."""

from datetime import timedelta

import msgspec
import pytest

from billing.errors import Invalid, NotFound
from billing.models import BooksReport
from billing.reconciling import (
    BooksTampered,
    Wanted,
    find_books,
    make_books,
    signed,
    verify_books,
)
from billing.runtime import Runtime
from sandbox.stripe.app import FakeStripe
from tests.billing.pushing import held
from tests.billing.reconciling.conftest import run_of, settled_invoice
from tests.world import Clock


async def books_of(runtime: Runtime, period: str = "2026-11") -> BooksReport:
    run = await run_of(runtime, Wanted(period=period))
    async with runtime.sessions.begin() as session:
        return await make_books(
            session,
            run,
            secret_key=runtime.settings.secret_key,
            is_live=False,
            now=await runtime.now(),
        )


async def test_equal_books_say_so(connected: Runtime, fake: FakeStripe, clock: Clock) -> None:
    await settled_invoice(connected, fake, clock)
    await settled_invoice(connected, fake, clock, paid=False)

    body = (await books_of(connected)).body

    side = {"invoices": 2, "total": "69.88"}
    assert body["currencies"] == [
        {"currency": "USD", "ours": side, "stripe": side, "difference": "0.00"}
    ]
    assert (body["is_equal"], body["differences"], body["counts"]) == (True, [], {})
    assert body["mode"] == "test"


async def test_books_that_differ_name_the_invoice_the_kind_and_the_repair(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)
    held(fake)[0].lines[0].amount += 106

    body = (await books_of(connected)).body

    assert not body["is_equal"]
    assert body["currencies"][0]["difference"] == "-1.06"
    (difference,) = body["differences"]
    assert difference["kind"] == "AMOUNT_DRIFT"
    assert difference["number"].endswith("-0001")
    assert difference["repair"] == "PERSON"


async def test_books_of_another_month_have_none_of_it(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)

    body = (await books_of(connected, "2026-10")).body

    assert (body["currencies"], body["is_equal"]) == ([], True)


async def test_a_signature_holds_until_a_byte_is_changed(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    await settled_invoice(connected, fake, clock)
    await books_of(connected)
    async with connected.sessions() as session:  # through the database and back
        told = signed(await find_books(session, "2026-11"))
    key = connected.settings.secret_key

    assert verify_books(msgspec.json.encode(told), key)["period"] == "2026-11"
    pretty = msgspec.json.format(msgspec.json.encode(told), indent=2)
    assert verify_books(pretty, key)["is_equal"] is True
    told["currencies"][0]["stripe"]["total"] = "34.95"
    for document, secret in (
        (msgspec.json.encode(told), key),
        (pretty, "another-secret-that-is-long-enough-too"),
        (b"{}", key),
    ):
        with pytest.raises(BooksTampered):
            verify_books(document, secret)
    with pytest.raises(Invalid):
        verify_books(b"no json", key)


async def test_the_latest_of_a_month_is_found(
    connected: Runtime, fake: FakeStripe, clock: Clock
) -> None:
    async with connected.sessions() as session:
        with pytest.raises(NotFound):
            await find_books(session, "2026-11")
        with pytest.raises(Invalid):
            await find_books(session, "November")
    await books_of(connected)
    clock.advance(timedelta(minutes=1))
    latest = await books_of(connected)
    async with connected.sessions() as session:
        assert (await find_books(session, "2026-11")).id == latest.id
