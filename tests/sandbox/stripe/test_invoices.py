"""Invoices from draft to their end, as the unmodified SDK sees them."""

from typing import Any

import pytest
import stripe

from tests.sandbox.stripe.conftest import Stage


def line_count(invoice: stripe.Invoice) -> int:
    """In recordings, though not in the SDK's types."""
    return int(invoice.lines.to_dict()["total_count"])


async def test_a_draft_gets_lines_is_finalized_and_paid(stage: Stage) -> None:
    invoices = stage.client.v1.invoices
    draft = await invoices.create_async(
        {"customer": await stage.a_customer(), "currency": "USD", "metadata": {"invoice_id": "7"}}
    )
    assert (draft.status, draft.currency, draft.number) == ("draft", "usd", None)
    added = await invoices.add_lines_async(
        draft.id,
        {
            "lines": [
                {
                    "amount": 1250,
                    "description": "API calls",
                    "period": {"start": 1793491200, "end": 1796083199},
                    "metadata": {"line_id": "a"},
                    "discountable": False,
                },
                {"amount": -250, "description": "Credit"},
            ],
            "invoice_metadata": {"lines_sha256": "abc"},
        },
    )
    assert (added.total, added.amount_due, line_count(added)) == (1000, 1000, 2)
    assert added.metadata is not None
    assert added.metadata.to_dict() == {"invoice_id": "7", "lines_sha256": "abc"}
    usage, credit = added.lines.data
    assert (usage.amount, usage.period.start, usage.period.end) == (1250, 1793491200, 1796083199)
    assert usage.metadata.to_dict() == {"line_id": "a"}
    assert (usage.discountable, credit.discountable) == (False, False)

    opened = await invoices.finalize_invoice_async(draft.id)
    assert (opened.status, opened.attempted, opened.amount_remaining) == ("open", False, 1000)
    assert opened.number is not None
    assert opened.number.endswith("-0001")
    assert opened.hosted_invoice_url == f"{stage.world.base_url}/hosted/{draft.id}"

    paid = await invoices.pay_async(draft.id)
    assert (paid.status, paid.amount_paid, paid.amount_remaining) == ("paid", 1000, 0)
    assert (paid.attempted, paid.attempt_count) == (True, 1)
    assert await stage.event_types() == [
        "customer.created",
        "invoice.created",
        "invoice.updated",
        "invoice.updated",
        "invoice.finalized",
        "invoice.updated",
        "invoice.paid",
        "invoice.payment_succeeded",
    ]


async def test_ten_lines_are_embedded_and_the_rest_is_listed(stage: Stage) -> None:
    draft = await stage.a_draft(*range(1, 26))

    assert len(draft.lines.data) == 10
    assert (draft.lines.has_more, line_count(draft)) == (True, 25)
    listed = await stage.client.v1.invoices.line_items.list_async(draft.id, {"limit": 7})
    assert [line.amount async for line in listed.auto_paging_iter()] == list(range(1, 26))
    newer = await stage.client.v1.invoices.line_items.list_async(
        draft.id, {"limit": 2, "ending_before": listed.data[4].id}
    )
    assert [line.amount for line in newer.data] == [3, 4]


async def test_250_lines_fit_and_a_batch_too_many_adds_nothing(stage: Stage) -> None:
    draft = await stage.a_draft(*[1] * 249)
    lines: Any = [{"amount": 1}, {"amount": 1}]

    with pytest.raises(stripe.InvalidRequestError, match="up to 250"):
        await stage.client.v1.invoices.add_lines_async(draft.id, {"lines": lines})
    assert line_count(await stage.fetched(draft)) == 249


async def test_one_bad_line_adds_none(stage: Stage) -> None:
    draft = await stage.a_draft()
    both: Any = [{"amount": 1}, {"amount": 1, "quantity": 2}]

    with pytest.raises(stripe.InvalidRequestError, match="amount, quantity") as refused:
        await stage.client.v1.invoices.add_lines_async(draft.id, {"lines": both})
    assert refused.value.param == "lines[1][amount]"
    assert (await stage.fetched(draft)).total == 0


async def test_lines_are_changed_and_removed_one_by_one(stage: Stage) -> None:
    invoices = stage.client.v1.invoices
    draft = await stage.a_draft(100, 200, 400)
    first, second, third = draft.lines.data

    line = await invoices.line_items.update_async(draft.id, first.id, {"amount": 150})
    assert (line.id, line.amount, line.description) == (first.id, 150, "100")
    changed = await invoices.update_lines_async(
        draft.id, {"lines": [{"id": second.id, "description": "two"}]}
    )
    assert changed.total == 750
    left = await invoices.remove_lines_async(
        draft.id,
        {
            "lines": [
                {"id": first.id, "behavior": "delete"},
                {"id": third.id, "behavior": "unassign"},
            ]
        },
    )
    assert [(line.amount, line.description) for line in left.lines.data] == [(200, "two")]
    pending = await stage.client.v1.invoice_items.list_async({"pending": True})
    assert [item.amount for item in pending.data] == [400]


