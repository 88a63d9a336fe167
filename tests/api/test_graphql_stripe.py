"""What Stripe says of payments, how the books differ, and changed names, for other apps."""

import httpx

from billing.models import (
    CustomerUpdate,
    Drift,
    Organization,
    PaymentFacts,
    ReconciliationRun,
    RunScope,
    RunState,
)
from billing.rules.drift import DriftKind, Repair
from billing.runtime import Runtime, Sessions
from tests.api.graphql import Graph, a_key
from tests.billing.pushing import an_issued_invoice
from tests.world import NOVEMBER_10

PAYMENTS = """{ organization(slug: "acme") { invoices(first: 5) { nodes {
    number payment { paid { amount currency } refunded { amount } disputed { amount } disputeStatus
        paidByAnotherWay { amount } credited { amount } fetchedAt }
    stripe { paymentAttempts nextPaymentAt hostedUrl }
} } } }"""
DIFFERENCES = """query($first: Int) { reconciliation(first: $first) {
    scope state invoicesRead isRepairing
    drifts { kind organization number stripeInvoiceId message repair result }
} }"""
CHANGE = """mutation($input: UpdateOrganizationInput!) { updateOrganization(input: $input) {
    organization { name } userErrors { code field }
} }"""


async def test_payment_facts_are_beside_the_status(
    http: httpx.AsyncClient, runtime: Runtime, sessions: Sessions, org: Organization
) -> None:
    invoice_id = await an_issued_invoice(runtime, org=org)
    app = Graph(http, await a_key(sessions, "billing:read", org=org))
    (before,) = (await app.ask(PAYMENTS))["organization"]["invoices"]["nodes"]
    assert before["payment"] is None
    async with sessions.begin() as session:
        session.add(
            PaymentFacts(
                invoice_id=invoice_id,
                amount_paid_minor=3494,
                paid_off_stripe_minor=0,
                credited_before_minor=0,
                credited_after_minor=100,
                refunded_minor=100,
                disputed_minor=3494,
                dispute_status="lost",
                balance_minor=0,
                fetched_at=NOVEMBER_10,
            )
        )

    (one,) = (await app.ask(PAYMENTS))["organization"]["invoices"]["nodes"]
    assert one["payment"] == {
        "paid": {"amount": "34.94", "currency": "USD"},
        "paidByAnotherWay": {"amount": "0.00"},
        "credited": {"amount": "1.00"},
        "refunded": {"amount": "1.00"},
        "disputed": {"amount": "34.94"},
        "disputeStatus": "lost",
        "fetchedAt": "2026-11-10T14:00:00Z",
    }
    assert one["stripe"] == {"paymentAttempts": 0, "nextPaymentAt": None, "hostedUrl": None}


async def test_staff_are_told_how_the_books_differ(
    staff: Graph, http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    assert (await staff.ask(DIFFERENCES))["reconciliation"] is None
    async with sessions.begin() as session:
        run = ReconciliationRun(
            scope=RunScope.WINDOW,
            state=RunState.DONE,
            window_start=NOVEMBER_10,
            window_end=NOVEMBER_10,
            is_repairing=False,
            actor="test",
            counts={"ORPHAN": 1},
            next_attempt_at=NOVEMBER_10,
            invoices_read=7,
            started_at=NOVEMBER_10,
            finished_at=NOVEMBER_10,
        )
        session.add(run)
        await session.flush()
        session.add(
            Drift(
                run_id=run.id,
                kind=DriftKind.ORPHAN,
                repair=Repair.PERSON,
                org_id=org.id,
                stripe_invoice_id="in_1",
                ours={},
                theirs={"status": "open"},
                message="Carries an id of ours that we do not have.",
            )
        )

    told = (await staff.ask(DIFFERENCES, first=1))["reconciliation"]
    assert (told["scope"], told["state"], told["invoicesRead"]) == ("WINDOW", "DONE", 7)
    assert told["drifts"] == [
        {
            "kind": "ORPHAN",
            "organization": "acme",
            "number": None,
            "stripeInvoiceId": "in_1",
            "message": "Carries an id of ours that we do not have.",
            "repair": "PERSON",
            "result": None,
        }
    ]
    owner = Graph(http, await a_key(sessions, "billing:read", org=org))
    assert await owner.code(DIFFERENCES) == "FORBIDDEN"


async def test_staff_change_a_name_and_an_address(
    staff: Graph, http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    change = {"organization": "acme", "name": "Acme Inc.", "billingEmail": "Pay@acme.example"}
    told = (await staff.ask(CHANGE, input=change))["updateOrganization"]
    assert told == {"organization": {"name": "Acme Inc."}, "userErrors": []}
    async with sessions() as session:
        wanted = await session.get_one(CustomerUpdate, org.id)
        held = await session.get_one(Organization, org.id)
    assert (wanted.revision, held.billing_email) == (1, "pay@acme.example")

    wrong = {"organization": "acme", "billingEmail": "nobody"}
    refused = (await staff.ask(CHANGE, input=wrong))["updateOrganization"]
    assert refused["userErrors"] == [{"code": "VALIDATION", "field": ["input", "billingEmail"]}]
    owner = Graph(http, await a_key(sessions, "billing:write", org=org))
    assert await owner.code(CHANGE, input=change) == "FORBIDDEN"
