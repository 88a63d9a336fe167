"""What is sent wrongly gets a clear answer with a stable code; nothing is run."""

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import datetime

import pytest
from graphql import get_introspection_query
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine

from billing.models import Organization
from billing.runtime import Runtime, Sessions
from tests.api.conftest import application
from tests.api.graphql import RESPONSE_TYPE, Graph, a_key
from tests.factories import a_meter, a_plan, a_price, counted, subscribed
from tests.world import NOVEMBER_10

DOUBLING = (
    "{ ...f0 } "
    + " ".join(f"fragment f{i} on Query {{ ...f{i + 1} ...f{i + 1} }}" for i in range(100))
    + " fragment f100 on Query { meters { slug } }"
)


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ("{ viewer {", "GRAPHQL_SYNTAX", "Expected Name"),
        ("{ viewer { nme } }", "VALIDATION", "Cannot query field 'nme'"),
        ("{ ...nowhere }", "VALIDATION", "Unknown fragment 'nowhere'"),
        ("{ ...f } fragment f on Query { ...f }", "VALIDATION", "Cannot spread fragment 'f'"),
        ("query a { __typename } query b { nme }", "VALIDATION", "Cannot query field 'nme'"),
        ("subscription { x }", "VALIDATION", "Only queries and mutations"),
        ("{ " + "n{" * 3 + "x" + "}" * 3 + " }", "VALIDATION", "Cannot query field 'n'"),
        ("{" + "meters{slug} " * 1000 + "}", "GRAPHQL_SYNTAX", "more than 2000 tokens"),
        ("#" * 30_000, "VALIDATION", "20000 are allowed"),
        (" ", "VALIDATION", "`query` is empty"),
        ('{ organization(slug: "a\\u0000") { id } }', "VALIDATION", "U+0000"),
        ('{ organization(slug: "a\\u{0}") { id } }', "VALIDATION", "U+0000"),
        (f"{{ organizations(first: {'9' * 5000}) {{ nodes {{ id }} }} }}", "VALIDATION", "digits"),
        ('{ node(id: "nonsense") { id } }', "VALIDATION", "is not an id of this API"),
        ("{ organization { id } }", "VALIDATION", "Give either slug or id"),
    ],
)
async def test_a_query_that_cannot_be_run(staff: Graph, query: str, code: str, words: str) -> None:
    refusal = (await staff.post(query)).json()["errors"][0]

    assert refusal["extensions"]["code"] == code
    assert words in refusal["message"]
    assert refusal["extensions"]["retryable"] is False


async def test_a_query_costs_points(staff: Graph) -> None:
    query = "{ organizations(first: 10) { nodes { currentCharges { digest } } } }"

    extensions = (await staff.post(query)).json()["extensions"]
    assert extensions["cost"] == {"requested": 10 * (1 + 50 + 1), "maximum": 5_000}


BREAKDOWNS = " ".join(
    f'a{i}: currentCharges {{ by(dimension: "app") {{ shares {{ value }} }} }}' for i in range(30)
)
LINES = "invoices(first: $n) { nodes { lines { steps { kind } } } }"


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ organizations(first: 100) { nodes { currentCharges { digest } } } }", "costs 5200"),
        ("query($n: Int = 15) { organizations(first: $n) { nodes { LINES } } }", "costs"),
        ("query($n: Int!) { organizations(first: $n) { nodes { LINES } } }", "costs"),
        ("{" + " ".join(f"a{i}: viewer {{ actor }}" for i in range(31)) + "}", "31 aliases"),
        ("{ viewer " + "{ user " * 10 + "{ email" + " }" * 11 + " }", "12 levels deep"),
        (DOUBLING, "costs"),
        (f'{{ organization(slug: "acme") {{ {BREAKDOWNS} }} }}', "costs"),
    ],
)
async def test_a_query_that_asks_for_too_much(staff: Graph, query: str, words: str) -> None:
    """Also by fragments that spread the next one twice, a hundred times: each is walked once."""
    answer = (await staff.post(query.replace("LINES", LINES), n=15)).json()

    codes = [error["extensions"]["code"] for error in answer["errors"]]
    assert "COMPLEXITY" in codes
    assert any(words in error["message"] for error in answer["errors"])
    assert "data" not in answer


