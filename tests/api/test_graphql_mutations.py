"""What can be done by GraphQL: expected failures are data, and doing it twice is safe."""

from typing import Any

import httpx
import pytest
from sqlalchemy import select

from billing.models import AuditEntry, Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key, on_a_plan
from tests.factories import a_plan, a_price
from tests.world import Clock

ERRORS = "userErrors { code reason message field }"
SELL = f"""mutation($input: CreateOneOffItemInput!) {{ createOneOffItem(input: $input) {{
    item {{ id description amount {{ amount currency }} incurredAt }} {ERRORS}
}} }}"""
CLOSE = f"""mutation($input: ClosePeriodInput!) {{ closePeriod(input: $input) {{
    invoice {{ number status total {{ amount }} lines {{ key }} stripe {{ syncState }} }} {ERRORS}
}} }}"""
OPEN = f"""mutation($input: CreateOrganizationInput!) {{ createOrganization(input: $input) {{
    organization {{ id slug currency anchorDay }} {ERRORS}
}} }}"""
KNOW = f"""mutation($input: CreateUserInput!) {{ createUser(input: $input) {{
    user {{ email }} {ERRORS}
}} }}"""
JOIN = f"""mutation($input: AddMemberInput!) {{ addMember(input: $input) {{
    membership {{ role user {{ name }} }} {ERRORS}
}} }}"""
GRANT = f"""mutation($input: CreateApiKeyInput!) {{ createApiKey(input: $input) {{
    token apiKey {{ hint scopes }} {ERRORS}
}} }}"""
INITECH = {
    "key": "cus-1",
    "slug": "initech",
    "name": "Initech",
    "currency": "JPY",
    "billingEmail": "ap@initech.example",
    "anchorDay": 31,
}
ACCRUED = '{ organization(slug: "acme") { currentCharges { accrued { amount } } } }'
ITEM = {
    "organization": "acme",
    "description": "Data import",
    "amount": "12.5",
    "currency": "USD",
    "idempotencyKey": "import-1",
}
NOVEMBER = {"organization": "acme", "periodEnd": "2026-12-01T00:00:00Z"}


