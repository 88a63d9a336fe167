"""Who may ask what: scopes, roles, other organizations, and browsers of other sites."""

from datetime import timedelta

import httpx
import pytest

from api.nodes import global_id
from billing.accounts import NewUser, add_member, create_user
from billing.ids import new_id
from billing.models import Organization, Role
from billing.runtime import Sessions
from billing.sign_in import sign_in_as
from tests.api.graphql import Graph, a_key, closed_months, on_a_plan
from tests.factories import an_organization
from tests.world import NOVEMBER_10, Clock

FIELDS = {
    "charges": "currentCharges { digest }",
    "usage": 'usage(meter: "egress_gb") { points { quantity } }',
    "invoices": "invoices { nodes { id } }",
    "invoice": 'invoice(number: "ACME-0001") { id }',
    "users": "users { role }",
}
WHO = "{ viewer { actor isStaff scopes user { email } organization { slug } } }"
ITEM = """mutation { createOneOffItem(input: {organization: "acme", description: "Import",
    amount: "1", currency: "USD", idempotencyKey: "k"}) { item { id } userErrors { code } } }"""
CLOSE = """mutation { closePeriod(input: {organization: "acme", periodEnd: "2026-11-01T00:00:00Z"})
    { userErrors { code reason } } }"""


@pytest.fixture
async def acme(sessions: Sessions, org: Organization) -> Organization:
    """On a plan, with an invoice."""
    await on_a_plan(sessions, org)
    await closed_months(sessions, org, 1)
    return org


async def signed_in(sessions: Sessions, org: Organization | None, role: Role | None) -> str:
    """A session token: of a member, or of staff when there is no role."""
    async with sessions.begin() as session:
        new = NewUser("dana@acme.example", "Dana", is_ops=role is None)
        user = await create_user(session, new, actor="test", now=NOVEMBER_10)
        if org is not None and role is not None:
            await add_member(session, org, user, role, actor="test", now=NOVEMBER_10)
        return await sign_in_as(session, user.id, NOVEMBER_10)


@pytest.mark.parametrize(
    ("scope", "allowed"),
    [
        ("billing:read", {"charges", "invoices", "invoice", "users"}),
        ("usage:read", {"usage"}),
        ("usage:write", set[str]()),
        ("billing:write", set[str]()),
    ],
)
async def test_each_field_needs_its_scope(
    http: httpx.AsyncClient, sessions: Sessions, acme: Organization, scope: str, allowed: set[str]
) -> None:
    graph = Graph(http, await a_key(sessions, scope, org=acme))
    for name, selection in FIELDS.items():
        answer = (await graph.post(f'{{ organization(slug: "acme") {{ {selection} }} }}')).json()
        if name in allowed:
            assert "errors" not in answer, name
        else:
            assert answer["errors"][0]["extensions"]["code"] == "FORBIDDEN", name


@pytest.mark.parametrize("selection", FIELDS.values())
async def test_another_organization_does_not_exist(
    http: httpx.AsyncClient, sessions: Sessions, acme: Organization, selection: str
) -> None:
    async with sessions.begin() as session:
        other = await an_organization(session)
    graph = Graph(http, await a_key(sessions, "billing:read", "usage:read", org=other))

    query = f"query($slug: String!) {{ organization(slug: $slug) {{ {selection} }} }}"
    theirs = await graph.refusal(query, slug="acme")
    nobodys = await graph.refusal(query, slug="no-such-organization")
    for refusal in (theirs, nobodys):
        refusal["extensions"].pop("requestId")
    assert theirs == nobodys
    assert theirs["extensions"]["code"] == "NOT_FOUND"


async def test_global_ids_open_no_other_door(
    http: httpx.AsyncClient, sessions: Sessions, acme: Organization, staff: Graph
) -> None:
    found = await staff.ask('{organization(slug: "acme") {id invoice(number: "ACME-0001") {id}}}')
    async with sessions.begin() as session:
        other = await an_organization(session)
    graph = Graph(http, await a_key(sessions, "billing:read", org=other))

    for node in (found["organization"]["id"], found["organization"]["invoice"]["id"]):
        assert await graph.code("query($id: ID!) { node(id: $id) { id } }", id=node) == "NOT_FOUND"
    own = await graph.ask("{ organizations { nodes { slug } } }")
    assert own["organizations"]["nodes"] == [{"slug": other.slug}]


