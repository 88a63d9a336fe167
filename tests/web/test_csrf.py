import httpx
import pytest
from starlette.routing import Route

from billing.runtime import Runtime
from billing.settings import Environment
from tests.web.site import Acme, form_token, sign_in, visiting
from tests.world import in_environment
from web.app import create_app
from web.csrf import FORM_BYTES_MAX

NOT_FORMS = ("/graphql", "/api/", "/webhooks/")
"""Doors for machines: they take no cookie, or ask for a header that forms cannot send."""


async def test_every_form_needs_its_token(runtime: Runtime, acme: Acme) -> None:
    sandbox = in_environment(runtime, Environment.SANDBOX)
    paths = [
        route.path
        for route in create_app(sandbox).routes
        if isinstance(route, Route)
        and "POST" in (route.methods or ())
        and not route.path.startswith(NOT_FORMS)
    ]
    assert set(paths) >= {"/login", "/logout", "/_demo/sign-in"}

    async with visiting(sandbox) as browser:
        await sign_in(browser, sandbox, acme.email)
        for path in paths:
            refused = await browser.post(path, data={"csrf_token": "", "email": acme.email})
            assert refused.status_code == 403, path
            assert "This form is out of date." in refused.text


async def test_a_token_is_of_one_browser_and_one_session(
    dana: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    token = form_token((await dana.get(acme.path)).text)
    await sign_in(dana, runtime, acme.email)

    refused = await dana.post("/logout", data={"csrf_token": token})

    assert refused.status_code == 403


async def test_a_token_sent_from_another_site_is_refused(
    dana: httpx.AsyncClient, acme: Acme
) -> None:
    token = form_token((await dana.get(acme.path)).text)
    refused = await dana.post(
        "/logout", data={"csrf_token": token}, headers={"Sec-Fetch-Site": "cross-site"}
    )

    assert refused.status_code == 403


async def test_tokens_differ_on_every_page_and_all_hold(
    dana: httpx.AsyncClient, acme: Acme
) -> None:
    first = form_token((await dana.get(acme.path)).text)
    second = form_token((await dana.get(acme.path)).text)
    assert first != second, "a page that is compressed must not repeat a secret"

    assert (await dana.post("/logout", data={"csrf_token": first})).status_code == 303


@pytest.mark.parametrize("size", [FORM_BYTES_MAX + 1, 10 * FORM_BYTES_MAX])
async def test_a_form_has_an_end(browser: httpx.AsyncClient, size: int) -> None:
    refused = await browser.post("/login", data={"email": "x" * size})

    assert refused.status_code == 422
    assert "larger than any of ours" in refused.text


async def test_an_empty_cookie_is_no_cookie(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/login", headers={"Cookie": "visitor="})

    assert page.status_code == 200
    assert page.cookies["visitor"]