CREATE = """mutation($amount: Decimal!) { createOneOffItem(input: {
    organization: "acme", description: "x", amount: $amount, currency: USD, idempotencyKey: "k"
}) { item { amount { amount } } userErrors { code reason field } } }""".replace("USD", '"USD"')


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ("12.50", "A Decimal is sent as a string"),
        ("1e400", "A Decimal is sent as a string"),
        ("true", "A Decimal is sent as a string"),
        ('"NaN"', "must be a finite decimal number"),
        ('"Infinity"', "must be a finite decimal number"),
        ('"1e400"', "digits before the point"),
        ('"0.0000000000001"', "digits before the point"),
        ('"1234567890123456"', "digits before the point"),
        ("null", "not to be None"),
    ],
)
async def test_a_number_that_is_no_decimal(
    staff: Graph, org: Organization, sent: str, words: str
) -> None:
    body = f'{{"query": {json.dumps(CREATE)}, "variables": {{"amount": {sent}}}}}'
    headers = {"Authorization": f"Bearer {staff.token}", "Content-Type": "application/json"}
    response = await staff.http.post("/graphql", content=body, headers=headers)

    assert response.status_code == 400
    (error,) = response.json()["errors"]
    assert error["extensions"]["code"] == "VALIDATION"
    assert words in error["message"]


@pytest.mark.parametrize("sent", [3, "3.00", "3e0", "300e-2"])
async def test_a_number_that_is_one(staff: Graph, org: Organization, sent: object) -> None:
    created = (await staff.ask(CREATE, amount=sent))["createOneOffItem"]

    assert created["item"] == {"amount": {"amount": "3.00"}}


@pytest.mark.parametrize("literal", ["1.5", "true", '"NaN"', "[1]"])
async def test_a_float_written_into_the_query_is_refused(staff: Graph, literal: str) -> None:
    query = CREATE.replace("($amount: Decimal!)", "").replace("$amount", literal)

    assert await staff.code(query) == "VALIDATION"


@pytest.mark.parametrize("instant", ["2026-11-01T00:00:00", "2026-11-01", "yesterday"])
async def test_an_instant_says_where_on_earth_it_was(staff: Graph, instant: str) -> None:
    query = """query($at: DateTime!) { organization(slug: "acme") {
        usage(meter: "m", from: $at) { points { start } } } }"""

    refusal = await staff.refusal(query, at=instant)
    assert refusal["extensions"]["code"] == "VALIDATION"
    assert "ISO 8601 with an offset" in refusal["message"]


@pytest.mark.parametrize(
    ("body", "content_type", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b'{"query": 3}', "application/json", 400),
        (b'{"query": "{__typename}", "variables": {"x": NaN}}', "application/json", 400),
        (b'{"query": "{__typename}", "variables": []}', "application/json", 400),
        (b'{"query": "{__typename}", "operationName": "other"}', "application/json", 400),
        (b'{"variables": {}}', "application/json", 400),
        (b'{"query": "\xff"}', "application/json", 400),
        (b'{"query": "x", "variables": ' + b'{"a":' * 9999, "application/json", 400),
        (b"query={__typename}", "application/x-www-form-urlencoded", 415),
        (b"{__typename}", "application/graphql", 415),
        (b" " * (2 * 1024 * 1024 + 1), "application/json", 413),
    ],
)
async def test_a_body_that_is_no_request(
    staff: Graph, body: bytes, content_type: str, status: int
) -> None:
    headers = {"Authorization": f"Bearer {staff.token}", "Content-Type": content_type}
    response = await staff.http.post("/graphql", content=body, headers=headers)

    assert response.status_code == status
    assert response.json()["errors"][0]["extensions"]["code"] == "VALIDATION"


@pytest.mark.parametrize(
    ("accept", "media_type", "status"),
    [
        (None, RESPONSE_TYPE, 400),
        ("*/*", RESPONSE_TYPE, 400),
        (RESPONSE_TYPE, RESPONSE_TYPE, 400),
        (f"{RESPONSE_TYPE}, application/json;q=0.9", RESPONSE_TYPE, 400),
        ("application/json", "application/json", 200),
        ("application/json, text/plain, */*", "application/json", 200),
    ],
)
async def test_the_media_type_decides_whether_the_status_tells(
    staff: Graph, accept: str | None, media_type: str, status: int
) -> None:
    """GraphQL over HTTP: 200 for every well-formed request when only plain JSON is taken."""
    headers = {"Authorization": f"Bearer {staff.token}", "Accept": accept or ""}
    for query, expected in (("{ nme }", status), ("{ __typename }", 200)):
        answer = await staff.http.post("/graphql", json={"query": query}, headers=headers)

        assert answer.headers["content-type"] == f"{media_type}; charset=utf-8"
        assert answer.status_code == expected
        assert ("data" in answer.json()) == (query == "{ __typename }")


