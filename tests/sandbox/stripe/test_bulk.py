"""Thousands of invoices held at once, and read page by page."""

from itertools import pairwise
from typing import Any

import pytest
import stripe

from sandbox.stripe.bulk import Held, fill, hold_customer, hold_invoices
from sandbox.stripe.ids import Ids
from sandbox.stripe.lists import Window
from sandbox.stripe.records import Status
from sandbox.stripe.world import World, unix
from tests.sandbox.stripe.conftest import Stage

COUNT = 1_000
OF_ITSELF = ("id", "number", "customer", "hosted_invoice_url", "invoice_pdf", "customer_name")


async def everything(stage: Stage, **wanted: Any) -> list[dict[str, Any]]:
    """All pages, read raw as a reconciliation would."""
    found: list[dict[str, Any]] = []
    more: dict[str, Any] = {}
    while True:
        answer = await stage.client.raw_request_async(
            "get", "/v1/invoices", limit=100, **wanted, **more
        )
        page = answer.data
        found += page["data"]
        if not page["has_more"]:
            return found
        more = {"starting_after": page["data"][-1]["id"]}


@pytest.fixture
def held(stage: Stage) -> list[str]:
    """Newest first."""
    filled = fill(stage.world, COUNT, unix(stage.clock.at))
    return [invoice.id for invoice in reversed(filled)]


async def test_all_of_them_newest_first_in_as_few_calls_as_pages(
    stage: Stage, held: list[str]
) -> None:
    found = await everything(stage)
    assert [each["id"] for each in found] == held
    assert all(newer["created"] >= older["created"] for newer, older in pairwise(found))
    assert stage.world.calls["GET /v1/invoices"] == COUNT // 100
    assert {each["status"] for each in found} == set(Status)
    assert len(stage.world.events) == 0


async def test_filters_and_windows_part_them_without_rest(stage: Stage, held: list[str]) -> None:
    by_status = [await everything(stage, status=status.value) for status in Status]
    assert sorted(each["id"] for part in by_status for each in part) == sorted(held)

    now = unix(stage.clock.at)
    edges = [now - day * 24 * 3600 for day in (46, 30, 15, 0)]
    windows = [
        await everything(stage, created={"gte": start, "lt": end}) for start, end in pairwise(edges)
    ]
    assert [each["id"] for window in reversed(windows) for each in window] == held
    assert all(windows)

    first = windows[0][0]["customer"]
    theirs = await everything(stage, customer=first)
    assert {each["customer"] for each in theirs} == {first}


async def test_back_from_the_oldest_by_the_other_cursor(stage: Stage, held: list[str]) -> None:
    seen = [held[-1]]
    invoices = stage.client.v1.invoices
    for _ in range(3):
        page = await invoices.list_async({"limit": 5, "ending_before": seen[0]})
        seen = [each.id for each in page.data] + seen
    assert seen == held[-16:]


def test_a_page_looks_at_no_more_than_it_shows() -> None:
    world = World(ids=Ids(1))
    filled = fill(world, COUNT, 1_800_000_000)
    looked_at = 0

    def keep(_: object) -> bool:
        nonlocal looked_at
        looked_at += 1
        return True

    for cursor in (filled[-1].id, filled[COUNT // 2].id, filled[150].id):
        looked_at = 0
        assert len(world.invoices.page(Window(100, cursor), keep=keep).items) == 100
        assert looked_at == 101


def test_the_same_seed_holds_the_same() -> None:
    def account(seed: int) -> list[tuple[Any, ...]]:
        filled = fill(World(ids=Ids(1)), 50, 1_800_000_000, seed)
        return [(x.id, x.created, x.total, x.status, x.number) for x in filled]

    assert account(1) == account(1)
    assert account(1) != account(2)


@pytest.mark.parametrize("status", [Status.DRAFT, Status.OPEN, Status.PAID, Status.VOID])
async def test_one_held_is_as_one_made_by_calls(stage: Stage, status: Status) -> None:
    made = await stage.a_draft(700, 300)
    invoices = stage.client.v1.invoices
    if status is not Status.DRAFT:
        await invoices.finalize_invoice_async(made.id)
    if status is Status.PAID:
        await invoices.pay_async(made.id)
    elif status is Status.VOID:
        await invoices.void_invoice_async(made.id)
    now = unix(stage.clock.at)
    customer = hold_customer(stage.world, now)
    (record,) = hold_invoices(
        stage.world, [Held(customer=customer.id, created=now, amounts=(700, 300), status=status)]
    )

    assert comparable(await invoices.retrieve_async(record.id)) == comparable(
        await invoices.retrieve_async(made.id)
    )


def comparable(invoice: stripe.Invoice) -> dict[str, Any]:
    body = {name: value for name, value in invoice.to_dict().items() if name not in OF_ITSELF}
    lines = body.pop("lines")
    return body | {"amounts": [line["amount"] for line in lines["data"]]}


async def test_what_cannot_be_held_is_refused(stage: Stage) -> None:
    made = await stage.a_draft()
    with pytest.raises(ValueError, match="older"):
        hold_invoices(
            stage.world, [Held(customer=str(made.customer), created=made.created - 1, amounts=(1,))]
        )
    with pytest.raises(KeyError):
        hold_invoices(stage.world, [Held(customer="cus_x", created=made.created, amounts=(1,))])
    assert len(stage.world.invoices) == 1
