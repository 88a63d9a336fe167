import re

import httpx
import pytest
from starlette.routing import Route

from billing.api_keys import NewKey, create_key
from billing.models import Scope
from billing.runtime import Runtime, Sessions
from tests.web.site import OLGA, Acme, a_person, an_acme, sign_in
from tests.world import NOVEMBER_10
from web.app import create_app

PUBLIC = {"/healthz", "/readyz", "/metrics", "/login", "/logout"}
MACHINES = ("/graphql", "/api/", "/webhooks/", "/static")
TWINS = ["", ".json", ".csv", "/stream", "/invoices", "/invoices.json", "/invoices.csv"]


async def test_every_page_asks_who_it_is(browser: httpx.AsyncClient, runtime: Runtime) -> None:
    paths = {
        route.path
        for route in create_app(runtime).routes
        if isinstance(route, Route)
        and "GET" in (route.methods or ())
        and route.path not in PUBLIC
        and not route.path.startswith(MACHINES)
    }
    assert len(paths) > 12

    for path in paths:
        asked = await browser.get(re.sub(r"{[^}]+}", "1", path))
        assert asked.status_code in {303, 401}, path
        assert asked.headers.get("location", "/login?").startswith("/login?"), path


@pytest.mark.parametrize("twin", ["/stream", ".json", "/invoices.json"])
async def test_what_scripts_read_never_redirects(
    browser: httpx.AsyncClient, acme: Acme, twin: str
) -> None:
    refused = await browser.get(f"{acme.path}{twin}")

    assert refused.status_code == 401
    assert "<html" not in refused.text


@pytest.mark.parametrize("twin", TWINS)
async def test_another_organization_is_as_if_it_were_not_there(
    dana: httpx.AsyncClient, sessions: Sessions, twin: str
) -> None:
    other = await an_acme(sessions, "other")

    theirs = await dana.get(f"{other.path}{twin}")
    nobodys = await dana.get(f"/orgs/nobody/billing{twin}")

    assert theirs.status_code == nobodys.status_code == 404
    assert visible(theirs) == visible(nobodys)


def visible(answer: httpx.Response) -> str:
    """The answer without the token that every page has anew."""
    return answer.text.partition("<main")[2] or answer.text


async def test_a_key_reads_the_twins_of_its_organization(
    browser: httpx.AsyncClient, sessions: Sessions, acme: Acme
) -> None:
    other = await an_acme(sessions, "other")
    async with sessions.begin() as session:
        new = NewKey("reports", [Scope.BILLING_READ], acme.org.id)
        _, token = await create_key(session, new, actor="test", now=NOVEMBER_10)
    browser.headers["Authorization"] = f"Bearer {token}"

    assert (await browser.get(f"{acme.path}.json")).json()["accrued"] == "5.94"
    assert (await browser.get(f"{other.path}.json")).status_code == 404
    browser.headers["Authorization"] = "Bearer ssk_unknown"
    assert (await browser.get(f"{acme.path}.json")).status_code == 401


async def test_ops_is_for_staff(
    dana: httpx.AsyncClient, runtime: Runtime, sessions: Sessions
) -> None:
    for path in ("/ops", "/ops/sync"):
        refused = await dana.get(path)
        assert refused.status_code == 403
        assert "This is for staff" in refused.text

    async with sessions.begin() as session:
        await a_person(session, OLGA, is_ops=True)
    await sign_in(dana, runtime, OLGA)
    page = await dana.get("/ops")
    assert page.status_code == 200
    assert 'href="/orgs/acme/billing"' in page.text