async def test_a_number_of_too_many_digits_is_no_fault_of_ours(staff: Graph) -> None:
    query = json.dumps("query($n: Int) { organizations(first: $n) { nodes { id } } }")
    body = f'{{"query": {query}, "variables": {{"n": {"9" * 5000}}}}}'
    headers = {"Authorization": f"Bearer {staff.token}", "Content-Type": "application/json"}
    answer = await staff.http.post("/graphql", content=body, headers=headers)

    assert answer.status_code == 400
    assert answer.json()["errors"][0]["extensions"]["code"] == "VALIDATION"


async def test_a_compressed_body_is_not_read(staff: Graph) -> None:
    headers = {"Authorization": f"Bearer {staff.token}", "Content-Encoding": "gzip"}
    answer = await staff.http.post("/graphql", json={"query": "{x}"}, headers=headers)

    assert answer.status_code == 415


async def test_one_of_several_operations_is_run(staff: Graph) -> None:
    body = {"query": "query a { __typename } query b { meters { slug } }", "operationName": "b"}
    headers = {"Authorization": f"Bearer {staff.token}"}

    answer = await staff.http.post("/graphql", json=body, headers=headers)
    assert answer.json()["data"] == {"meters": []}


async def test_introspection_works_for_who_may_ask(staff: Graph) -> None:
    answer = await staff.ask(get_introspection_query())

    assert answer["__schema"]["queryType"]["name"] == "Query"


async def test_our_bug_is_masked_and_found_again_by_its_id(
    staff: Graph, sessions: Sessions, org: Organization, caplog: pytest.LogCaptureFixture
) -> None:
    async with sessions.begin() as session:
        meter, plan = await a_meter(session), await a_plan(session)
        await a_price(session, plan, {"secret": "not a price"}, meter=meter)
        await subscribed(session, org, plan)
        await counted(session, org.id, meter, 1, NOVEMBER_10)
    query = '{ organization(slug: "acme") { name currentCharges { digest } } }'

    with caplog.at_level(logging.ERROR):
        response = await staff.post(query)
    (error,) = response.json()["errors"]
    request_id = response.headers["x-request-id"]
    assert (response.status_code, response.json()["data"]) == (200, {"organization": None})
    assert error["extensions"] == {
        "code": "INTERNAL",
        "reason": "INTERNAL",
        "retryable": False,
        "requestId": request_id,
    }
    assert "KeyError" not in response.text
    assert request_id in caplog.text
    assert "KeyError" in caplog.text


async def test_our_bug_outside_of_a_query_is_masked_too(
    runtime: Runtime, caplog: pytest.LogCaptureFixture
) -> None:
    async def stopped_clock() -> datetime:
        raise RuntimeError("the secret cause")

    async with application(replace(runtime, now=stopped_clock)) as http:
        response = await Graph(http, "ssk_any").post("{ __typename }")

    assert response.status_code == 500
    assert response.json()["errors"][0]["extensions"]["code"] == "INTERNAL"
    assert "the secret cause" not in response.text
    assert "the secret cause" in caplog.text


@pytest.fixture
async def away(runtime: Runtime) -> AsyncIterator[Runtime]:
    """The same world, but its database is gone."""
    engine = create_async_engine("postgresql+asyncpg://nobody@127.0.0.1:9/nothing")
    yield replace(runtime, engine=engine, sessions=async_sessionmaker(engine))
    await engine.dispose()


async def test_a_database_that_is_away_is_worth_trying_again(
    away: Runtime, sessions: Sessions
) -> None:
    async with application(away) as http:
        response = await Graph(http, await a_key(sessions, "admin")).post("{ meters { slug } }")

    assert response.status_code == 503
    assert response.json()["errors"][0]["extensions"]["retryable"] is True
    assert response.headers["retry-after"]


async def test_a_database_lost_on_the_way_is_worth_trying_again(
    away: Runtime, staff: Graph
) -> None:
    await staff.ask("{ meters { slug } }")  # the key is known from now on
    async with application(away) as http:
        error = await Graph(http, staff.token).refusal("{ meters { slug } }")

    assert (error["extensions"]["code"], error["path"]) == ("UNAVAILABLE", ["meters"])
    assert error["extensions"]["retryable"] is True
