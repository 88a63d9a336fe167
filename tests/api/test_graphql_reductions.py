"""Coupons, grants, tax and the maximum bill, given and shown."""

from typing import Any

import httpx
import pytest

from billing.accounts import NewUser, add_member, create_user
from billing.models import Organization, Role
from billing.runtime import Runtime, Sessions
from billing.sign_in import sign_in_as
from tests.api.graphql import Graph, a_key, closed_months, on_a_plan
from tests.world import NOVEMBER_10
from web.cookies import SESSION

ERRORS = "userErrors { code reason field message }"
COUPON = f"""
mutation($input: CreateCouponInput!) {{ createCoupon(input: $input) {{
    coupon {{ id code name percent amount {{ amount }} invoicesMax endedAt }} {ERRORS}
}} }}
"""
GRANT = f"""
mutation($input: GrantCreditInput!) {{ grantCredit(input: $input) {{
    grant {{ code kind amount {{ amount currency }} meter priority expiresAt }} {ERRORS}
}} }}
"""
TAX = f"""
mutation($input: SetTaxRateInput!) {{ setTaxRate(input: $input) {{
    taxRate {{ name percent }} {ERRORS}
}} }}
"""
CAP = f"""
mutation($input: SetMaximumBillInput!) {{ setMaximumBill(input: $input) {{
    maximumBill {{
        amount {{ amount }} used {{ amount }} forgiven {{ amount }} remaining {{ amount }}
    }} {ERRORS}
}} }}
"""
STANDING = """
{ organization(slug: "acme") {
    coupons { coupon { code } invoicesReduced isActive }
    grants { grant { code } left { amount } }
    taxRates { name percent }
    creditBalance { amount currency }
    creditLedger(first: 1) {
        nodes { kind amount { amount } grant invoice } pageInfo { hasNextPage endCursor }
    }
    currentCharges {
        total { amount }
        maximumBill { amount { amount } used { amount } remaining { amount } }
        lines {
            kind amount { amount } reduced { amount } granted { amount } net { amount } corrects
        }
    }
} }
"""


@pytest.fixture
async def payer(http: httpx.AsyncClient, sessions: Sessions, org: Organization) -> Graph:
    """A key of the organization that may change what it is billed."""
    await on_a_plan(sessions, org)
    return Graph(http, await a_key(sessions, "billing:read", "billing:write", org=org))


async def refused(graph: Graph, mutation: str, **fields: Any) -> tuple[str, list[str] | None]:
    """The reason and the field of a mutation's one user error."""
    (answer,) = (await graph.ask(mutation, input={"organization": "acme", **fields})).values()
    [error] = answer["userErrors"]
    return error["reason"], error["field"]


async def given(graph: Graph, mutation: str, **fields: Any) -> dict[str, Any]:
    """What a mutation answers that refuses nothing."""
    (answer,) = (await graph.ask(mutation, input={"organization": "acme", **fields})).values()
    assert answer.pop("userErrors") == []
    (thing,) = answer.values()
    return dict(thing)


async def test_what_is_given_is_on_the_bill_at_once(payer: Graph, staff: Graph) -> None:
    coupon = await given(staff, COUPON, code="half", name="Half", percent="50", invoicesMax=3)
    grant = await given(
        staff, GRANT, code="gift", name="Gift", kind="PROMOTIONAL", amount="1.00",
        meter="egress_gb",
    )  # fmt: skip
    assert (coupon["percent"], coupon["amount"], coupon["invoicesMax"]) == ("50", None, 3)
    assert grant["amount"] == {"amount": "1.00", "currency": "USD"}
    assert await given(staff, TAX, name="VAT", percent="20") == {"name": "VAT", "percent": "20"}

    found = (await payer.ask(STANDING))["organization"]

    assert found["coupons"] == [
        {"coupon": {"code": "half"}, "invoicesReduced": 0, "isActive": True}
    ]
    assert found["grants"] == [{"grant": {"code": "gift"}, "left": {"amount": "1.00"}}]
    assert found["taxRates"] == [{"name": "VAT", "percent": "20"}]
    assert found["creditBalance"] == {"amount": "0.00", "currency": "USD"}
    egress, *_ = lines = found["currentCharges"]["lines"]
    assert [x["kind"] for x in lines] == [
        "USAGE", "FEE_IN_ADVANCE", "COUPON", "PROMOTIONAL_CREDIT", "TAX"
    ]  # fmt: skip
    assert [egress[name]["amount"] for name in ("amount", "reduced", "granted", "net")] == [
        "5.94", "2.97", "1.00", "1.97"
    ]  # fmt: skip
    assert found["currentCharges"]["total"]["amount"] == "19.76"


