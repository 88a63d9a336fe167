"""Cards that pay, decline, or pay later, in virtual time."""

import pytest
import stripe

from sandbox.stripe.records import Card
from tests.sandbox.stripe.conftest import Stage


async def test_an_automatic_invoice_is_collected_shortly_after_it_is_final(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500)
    assert invoice.next_payment_attempt is not None

    await stage.pass_time(seconds=4)
    assert (await stage.fetched(invoice)).status == "open"
    await stage.pass_time(seconds=1)
    paid = await stage.fetched(invoice)
    assert (paid.status, paid.attempt_count, paid.amount_paid) == ("paid", 1, 500)


async def test_a_declining_card_leaves_it_open_and_is_tried_again(stage: Stage) -> None:
    customer = await stage.a_customer()
    stage.world.knobs.cards[customer] = Card.DECLINE
    invoice = await stage.an_open_invoice(500, customer=customer)

    await stage.pass_time(seconds=5)
    declined = await stage.fetched(invoice)
    assert (declined.status, declined.attempted, declined.attempt_count) == ("open", True, 1)
    assert declined.next_payment_attempt == int(stage.clock.at.timestamp()) + 3 * 86400
    assert (await stage.event_types())[-1] == "invoice.payment_failed"

    stage.world.knobs.cards[customer] = Card.PAY
    await stage.pass_time(days=3)
    assert (await stage.fetched(invoice)).status == "paid"


async def test_after_four_declines_it_is_tried_no_more(stage: Stage) -> None:
    stage.world.knobs.default_card = Card.DECLINE
    invoice = await stage.an_open_invoice(500)

    for _ in range(6):
        await stage.pass_time(days=7)
    declined = await stage.fetched(invoice)
    assert (declined.status, declined.attempt_count) == ("open", 4)
    assert declined.next_payment_attempt is None


async def test_a_card_that_pays_later_holds_the_invoice_until_it_does(stage: Stage) -> None:
    stage.world.knobs.default_card = Card.LATER
    invoice = await stage.an_open_invoice(500)

    await stage.pass_time(seconds=5)
    pending = await stage.fetched(invoice)
    assert (pending.status, pending.attempt_count) == ("open", 1)
    with pytest.raises(stripe.InvalidRequestError, match="still pending"):
        await stage.client.v1.invoices.void_invoice_async(invoice.id)
    await stage.pass_time(days=3)
    assert (await stage.fetched(invoice)).status == "paid"


async def test_a_clock_that_jumps_does_everything_that_fell_due(stage: Stage) -> None:
    draft = await stage.a_draft(500, auto_advance=True)

    await stage.pass_time(days=30)
    assert (await stage.fetched(draft)).status == "open"
    await stage.pass_time(days=30)
    assert (await stage.fetched(draft)).status == "paid"


@pytest.mark.parametrize(
    ("name", "status"),
    [
        ("pm_card_visa", "paid"),
        ("pm_card_chargeDeclined", "open"),
        ("pm_usBankAccount_success", "open"),
    ],
)
async def test_a_customers_own_card_decides(stage: Stage, name: str, status: str) -> None:
    customer = await stage.a_customer(
        payment_method=name, invoice_settings={"default_payment_method": name}
    )
    invoice = await stage.an_open_invoice(500, customer=customer)

    await stage.pass_time(seconds=5)
    assert (await stage.fetched(invoice)).status == status
    await stage.pass_time(days=4)
    assert (await stage.fetched(invoice)).status == (
        "paid" if name == "pm_usBankAccount_success" else status
    )


async def test_a_card_is_made_from_a_token_attached_and_charged_by_name(stage: Stage) -> None:
    customer = await stage.a_customer()
    methods = stage.client.v1.payment_methods
    card = await methods.create_async({"type": "card", "card": {"token": "tok_chargeDeclined"}})
    await methods.attach_async(card.id, {"customer": customer})
    invoice = await stage.an_open_invoice(500, customer=customer)

    with pytest.raises(stripe.CardError, match="Your card was declined") as declined:
        await stage.client.v1.invoices.pay_async(invoice.id, {"payment_method": card.id})
    assert declined.value.code == "card_declined"
    assert (await stage.fetched(invoice)).attempt_count == 1
    assert (await stage.client.v1.invoices.pay_async(invoice.id)).status == "paid"
    with pytest.raises(stripe.InvalidRequestError, match="already paid"):
        await stage.client.v1.invoices.pay_async(invoice.id)


async def test_a_foreign_or_unattached_card_cannot_become_the_default(stage: Stage) -> None:
    card = await stage.client.v1.payment_methods.create_async(
        {"type": "card", "card": {"token": "tok_visa"}}
    )
    with pytest.raises(stripe.InvalidRequestError, match="must be attached"):
        await stage.a_customer(invoice_settings={"default_payment_method": card.id})


async def test_without_any_card_nothing_is_charged(stage: Stage) -> None:
    stage.world.knobs.default_card = Card.NONE
    invoice = await stage.an_open_invoice(500)

    with pytest.raises(stripe.StripeError, match="no `default_payment_method`"):
        await stage.client.v1.invoices.pay_async(invoice.id)
    assert (await stage.fetched(invoice)).attempted is False


async def test_auto_advance_can_be_turned_off_and_on_while_open(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500)

    await stage.client.v1.invoices.update_async(invoice.id, {"auto_advance": False})
    await stage.pass_time(days=1)
    assert (await stage.fetched(invoice)).attempted is False
    await stage.client.v1.invoices.update_async(invoice.id, {"auto_advance": True})
    await stage.pass_time(seconds=5)
    assert (await stage.fetched(invoice)).status == "paid"