async def test_pending_items_are_taken_up_only_when_asked(stage: Stage) -> None:
    customer = await stage.a_customer()
    for amount in (100, 200):
        await stage.client.v1.invoice_items.create_async({"customer": customer, "amount": amount})

    assert (await stage.a_draft(customer=customer)).total == 0
    swept = await stage.a_draft(customer=customer, pending_invoice_items_behavior="include")
    assert [line.amount for line in swept.lines.data] == [200, 100]
    item: Any = {"invoice": swept.id, "amount": 50}
    await stage.client.v1.invoice_items.create_async(item)
    assert (await stage.fetched(swept)).total == 350


async def test_nothing_due_is_paid_by_finalizing(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500, -500)

    assert (invoice.status, invoice.attempted, invoice.attempt_count) == ("paid", True, 0)
    assert invoice.auto_advance is False


async def test_less_than_the_smallest_charge_lands_on_the_next_invoice(stage: Stage) -> None:
    customer = await stage.a_customer()

    small = await stage.an_open_invoice(49, customer=customer)
    assert (small.status, small.total, small.amount_due) == ("paid", 49, 0)
    assert small.ending_balance == 49
    following = await stage.an_open_invoice(100, customer=customer)
    assert (following.total, following.starting_balance, following.amount_due) == (100, 49, 149)
    assert (await stage.client.v1.customers.retrieve_async(customer)).balance == 0
    await stage.client.v1.invoices.void_invoice_async(following.id)
    assert (await stage.client.v1.customers.retrieve_async(customer)).balance == 49


async def test_credit_is_used_up_before_anything_is_charged(stage: Stage) -> None:
    customer = await stage.a_customer()

    await stage.an_open_invoice(-300, customer=customer)
    partly = await stage.an_open_invoice(1000, customer=customer)
    assert (partly.total, partly.amount_due, partly.status) == (1000, 700, "open")


async def test_a_draft_with_auto_advance_finalizes_itself_after_3601_seconds(stage: Stage) -> None:
    draft = await stage.a_draft(500, auto_advance=True)
    assert draft.automatically_finalizes_at == draft.created + 3601
    manual = await stage.a_draft(500)

    await stage.pass_time(seconds=3600)
    assert (await stage.fetched(draft)).status == "draft"
    await stage.pass_time(seconds=1)
    assert (await stage.fetched(draft)).status == "open"
    assert (await stage.fetched(manual)).status == "draft"


async def test_what_is_final_stays_as_it_is_save_its_metadata(stage: Stage) -> None:
    invoice = await stage.an_open_invoice(500)
    invoices = stage.client.v1.invoices
    lines: Any = [{"amount": 1}]

    with pytest.raises(stripe.InvalidRequestError, match="can't be updated in this way"):
        await invoices.update_async(invoice.id, {"description": "no"})
    with pytest.raises(stripe.InvalidRequestError, match="no longer editable") as refused:
        await invoices.add_lines_async(invoice.id, {"lines": lines})
    assert refused.value.code == "invoice_not_editable"
    with pytest.raises(stripe.InvalidRequestError, match="already finalized"):
        await invoices.finalize_invoice_async(invoice.id)
    with pytest.raises(stripe.InvalidRequestError, match="only delete draft"):
        await invoices.delete_async(invoice.id)
    noted = await invoices.update_async(invoice.id, {"metadata": {"seen": "yes"}})
    assert noted.metadata is not None
    assert noted.metadata.to_dict() == {"seen": "yes"}


async def test_the_ends_of_an_invoice(stage: Stage) -> None:
    invoices = stage.client.v1.invoices
    deleted = await stage.a_draft()
    assert (await invoices.delete_async(deleted.id)).deleted is True
    with pytest.raises(stripe.InvalidRequestError, match="No such invoice"):
        await stage.fetched(deleted)

    voided = await invoices.void_invoice_async((await stage.an_open_invoice(500)).id)
    assert (voided.status, voided.amount_remaining) == ("void", 500)
    with pytest.raises(stripe.InvalidRequestError, match="Voided invoices cannot be paid"):
        await invoices.pay_async(voided.id)

    given_up = await invoices.mark_uncollectible_async((await stage.an_open_invoice(500)).id)
    assert given_up.status == "uncollectible"
    assert (await invoices.pay_async(given_up.id)).status == "paid"

    sent = await stage.a_draft(500, collection_method="send_invoice", days_until_due=7)
    assert sent.due_date == sent.created + 7 * 86400
    assert (await invoices.send_invoice_async(sent.id)).status == "open"
    settled = await invoices.pay_async(sent.id, {"paid_out_of_band": True})
    assert (settled.status, settled.attempted, settled.amount_paid) == ("paid", False, 500)


async def test_numbers_count_per_customer_and_only_what_is_final(stage: Stage) -> None:
    customer = await stage.a_customer(invoice_prefix="ACME")

    await stage.client.v1.invoices.delete_async((await stage.a_draft(customer=customer)).id)
    numbers = [(await stage.an_open_invoice(500, customer=customer)).number for _ in range(2)]
    assert numbers == ["ACME-0001", "ACME-0002"]


async def test_a_final_invoice_keeps_the_customer_as_it_was(stage: Stage) -> None:
    customer = await stage.a_customer(email="old@example.com")
    draft = await stage.a_draft(500, customer=customer)
    final = await stage.an_open_invoice(500, customer=customer)

    await stage.client.v1.customers.update_async(customer, {"email": "new@example.com"})

    assert (await stage.fetched(draft)).customer_email == "new@example.com"
    assert (await stage.fetched(final)).customer_email == "old@example.com"
