import httpx
import pytest

from billing.runtime import Runtime, Sessions
from billing.settings import Environment
from tests.web.site import PASSWORD, Acme, a_person, form_token, sign_in, visiting
from tests.world import in_environment
from web.cookies import SESSION


async def submit(browser: httpx.AsyncClient, path: str, **fields: str) -> httpx.Response:
    """Send the form of the sign-in page."""
    token = form_token((await browser.get("/login")).text)
    return await browser.post(path, data={"csrf_token": token, **fields})


@pytest.fixture
async def eve(sessions: Sessions, acme: Acme) -> str:
    async with sessions.begin() as session:
        return await a_person(session, "eve@acme.example", acme.org, password=PASSWORD)


async def test_somebody_signs_in_sees_their_bill_and_signs_out(
    browser: httpx.AsyncClient, acme: Acme, eve: str
) -> None:
    asked = await browser.get(f"{acme.path}?group=region")
    assert (asked.status_code, asked.headers["location"]) == (
        303,
        "/login?next=/orgs/acme/billing%3Fgroup%3Dregion",
    )
    form = (await browser.get(asked.headers["location"])).text
    assert 'name="next" value="/orgs/acme/billing?group=region"' in form

    inside = await submit(
        browser, "/login", email=eve, password=PASSWORD, next=f"{acme.path}?group=region"
    )
    assert (inside.status_code, inside.headers["location"]) == (303, f"{acme.path}?group=region")
    page = await browser.get(inside.headers["location"])
    assert page.status_code == 200
    assert (await browser.get("/login")).headers["location"] == "/", "signed in already"

    token = browser.cookies[SESSION]
    out = await browser.post("/logout", data={"csrf_token": form_token(page.text)})
    assert out.headers["location"] == "/login"
    browser.cookies.set(SESSION, token)
    assert (await browser.get(acme.path)).status_code == 303, "the session itself is over"


async def test_wrong_credentials_show_the_form_again(browser: httpx.AsyncClient, eve: str) -> None:
    refused = await submit(browser, "/login", email=eve, password="a guess", next="/ops")

    assert refused.status_code == 422
    assert "The e-mail or the password is wrong." in refused.text
    assert f'value="{eve}"' in refused.text
    assert 'name="next" value="/ops"' in refused.text
    assert SESSION not in browser.cookies


@pytest.mark.parametrize(
    "wanted",
    [
        "https://evil.example/",
        "//evil.example/",
        "///evil.example/",
        "/\\evil.example/",
        "/\t/evil.example/",
        "javascript:alert(1)",
        "",
    ],
)
async def test_signing_in_leads_nowhere_else(
    browser: httpx.AsyncClient, eve: str, wanted: str
) -> None:
    inside = await submit(browser, "/login", email=eve, password=PASSWORD, next=wanted)

    assert inside.headers["location"] == "/"


async def test_the_session_cookie_is_out_of_reach(runtime: Runtime, eve: str) -> None:
    async with visiting(runtime) as browser:
        inside = await submit(browser, "/login", email=eve, password=PASSWORD)

    cookie = inside.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
    assert "secure" not in cookie, "this site is http"


async def test_one_click_exists_in_the_sandbox_only(
    browser: httpx.AsyncClient, runtime: Runtime, acme: Acme
) -> None:
    assert "Or look around as" not in (await browser.get("/login")).text
    assert (await submit(browser, "/_demo/sign-in", email=acme.email)).status_code == 404

    async with visiting(in_environment(runtime, Environment.SANDBOX)) as demo:
        assert f'value="{acme.email}"' in (await demo.get("/login")).text
        inside = await submit(demo, "/_demo/sign-in", email=acme.email, next=acme.path)
        assert inside.headers["location"] == acme.path
        assert (await demo.get(acme.path)).status_code == 200


async def test_one_click_is_for_the_people_of_the_demo(
    runtime: Runtime, sessions: Sessions
) -> None:
    async with sessions.begin() as session:
        await a_person(session, "boss@company.com")

    async with visiting(in_environment(runtime, Environment.SANDBOX)) as demo:
        refused = await submit(demo, "/_demo/sign-in", email="boss@company.com")

    assert refused.status_code == 403
    assert SESSION not in demo.cookies


async def test_home_is_the_one_organization_or_a_choice(
    browser: httpx.AsyncClient, runtime: Runtime, sessions: Sessions, acme: Acme
) -> None:
    await sign_in(browser, runtime, acme.email)
    assert (await browser.get("/")).headers["location"] == acme.path

    async with sessions.begin() as session:
        nobody = await a_person(session, "nobody@acme.example")
        staff = await a_person(session, "olga@platform.example", is_ops=True)
    await sign_in(browser, runtime, nobody)
    assert "You do not belong to an organization yet." in (await browser.get("/")).text
    await sign_in(browser, runtime, staff)
    assert f'href="{acme.path}"' in (await browser.get("/")).text
