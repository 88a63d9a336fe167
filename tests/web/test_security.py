from dataclasses import replace

import httpx
import pytest

from billing.runtime import Runtime
from tests.web.site import Acme, visiting
from web.assets import static_url

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


@pytest.mark.parametrize("path", ["/login", "/orgs/acme/billing", "/nothing", "/healthz"])
async def test_every_answer_forbids_what_we_never_need(dana: httpx.AsyncClient, path: str) -> None:
    headers = (await dana.get(path)).headers

    assert headers["content-security-policy"] == CSP
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"
    assert headers["cache-control"] == "no-store"
    assert "strict-transport-security" not in headers, "this site is http"


async def test_https_is_kept(runtime: Runtime) -> None:
    settings = replace(runtime.settings, base_url="https://billing.example")
    async with visiting(replace(runtime, settings=settings)) as browser:
        answer = await browser.get("/login")

    assert "max-age=31536000" in answer.headers["strict-transport-security"]
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_pages_are_compressed(dana: httpx.AsyncClient, acme: Acme) -> None:
    page = await dana.get(acme.path, headers={"Accept-Encoding": "gzip"})

    assert page.headers["content-encoding"] == "gzip"


@pytest.mark.parametrize(
    "path", ["app.css", "app.js", "polls.js", "icon.svg", "vendor/htmx-4.0.1/htmx.min.js"]
)
async def test_files_are_kept_for_ever_under_the_address_of_their_content(
    browser: httpx.AsyncClient, path: str
) -> None:
    file = await browser.get(static_url(path))

    assert file.status_code == 200
    assert file.headers["cache-control"] == "public, max-age=31536000, immutable"


async def test_files_under_another_address_are_asked_for_again(browser: httpx.AsyncClient) -> None:
    for address in ("/static/app.css", "/static/app.css?v=of-a-later-release"):
        assert (await browser.get(address)).headers["cache-control"] == "public, no-cache"
    assert (await browser.get("/static/../app.py")).status_code == 404
    assert (await browser.get("/static/%2e%2e/app.py")).status_code == 404


async def test_a_detour_to_a_file_is_that_file(browser: httpx.AsyncClient) -> None:
    for detour in ("x/%2e%2e/app.css", "%2e/app.css", "/app.css"):
        file = await browser.get(f"/static/{detour}?v=1")
        assert (file.status_code, file.headers["cache-control"]) == (200, "public, no-cache")
