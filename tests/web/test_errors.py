from dataclasses import replace

import httpx
import pytest
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from billing.runtime import Runtime
from sandbox.stripe.server import serving
from tests.web.site import Acme, visiting
from web.app import create_app
from web.cookies import SESSION
from web.security import CONTENT_SECURITY_POLICY

SECRET = "the password is swordfish"


async def broken(_request: Request) -> Response:
    raise ValueError(SECRET)


@pytest.mark.parametrize("path", ["/broken", "/broken.json", "/broken/stream"])
async def test_our_faults_are_never_shown(
    runtime: Runtime, path: str, capfd: pytest.CaptureFixture[str]
) -> None:
    app = create_app(runtime, [Route(path, broken)])
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as browser:
        answer = await browser.get(path)
        told = (await browser.get("/metrics")).text

    assert answer.status_code == 500
    assert "The fault is ours and has been recorded." in answer.text
    assert "swordfish" not in answer.text
    assert "Traceback" not in answer.text
    assert answer.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
    assert SECRET in capfd.readouterr().err, "but they are logged"
    assert f'route="{path}",status="500"' in told


async def test_a_page_that_is_not_there(browser: httpx.AsyncClient) -> None:
    page = await browser.get("/nothing")
    fragment = await browser.get("/nothing", headers={"HX-Request": "true"})
    data = await browser.get("/nothing.json")

    assert page.status_code == fragment.status_code == data.status_code == 404
    assert "<h1>There is nothing here</h1>" in page.text
    assert "<" not in fragment.text, "never a page within a page"
    assert data.json()["code"] == "NOT_FOUND"


async def test_the_wrong_method_says_so(dana: httpx.AsyncClient, acme: Acme) -> None:
    refused = await dana.post(acme.path)

    assert refused.status_code == 405
    assert refused.headers["allow"] in {"GET, HEAD", "HEAD, GET"}
    assert "This address cannot be used that way" in refused.text


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_the_api_is_answered_in_problems(browser: httpx.AsyncClient, method: str) -> None:
    refused = await browser.request(method, "/api/v1/nothing")

    assert refused.headers["content-type"] == "application/problem+json"
    assert refused.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": "Nothing matches the given URI.",
        "code": "NOT_FOUND",
    }


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "nowhere.invalid"])
async def test_a_database_out_of_reach_is_no_fault_of_ours(runtime: Runtime, host: str) -> None:
    engine = create_async_engine(f"postgresql+asyncpg://nobody@{host}:9/nothing")
    away = replace(runtime, engine=engine, sessions=async_sessionmaker(engine))
    async with visiting(away) as browser:
        browser.cookies.set(SESSION, "some")
        page = await browser.get("/ops")

    assert page.status_code == 503
    assert "Our database does not answer." in page.text


async def test_a_file_that_is_missing_is_not_the_database(runtime: Runtime) -> None:
    async def missing(_request: Request) -> Response:
        raise FileNotFoundError(2, "No such file", "logo.svg")

    app = create_app(runtime, [Route("/missing", missing)])
    async with serving(app) as url, httpx.AsyncClient(base_url=url) as browser:
        assert (await browser.get("/missing")).status_code == 500