@pytest.fixture
async def writer(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """A key that may read and write its organization's bill."""
    return Graph(http, await a_key(sessions, "billing:read", "billing:write", org=org))


async def do(graph: Graph, mutation: str, input: dict[str, Any]) -> dict[str, Any]:
    ((_, payload),) = (await graph.ask(mutation, input=input)).items()
    assert isinstance(payload, dict)
    return payload


async def test_a_one_off_item_is_on_the_bill_at_once(writer: Graph) -> None:
    payload = await do(writer, SELL, ITEM)

    assert payload["userErrors"] == []
    assert payload["item"]["amount"] == {"amount": "12.50", "currency": "USD"}
    assert payload["item"]["incurredAt"] == "2026-11-10T14:00:00Z"
    charges = (await writer.ask(ACCRUED))["organization"]["currentCharges"]
    assert charges["accrued"]["amount"] == "12.50"


async def test_the_same_key_sells_once(writer: Graph) -> None:
    first = await do(writer, SELL, ITEM)
    again = await do(writer, SELL, ITEM | {"amount": "12.50"})
    other = await do(writer, SELL, ITEM | {"amount": "99"})

    assert again == first
    assert other["item"] is None
    (error,) = other["userErrors"]
    assert (error["code"], error["reason"]) == ("CONFLICT", "IDEMPOTENCY_CONFLICT")
    assert error["field"] == ["input", "idempotencyKey"]
    charges = (await writer.ask(ACCRUED))["organization"]["currentCharges"]
    assert charges["accrued"]["amount"] == "12.50"


@pytest.mark.parametrize(
    ("wrong", "code", "field"),
    [
        ({"amount": "0"}, "VALIDATION", ["input", "amount"]),
        ({"amount": "-1"}, "VALIDATION", ["input", "amount"]),
        ({"amount": "0.001"}, "VALIDATION", None),
        ({"currency": "EUR"}, "VALIDATION", None),
        ({"description": " "}, "VALIDATION", ["input", "description"]),
        ({"incurredAt": "2026-12-01T00:00:00Z"}, "VALIDATION", ["input", "incurredAt"]),
        ({"organization": "bigco"}, "NOT_FOUND", None),
    ],
)
async def test_an_item_that_cannot_be_sold(
    writer: Graph, wrong: dict[str, str], code: str, field: list[str] | None
) -> None:
    payload = await do(writer, SELL, ITEM | wrong)

    assert payload["item"] is None
    assert [(x["code"], x["field"]) for x in payload["userErrors"]] == [(code, field)]


async def test_staff_close_an_ended_period_once(
    staff: Graph, clock: Clock, sessions: Sessions, org: Organization
) -> None:
    await on_a_plan(sessions, org)
    early = await do(staff, CLOSE, NOVEMBER)
    clock.at = clock.at.replace(month=12, day=1)
    closed = await do(staff, CLOSE, NOVEMBER)
    again = await do(staff, CLOSE, NOVEMBER)

    assert early["userErrors"][0]["reason"] == "PERIOD_NOT_ENDED"
    assert closed["userErrors"] == []
    assert closed["invoice"] == {
        "number": "ACME-0001",
        "status": "OPEN",
        "total": {"amount": "34.94"},
        "lines": [{"key": "pro/egress/USD@1"}, {"key": "pro/base/USD@1"}],
        "stripe": {"syncState": "PENDING"},
    }
    assert again["userErrors"][0]["reason"] == "PERIOD_ALREADY_CLOSED"


async def test_an_account_from_nothing_to_its_first_key(
    staff: Graph, http: httpx.AsyncClient, sessions: Sessions
) -> None:
    created = await do(staff, OPEN, INITECH)
    person = {"email": "Bill@Initech.example", "name": "Bill", "password": "tps-reports-2026"}
    user = await do(staff, KNOW, person)
    joined = {"organization": "initech", "email": "bill@initech.example", "role": "BILLING"}
    member = await do(staff, JOIN, joined)
    wanted = {"name": "phoenix", "scopes": ["BILLING_READ"], "organization": "initech"}
    key = await do(staff, GRANT, wanted)

    assert created["organization"]["anchorDay"] == 31
    assert user["user"] == {"email": "bill@initech.example"}
    assert member["membership"] == {"role": "BILLING", "user": {"name": "Bill"}}
    assert key["apiKey"]["scopes"] == ["BILLING_READ"]
    mine = await Graph(http, key["token"]).ask(
        "{ viewer { organization { slug currentCharges { total { amount currency } }"
        " users { user { email } } } } }"
    )
    assert mine["viewer"]["organization"] == {
        "slug": "initech",
        "currentCharges": {"total": {"amount": "0", "currency": "JPY"}},
        "users": [{"user": {"email": "bill@initech.example"}}],
    }
    async with sessions() as session:
        acts = (await session.scalars(select(AuditEntry.action))).all()
    assert {"organization.created", "user.created", "membership.set", "key.created"} <= set(acts)


async def test_what_is_taken_or_wrong_is_told_by_field(staff: Graph, org: Organization) -> None:
    wanted = {
        "key": org.key,
        "slug": "other",
        "name": "Other",
        "currency": "USD",
        "billingEmail": "a@b.example",
    }
    taken = await do(staff, OPEN, wanted)
    wrong = await do(staff, OPEN, wanted | {"key": "k2", "billingEmail": "nobody"})

    assert taken["userErrors"][0]["reason"] == "ORGANIZATION_KEY_TAKEN"
    assert taken["userErrors"][0]["code"] == "CONFLICT"
    assert wrong["userErrors"][0]["field"] == ["input", "billingEmail"]


async def test_a_subscription_starts_on_its_whole_hour(
    staff: Graph, sessions: Sessions, org: Organization
) -> None:
    start = f"""mutation($input: StartSubscriptionInput!) {{ startSubscription(input: $input) {{
        subscription {{ plan startsAt endsAt }} {ERRORS} }} }}"""
    async with sessions.begin() as session:
        plan = await a_plan(session)
        await a_price(session, plan, {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"})

    asked = {"organization": "acme", "plan": "pro", "startsAt": "2026-11-09T14:37:00Z"}
    started = await do(staff, start, asked)
    unknown = await do(staff, start, asked | {"plan": "prp"})

    assert started["subscription"] == {
        "plan": "pro",
        "startsAt": "2026-11-09T14:00:00Z",
        "endsAt": None,
    }
    assert unknown["userErrors"][0]["reason"] == "PLAN_NOT_FOUND"
    found = await staff.ask('{ organization(slug: "acme") { invoices { nodes { kind } } } }')
    assert found["organization"]["invoices"]["nodes"] == [{"kind": "OFF_CYCLE"}]


async def test_a_foreign_id_is_not_a_keys(staff: Graph, org: Organization) -> None:
    found = await staff.ask('{ organization(slug: "acme") { id } }')
    payload = await do(
        staff,
        f"mutation($input: RevokeApiKeyInput!) {{ revokeApiKey(input: $input) {{ {ERRORS} }} }}",
        {"id": found["organization"]["id"]},
    )

    assert payload["userErrors"][0]["code"] == "VALIDATION"
    assert "is no ApiKey's id" in payload["userErrors"][0]["message"]
