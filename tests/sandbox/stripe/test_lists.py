"""Lists: newest first, by cursor in both directions, filtered before they are cut."""

from datetime import timedelta

import pytest
import stripe

from tests.sandbox.stripe.conftest import Stage


async def customers_of_one_second(stage: Stage, count: int) -> list[str]:
    """Newest first."""
    return [await stage.a_customer(email="a@example.com") for _ in range(count)][::-1]


async def test_pages_go_back_and_forth(stage: Stage) -> None:
    ids = await customers_of_one_second(stage, 7)
    customers = stage.client.v1.customers

    pages = await customers.list_async({"limit": 3})
    assert [customer.id async for customer in pages.auto_paging_iter()] == ids
    second = await customers.list_async({"limit": 3, "starting_after": ids[2]})
    assert ([each.id for each in second.data], second.has_more) == (ids[3:6], True)
    newer = await customers.list_async({"limit": 2, "ending_before": ids[3]})
    assert ([each.id for each in newer.data], newer.has_more) == (ids[1:3], True)
    newest = await customers.list_async({"limit": 3, "ending_before": ids[3]})
    assert ([each.id for each in newest.data], newest.has_more) == (ids[:3], False)


async def test_limits_are_clamped_and_cursors_checked(stage: Stage) -> None:
    await customers_of_one_second(stage, 2)
    customers = stage.client.v1.customers

    assert len((await customers.list_async({"limit": 0})).data) == 1
    assert len((await customers.list_async({"limit": 1000})).data) == 2
    with pytest.raises(stripe.InvalidRequestError, match="No such customer: 'cus_x'"):
        await customers.list_async({"starting_after": "cus_x"})
    with pytest.raises(stripe.InvalidRequestError, match="Received both"):
        await customers.list_async({"starting_after": "a", "ending_before": "b"})


async def test_a_deleted_customer_is_not_listed_but_still_a_cursor(stage: Stage) -> None:
    ids = await customers_of_one_second(stage, 3)
    customers = stage.client.v1.customers
    await customers.delete_async(ids[1])

    assert [each.id for each in (await customers.list_async()).data] == [ids[0], ids[2]]
    older = await customers.list_async({"starting_after": ids[1]})
    assert [each.id for each in older.data] == [ids[2]]
    stub = await customers.retrieve_async(ids[1])
    assert stub.to_dict() == {"id": ids[1], "object": "customer", "deleted": True}


async def test_invoices_by_customer_status_and_creation(stage: Stage) -> None:
    ours = await stage.a_customer()
    invoices = stage.client.v1.invoices
    old = await stage.a_draft(customer=ours)
    stage.clock.advance(timedelta(hours=1))
    new = await stage.a_draft(500, customer=ours)
    foreign = await stage.a_draft()
    await invoices.finalize_invoice_async(new.id)

    async def listed(params: stripe.params.InvoiceListParams) -> list[str]:
        return [invoice.id for invoice in (await invoices.list_async(params)).data]

    assert await listed({}) == [foreign.id, new.id, old.id]
    assert await listed({"customer": ours}) == [new.id, old.id]
    assert await listed({"customer": ours, "starting_after": new.id}) == [old.id]
    assert await listed({"status": "draft"}) == [foreign.id, old.id]
    assert await listed({"created": {"gte": new.created}}) == [foreign.id, new.id]
    assert await listed({"created": {"gt": old.created, "lte": new.created}, "limit": 1}) == [
        foreign.id
    ]
    assert await listed({"created": {"lt": new.created}}) == [old.id]
    assert await listed({"created": old.created}) == [old.id]


async def test_events_by_type_for_thirty_days(stage: Stage) -> None:
    customer = await stage.a_customer()
    await stage.an_open_invoice(500, customer=customer)
    events = stage.client.v1.events

    async def types(params: stripe.params.EventListParams) -> list[str]:
        return [event.type for event in (await events.list_async(params)).data]

    assert await types({"types": ["invoice.finalized", "customer.created"]}) == [
        "invoice.finalized",
        "customer.created",
    ]
    assert await types({"type": "customer.*"}) == ["customer.created"]
    oldest = (await events.list_async()).data[-1]
    assert await types({"ending_before": oldest.id, "limit": 1}) == ["invoice.created"]
    newest = (await events.list_async({"limit": 1})).data[0]
    assert await types({"starting_after": newest.id, "limit": 1}) == ["invoice.updated"]
    with pytest.raises(stripe.InvalidRequestError, match="only specify one"):
        await types({"type": "customer.created", "types": ["customer.created"]})
    later = stage.clock.advance(timedelta(seconds=10))
    await stage.a_customer()
    assert await types({"created": {"gte": int(later.timestamp())}}) == ["customer.created"]
    assert len(await types({"created": {"lt": int(later.timestamp())}})) == 5
    stage.clock.advance(timedelta(days=30, seconds=1))
    assert await types({}) == []


async def test_customers_are_searched_by_their_metadata_a_minute_later(stage: Stage) -> None:
    ids = [await stage.a_customer(metadata={"of": "us"}) for _ in range(3)]
    await stage.a_customer(metadata={"of": "them"})
    customers = stage.client.v1.customers
    query = "metadata['of']:'us'"

    assert (await customers.search_async({"query": query})).data == []
    stage.clock.advance(timedelta(minutes=1))
    pages = await customers.search_async({"query": query, "limit": 2})
    assert {customer.id async for customer in pages.auto_paging_iter()} == set(ids)
    with pytest.raises(stripe.InvalidRequestError, match="unable to parse"):
        await customers.search_async({"query": "of us"})
