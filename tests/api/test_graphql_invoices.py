"""Invoices: pages that stay put, lines in one query, figures that were the estimate's."""

from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    SyncState,
)
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key, closed_months, on_a_plan, statements
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock

PAGE = """
query($first: Int, $after: String, $filter: InvoiceFilter) { organization(slug: "acme") {
    invoices(first: $first, after: $after, filter: $filter) {
        nodes { id number status total { amount } lines { key amount { amount } } }
        edges { cursor } pageInfo { hasNextPage hasPreviousPage endCursor }
    }
} }
"""
ONE = """
query($number: String!) { organization(slug: "acme") { invoice(number: $number) {
    id number status digest issuedAt paidAt period { start end } total { amount currency }
    lines { key quantity exactAmount amount { amount } steps { kind } }
    stripe { syncState stripeInvoiceId hostedUrl attempts nextAttemptAt error { code } }
} } }
"""


@pytest.fixture
async def reader(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """A key that may read what its organization owes."""
    await on_a_plan(sessions, org)
    return Graph(http, await a_key(sessions, "billing:read", org=org))


async def page(reader: Graph, **variables: Any) -> Any:
    return (await reader.ask(PAGE, **variables))["organization"]["invoices"]


async def test_an_invoice_shows_what_the_estimate_showed(
    reader: Graph, sessions: Sessions, org: Organization, clock: Clock
) -> None:
    estimate = await reader.ask(
        '{organization(slug: "acme") {currentCharges {digest total {amount}}}}'
    )
    (closed,) = await closed_months(sessions, org, 1)

    invoice = (await reader.ask(ONE, number=closed.number))["organization"]["invoice"]
    charges = estimate["organization"]["currentCharges"]
    assert invoice["digest"] == charges["digest"]
    assert invoice["total"]["amount"] == charges["total"]["amount"] == "34.94"
    assert (invoice["status"], invoice["issuedAt"]) == ("OPEN", "2026-12-01T00:00:00Z")
    assert invoice["lines"][0] == {
        "key": "pro/egress/USD@1",
        "quantity": "412.6",
        "exactAmount": "5.939",
        "amount": {"amount": "5.94"},
        "steps": [{"kind": "ALLOWANCE"}, {"kind": "TIER"}, {"kind": "TIER"}],
    }
    assert invoice["stripe"] == {
        "syncState": "PENDING",
        "stripeInvoiceId": None,
        "hostedUrl": None,
        "attempts": 0,
        "nextAttemptAt": "2026-12-01T00:00:00Z",
        "error": None,
    }


async def test_an_invoice_is_fetched_again_by_its_global_id(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    (closed,) = await closed_months(sessions, org, 1)
    invoice = (await reader.ask(ONE, number=closed.number))["organization"]["invoice"]

    node = await reader.ask(
        "query($id: ID!) { node(id: $id) { id __typename ... on Invoice { number } } }",
        id=invoice["id"],
    )
    assert node["node"] == {
        "id": invoice["id"],
        "__typename": "Invoice",
        "number": closed.number,
    }


async def test_why_sending_failed_is_told(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    (closed,) = await closed_months(sessions, org, 1)
    async with sessions.begin() as session:
        sync = await session.get_one(InvoiceSync, closed.id)
        sync.state, sync.attempts = SyncState.FAILED, 3
        sync.error_code, sync.error_message = "CARD", "No such customer."

    stripe = (await reader.ask(ONE, number=closed.number))["organization"]["invoice"]["stripe"]
    assert (stripe["syncState"], stripe["attempts"]) == ("FAILED", 3)
    assert (stripe["error"], stripe["nextAttemptAt"]) == ({"code": "CARD"}, None)


async def test_a_closing_invoice_has_no_total_yet(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    async with sessions.begin() as session:
        session.add(
            Invoice(
                org_id=org.id,
                currency=org.currency,
                kind=InvoiceKind.PERIOD,
                status=InvoiceStatus.CLOSING,
                period_start=datetime(2026, 10, 1, tzinfo=UTC),
                period_end=datetime(2026, 11, 1, tzinfo=UTC),
                closes_at=NOVEMBER_10,
                recorded_at=NOVEMBER_10,
            )
        )

    [closing] = (await page(reader))["nodes"]
    assert (closing["status"], closing["total"]) == ("CLOSING", None)


async def test_an_unknown_number_is_null_and_an_error(reader: Graph) -> None:
    answer = (await reader.post(ONE, number="ACME-9999")).json()

    assert answer["data"] == {"organization": {"invoice": None}}
    assert answer["errors"][0]["extensions"]["reason"] == "INVOICE_NOT_FOUND"
    assert answer["errors"][0]["path"] == ["organization", "invoice"]


async def test_two_statements_for_any_number_of_invoices_with_lines(
    reader: Graph, engine: AsyncEngine, sessions: Sessions, org: Organization
) -> None:
    await closed_months(sessions, org, 12)
    sent: dict[int, list[str]] = {}
    for size in (1, 12):
        with statements(engine) as sent[size]:
            assert len((await page(reader, first=size))["nodes"]) == size

    assert [len([x for x in sent[n] if "FROM invoice" in x]) for n in (1, 12)] == [2, 2]
    assert len(sent[12]) <= len(sent[1])


async def test_the_people_of_all_organizations_are_one_statement(
    staff: Graph, engine: AsyncEngine, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        for _ in range(5):
            await an_organization(session)
    with statements(engine) as sent:
        await staff.ask("{ organizations { nodes { users { role } } } }")

    assert len([statement for statement in sent if "FROM memberships" in statement]) == 1


async def test_pages_neither_repeat_nor_skip_while_invoices_are_added(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    numbers = [invoice.number for invoice in await closed_months(sessions, org, 6)]
    first = await page(reader, first=4)
    await closed_months(sessions, org, 2, after=6)
    second = await page(reader, first=4, after=first["pageInfo"]["endCursor"])

    assert [x["number"] for x in [*first["nodes"], *second["nodes"]]] == numbers[::-1]
    assert (first["pageInfo"]["hasNextPage"], second["pageInfo"]["hasNextPage"]) == (True, False)
    assert second["pageInfo"]["hasPreviousPage"]


async def test_a_page_may_go_on_from_any_of_its_cursors(
    reader: Graph, sessions: Sessions, org: Organization
) -> None:
    await closed_months(sessions, org, 3)
    whole = await page(reader)
    rest = await page(reader, after=whole["edges"][0]["cursor"])

    assert rest["nodes"] == whole["nodes"][1:]


async def test_invoices_by_status(reader: Graph, sessions: Sessions, org: Organization) -> None:
    await closed_months(sessions, org, 2)

    everything = {"status": ["OPEN", "PAID"]}
    assert len((await page(reader, filter=everything))["nodes"]) == 2
    assert (await page(reader, filter={"status": ["VOID"]}))["nodes"] == []


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({"after": "bm9uc2Vuc2U="}, "is not a cursor of this list"),
        ({"after": "WyJpbnZvaWNlcyIsIm5vdyIsIng4Il0="}, "is not a cursor of this list"),
        ({"after": "WyJvcmdhbml6YXRpb25zIiwiYSJd"}, "is not a cursor of this list"),
        ({"first": 0}, "first must be 1 to 100, not 0."),
        ({"first": 101}, "first must be 1 to 100, not 101."),
    ],
)
async def test_a_page_that_cannot_be_had(reader: Graph, asked: dict[str, Any], words: str) -> None:
    refusal = await reader.refusal(PAGE, **asked)

    assert refusal["extensions"]["code"] == "VALIDATION"
    assert words in refusal["message"]


async def test_organizations_page_by_slug(staff: Graph, sessions: Sessions) -> None:
    query = """query($after: String) { organizations(first: 2, after: $after) {
        nodes { slug } pageInfo { hasNextPage endCursor }
    } }"""
    async with sessions.begin() as session:
        for slug in ("delta", "alpha", "charlie"):
            await an_organization(session, key=slug)
    first = (await staff.ask(query))["organizations"]
    async with sessions.begin() as session:
        await an_organization(session, key="able")
    second = (await staff.ask(query, after=first["pageInfo"]["endCursor"]))["organizations"]

    assert [x["slug"] for x in first["nodes"]] == ["alpha", "charlie"]
    assert [x["slug"] for x in second["nodes"]] == ["delta"]
    assert not second["pageInfo"]["hasNextPage"]