async def test_the_ledger_is_paged(
    payer: Graph, staff: Graph, sessions: Sessions, org: Organization
) -> None:
    await given(staff, GRANT, code="gift", name="Gift", kind="PREPAID", amount="10")
    await closed_months(sessions, org, 1)

    ledger = (await payer.ask(STANDING))["organization"]["creditLedger"]
    assert ledger["nodes"] == [
        {"kind": "DRAW", "amount": {"amount": "-10.00"}, "grant": "gift", "invoice": "ACME-0001"}
    ]
    rest = await payer.ask(
        'query($after: String) { organization(slug: "acme") { creditLedger(after: $after)'
        " { nodes { kind invoice } pageInfo { hasNextPage } } } }",
        after=ledger["pageInfo"]["endCursor"],
    )
    assert rest["organization"]["creditLedger"] == {
        "nodes": [{"kind": "GRANT", "invoice": None}],
        "pageInfo": {"hasNextPage": False},
    }


async def test_the_maximum_is_set_by_who_pays_and_says_what_holds(payer: Graph) -> None:
    found = await given(payer, CAP, amount="50.00")
    assert found == {
        "amount": {"amount": "50.00"},
        "used": {"amount": "5.94"},
        "forgiven": {"amount": "0.00"},
        "remaining": {"amount": "44.06"},
    }
    charges = (await payer.ask(STANDING))["organization"]["currentCharges"]
    assert charges["maximumBill"]["amount"] == {"amount": "50.00"}

    assert await refused(payer, CAP, amount="28.99") == ("CAP_BELOW_FEES", ["input", "amount"])
    assert (await given(payer, CAP, amount=None))["amount"] is None


async def test_another_body_for_a_code_is_a_conflict(staff: Graph, payer: Graph) -> None:
    gift = {"code": "gift", "name": "Gift", "kind": "PREPAID"}
    once = await given(staff, GRANT, **gift, amount="10")

    assert await given(staff, GRANT, **gift, amount="10.00") == once
    assert await refused(staff, GRANT, **gift, amount="11") == (
        "IDEMPOTENCY_CONFLICT",
        ["input", "code"],
    )
    assert await refused(staff, COUPON, code="x", name="X") == (
        "INVALID_COUPON",
        ["input", "percent"],
    )


async def test_coupons_and_rates_are_ended(staff: Graph, payer: Graph) -> None:
    await given(staff, COUPON, code="half", name="Half", amount="1")
    await given(staff, TAX, name="VAT", percent="20")
    for mutation, thing, key in (
        ("endCoupon", "coupon", 'code: "half"'),
        ("endTaxRate", "taxRate", 'name: "VAT"'),
    ):
        answer = await staff.ask(
            f'mutation {{ {mutation}(input: {{organization: "acme", {key}}})'
            f" {{ {thing} {{ endedAt }} {ERRORS} }} }}"
        )
        assert answer[mutation] == {thing: {"endedAt": "2026-11-10T14:00:00Z"}, "userErrors": []}

    found = (await payer.ask(STANDING))["organization"]
    assert (found["taxRates"], found["coupons"][0]["isActive"]) == ([], False)


async def test_only_staff_give_and_only_payers_set(
    payer: Graph, http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    reader = Graph(http, await a_key(sessions, "billing:read", org=org))
    gift = {"code": "g", "name": "G", "kind": "PREPAID", "amount": "1", "organization": "acme"}

    assert await payer.code(GRANT, input=gift) == "FORBIDDEN"
    assert await reader.code(CAP, input={"organization": "acme", "amount": "50"}) == "FORBIDDEN"


@pytest.mark.parametrize(
    ("role", "may"),
    [(Role.OWNER, True), (Role.BILLING, True), (Role.MEMBER, False), (Role.READONLY, False)],
)
async def test_people_set_it_by_their_role(
    http: httpx.AsyncClient,
    runtime: Runtime,
    org: Organization,
    role: Role,
    *,
    may: bool,
) -> None:
    new = NewUser("dana@acme.example", "Dana", None)
    async with runtime.sessions.begin() as session:
        user = await create_user(session, new, actor="test", now=NOVEMBER_10)
        await add_member(session, org, user, role, actor="test", now=NOVEMBER_10)
        http.cookies.set(SESSION, await sign_in_as(session, user.id, NOVEMBER_10))
    body = {"query": CAP, "variables": {"input": {"organization": "acme", "amount": "50"}}}
    headers = {"Origin": runtime.settings.base_url}

    answer = (await http.post("/graphql", json=body, headers=headers)).json()

    assert ("errors" not in answer) is may, answer
