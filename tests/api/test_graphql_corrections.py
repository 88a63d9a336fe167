"""Correcting invoices and releasing holds through GraphQL: staff only, refusals as data."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from jobs.close_periods import close_periods
from tests.api.graphql import Graph, a_key, closed_months, on_a_plan
from tests.factories import a_meter, counted
from tests.world import NOVEMBER_10, Clock

VOID = """
mutation($input: VoidInvoiceInput!) { voidInvoice(input: $input) {
    invoice { number status voidReason amountDue { amount } }
    reissued { status kind }
    userErrors { reason field message }
} }
"""
REISSUE = """
mutation($input: ReissueInvoiceInput!) { reissueInvoice(input: $input) {
    invoice { status replaces } userErrors { reason field }
} }
"""
CREDIT = """
mutation($input: CreateCreditNoteInput!) { createCreditNote(input: $input) {
    creditNote { number kind state reason amount { amount currency } }
    invoice { status total { amount } amountDue { amount } creditNotes { number } }
    userErrors { reason field message }
} }
"""
RELEASE = """
mutation($input: ReleaseHoldInput!) { releaseHold(input: $input) {
    hold { reason releasedBy note } userErrors { reason field }
} }
"""
HOLDS = "query($first: Int) { holds(first: $first) { organization hold { reason message } } }"
INVOICES = """
{ organization(slug: "acme") { invoices {
    nodes { number status replaces replacedBy voidReason holds { reason releasedAt } }
} } }
"""
AFTER_GRACE = datetime(2026, 12, 2, 0, 1, tzinfo=UTC)


@pytest.fixture
async def november(sessions: Sessions, clock: Clock, org: Organization) -> str:
    """ACME-0001, of 34.94."""
    await on_a_plan(sessions, org)
    [invoice] = await closed_months(sessions, org, 1)
    clock.at = datetime(2026, 12, 1, 1, tzinfo=UTC)
    return str(invoice.number)


def wanted(number: str, **more: object) -> dict[str, object]:
    return {"organization": "acme", "number": number, **more}


async def done(graph: Graph, query: str, name: str, given: Mapping[str, object]) -> Any:
    answer = (await graph.ask(query, input=given))[name]
    assert answer["userErrors"] == []
    return answer


async def refused(graph: Graph, query: str, name: str, given: Mapping[str, object]) -> Any:
    [error] = (await graph.ask(query, input=given))[name]["userErrors"]
    return error


async def test_void_and_reissue_name_each_other(
    staff: Graph, runtime: Runtime, november: str
) -> None:
    given = wanted(november, reason="The wrong price", reissue=True)
    answer = await done(staff, VOID, "voidInvoice", given)
    assert answer["invoice"] == {
        "number": "ACME-0001",
        "status": "VOID",
        "voidReason": "The wrong price",
        "amountDue": {"amount": "0.00"},
    }
    assert answer["reissued"] == {"status": "CLOSING", "kind": "PERIOD"}
    await close_periods({"runtime": runtime})

    nodes = (await staff.ask(INVOICES))["organization"]["invoices"]["nodes"]
    names = {x["number"]: (x["status"], x["replaces"], x["replacedBy"]) for x in nodes}
    assert names == {
        "ACME-0001": ("VOID", None, "ACME-0002"),
        "ACME-0002": ("OPEN", "ACME-0001", None),
    }


async def test_a_void_one_is_reissued_once(staff: Graph, november: str) -> None:
    given = wanted(november)
    assert (await refused(staff, REISSUE, "reissueInvoice", given))["reason"] == "NOT_REISSUABLE"
    await done(staff, VOID, "voidInvoice", wanted(november, reason="A mistake"))
    answer = await done(staff, REISSUE, "reissueInvoice", given)
    assert answer["invoice"] == {"status": "CLOSING", "replaces": "ACME-0001"}
    assert (await refused(staff, REISSUE, "reissueInvoice", given))["reason"] == "ALREADY_REISSUED"


async def test_a_credit_note_reduces_what_is_due(staff: Graph, november: str) -> None:
    given = wanted(november, amount="3.94", reason="Sorry", idempotencyKey="k1")
    for _ in range(2):
        answer = await done(staff, CREDIT, "createCreditNote", given)
        assert answer["creditNote"] == {
            "number": "ACME-CN-0001",
            "kind": "REDUCTION",
            "state": "PENDING",
            "reason": "Sorry",
            "amount": {"amount": "3.94", "currency": "USD"},
        }
        assert answer["invoice"] == {
            "status": "OPEN",
            "total": {"amount": "34.94"},
            "amountDue": {"amount": "31.00"},
            "creditNotes": [{"number": "ACME-CN-0001"}],
        }
    error = await refused(staff, CREDIT, "createCreditNote", given | {"amount": "4"})
    assert (error["reason"], error["field"]) == (
        "IDEMPOTENCY_CONFLICT",
        ["input", "idempotencyKey"],
    )
    error = await refused(
        staff, CREDIT, "createCreditNote", given | {"amount": "32", "idempotencyKey": "k2"}
    )
    assert (error["reason"], error["field"]) == ("CREDIT_NOTE_TOO_LARGE", ["input", "amount"])
    error = await refused(staff, VOID, "voidInvoice", wanted(november, reason="A mistake"))
    assert error["reason"] == "HAS_CREDIT_NOTES"


async def test_a_held_invoice_is_listed_and_let_go(
    staff: Graph, runtime: Runtime, sessions: Sessions, clock: Clock, org: Organization
) -> None:
    async with sessions.begin() as session:
        meter = await a_meter(session, "builds")
        await counted(session, org.id, meter, 7, NOVEMBER_10)
    await on_a_plan(sessions, org)
    clock.at = AFTER_GRACE
    await close_periods({"runtime": runtime})

    [held] = (await staff.ask(HOLDS, first=10))["holds"]
    assert (held["organization"], held["hold"]["reason"]) == ("acme", "UNPRICED")
    assert "have no price" in held["hold"]["message"]
    given = {"organization": "acme", "reason": "UNPRICED", "note": " "}
    assert (await refused(staff, RELEASE, "releaseHold", given))["reason"] == "INVALID_NOTE"
    answer = await done(staff, RELEASE, "releaseHold", given | {"note": "Free of charge"})
    assert answer["hold"]["note"] == "Free of charge"
    assert (await staff.ask(HOLDS))["holds"] == []
    assert (await refused(staff, RELEASE, "releaseHold", given | {"note": "x"}))[
        "reason"
    ] == "HOLD_NOT_FOUND"

    clock.advance(timedelta(minutes=1))
    await close_periods({"runtime": runtime})
    [node] = (await staff.ask(INVOICES))["organization"]["invoices"]["nodes"]
    assert (node["status"], node["holds"][0]["reason"]) == ("OPEN", "UNPRICED")
    assert node["holds"][0]["releasedAt"] is not None


async def test_it_is_for_staff_only(
    sessions: Sessions, staff: Graph, org: Organization, november: str
) -> None:
    own = Graph(staff.http, await a_key(sessions, "billing:read", "billing:write", org=org))
    credit = wanted(november, amount="1", reason="x", idempotencyKey="k")
    hold = {"organization": "acme", "reason": "UNPRICED", "note": "x"}
    for query, given in (
        (VOID, wanted(november, reason="x")),
        (REISSUE, wanted(november)),
        (CREDIT, credit),
        (RELEASE, hold),
    ):
        assert await own.code(query, input=given) == "FORBIDDEN"
    assert await own.code(HOLDS) == "FORBIDDEN"
    [node] = (await own.ask(INVOICES))["organization"]["invoices"]["nodes"]
    assert node["holds"] is None