async def test_anything_is_found_again_by_its_id(staff: Graph, acme: Organization) -> None:
    found = await staff.ask('{ organization(slug: "acme") { id } meters { id slug } }')
    query = """query($id: ID!) { node(id: $id) {
        id ... on Organization { slug } ... on Meter { slug }
    } }"""

    for thing in (found["organization"], found["meters"][0]):
        node = (await staff.ask(query, id=thing["id"]))["node"]
        assert node["id"] == thing["id"]
        assert node["slug"] in {"acme", "egress_gb"}
    by_id = "query($id: ID!) { organization(id: $id) { slug } }"
    assert (await staff.ask(by_id, id=found["organization"]["id"])) == {
        "organization": {"slug": "acme"}
    }
    assert await staff.code(by_id, id=found["meters"][0]["id"]) == "VALIDATION"
    for kind in ("Meter", "Organization", "Nothing"):
        unknown = global_id(kind, new_id())
        assert await staff.code(query, id=unknown) == "NOT_FOUND"


async def test_only_who_may_write_sells_and_only_staff_closes(
    http: httpx.AsyncClient, sessions: Sessions, acme: Organization, staff: Graph
) -> None:
    reader = Graph(http, await a_key(sessions, "billing:read", org=acme))
    writer = Graph(http, await a_key(sessions, "billing:write", org=acme))

    assert await reader.code(ITEM) == "FORBIDDEN"
    assert await writer.code(CLOSE) == "FORBIDDEN"
    assert (await writer.ask(ITEM))["createOneOffItem"]["userErrors"] == []
    assert (await staff.ask(CLOSE))["closePeriod"]["userErrors"][0]["code"] == "CONFLICT"


async def test_nobody_is_told_to_authenticate(http: httpx.AsyncClient) -> None:
    for headers in ({}, {"Authorization": "Bearer ssk_wrong"}, {"Cookie": "session=wrong"}):
        response = await http.post("/graphql", json={"query": "{__typename}"}, headers=headers)

        assert response.status_code == 401
        assert response.headers["www-authenticate"] == "Bearer"
        assert response.json()["errors"][0]["extensions"]["code"] == "UNAUTHENTICATED"


async def test_a_revoked_key_says_so(
    http: httpx.AsyncClient, sessions: Sessions, staff: Graph
) -> None:
    created = await staff.ask(
        'mutation { createApiKey(input: {name: "app", scopes: [BILLING_READ]})'
        " { token apiKey { id } } }"
    )
    graph = Graph(http, created["createApiKey"]["token"])
    await graph.ask(WHO)
    await staff.ask(
        "mutation($id: ID!) { revokeApiKey(input: {id: $id}) { apiKey { revokedAt } } }",
        id=created["createApiKey"]["apiKey"]["id"],
    )

    assert (await graph.refusal(WHO))["extensions"]["reason"] == "KEY_REVOKED"


async def test_a_key_knows_itself(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    graph = Graph(http, await a_key(sessions, "usage:read", "billing:read", org=org))

    viewer = (await graph.ask(WHO))["viewer"]
    assert viewer["actor"].startswith("key:ssk_")
    assert viewer["scopes"] == ["USAGE_READ", "BILLING_READ"]
    assert (viewer["user"], viewer["organization"]) == (None, {"slug": "acme"})


async def test_a_signed_in_person_asks_by_cookie(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    http.cookies.set("session", await signed_in(sessions, org, Role.MEMBER))
    query = "{ viewer { user { email } } organizations { nodes { slug viewerScopes } } }"

    data = (await http.post("/graphql", json={"query": query})).json()["data"]
    assert data["viewer"] == {"user": {"email": "dana@acme.example"}}
    assert data["organizations"]["nodes"] == [
        {"slug": "acme", "viewerScopes": ["USAGE_READ", "BILLING_READ"]}
    ]


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 200),
        ({"Sec-Fetch-Site": "same-origin", "Origin": "http://127.0.0.1:8000"}, 200),
        ({"Origin": "http://127.0.0.1:8000"}, 200),
        ({"Sec-Fetch-Site": "cross-site"}, 403),
        ({"Sec-Fetch-Site": "same-site"}, 403),
        ({"Origin": "https://evil.example"}, 403),
        ({"Origin": "null"}, 403),
        ({"Content-Type": "text/plain"}, 415),
        ({"Content-Type": "application/x-www-form-urlencoded"}, 415),
    ],
)
async def test_another_sites_page_cannot_use_the_cookie(
    http: httpx.AsyncClient,
    sessions: Sessions,
    headers: dict[str, str],
    status: int,
) -> None:
    http.cookies.set("session", await signed_in(sessions, None, None))

    sent = {"Content-Type": "application/json", **headers}
    answer = await http.post("/graphql", content=b'{"query": "{__typename}"}', headers=sent)
    assert answer.status_code == status


async def test_a_session_that_is_over_is_nobodys(
    http: httpx.AsyncClient, sessions: Sessions, clock: Clock
) -> None:
    http.cookies.set("session", await signed_in(sessions, None, None))
    clock.advance(timedelta(days=500))

    assert (await http.post("/graphql", json={"query": "{__typename}"})).status_code == 401
