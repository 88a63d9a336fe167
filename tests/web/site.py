"""The real site over real HTTP, and people who visit it."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import (
    COMMAND_LINE,
    NewUser,
    add_member,
    create_user,
    get_user_by_email,
)
from billing.models import Organization, Role
from billing.runtime import Runtime, Sessions
from billing.sign_in import sign_in_as
from billing.usage import IncomingEvent, NumberText, record_usage
from sandbox.stripe.server import serving
from tests.factories import (
    DECEMBER,
    EGRESS,
    a_meter,
    a_plan,
    a_price,
    an_organization,
    counted,
    subscribed,
)
from tests.world import NOVEMBER_10
from web.app import create_app
from web.cookies import SESSION

FEE = {"model": "FLAT", "amount": "29.00", "timing": "ADVANCE"}
PASSWORD = "correct horse battery"
OLGA = "olga@platform.example"
_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


@dataclass(frozen=True, slots=True)
class Acme:
    """An organization with worked example 4 on its bill, and its owner's address."""

    org: Organization
    meter: str
    email: str

    @property
    def path(self) -> str:
        """Its billing page."""
        return f"/orgs/{self.org.slug}/billing"


@asynccontextmanager
async def visiting(runtime: Runtime) -> AsyncIterator[httpx.AsyncClient]:
    """A browser with an empty cookie jar, at the site of this runtime; it follows nothing."""
    async with (
        serving(create_app(runtime)) as url,
        httpx.AsyncClient(base_url=url, timeout=20) as browser,
    ):
        yield browser


USAGE = (
    (2, "301.2", {"app": "api", "region": "fra"}),
    (3, "98", {"app": "worker", "region": "fra"}),
    (9, "13.4", {"region": "syd"}),
)
"""November's days, gigabytes and what they are of."""


async def an_acme(
    sessions: Sessions,
    key: str = "acme",
    usage: Iterable[tuple[int, str, dict[str, str]]] = USAGE,
) -> Acme:
    """412.6 GB of egress over two apps and what is tied to none; 29.00 a month in advance."""
    async with sessions.begin() as session:
        org = await an_organization(session, key=key)
        meter = await a_meter(session, f"{key}_egress")
        plan = await a_plan(session, f"{key}-pro")
        await a_price(session, plan, EGRESS, meter=meter, slug="egress")
        await a_price(session, plan, FEE, slug="base")
        await subscribed(session, org, plan, free_until=DECEMBER)
        for day, quantity, dimensions in usage:
            at = datetime(2026, 11, day, 12, tzinfo=UTC)
            await counted(session, org.id, meter, quantity, at, **dimensions)
        email = await a_person(session, f"dana@{key}.example", org)
    return Acme(org, meter.slug, email)


async def a_person(
    session: AsyncSession,
    email: str,
    *orgs: Organization,
    password: str | None = None,
    is_ops: bool = False,
) -> str:
    """Somebody's address; an owner of `orgs`."""
    new = NewUser(email, "Dana", password, is_ops)
    user = await create_user(session, new, actor="test", now=NOVEMBER_10)
    for org in orgs:
        await add_member(session, org, user, Role.OWNER, actor="test", now=NOVEMBER_10)
    return email


async def sign_in(browser: httpx.AsyncClient, runtime: Runtime, email: str) -> str:
    """Give the browser a session of that person; its token."""
    async with runtime.sessions.begin() as session:
        user = await get_user_by_email(session, email)
        token = await sign_in_as(session, user.id, await runtime.now())
    browser.cookies.set(SESSION, token)
    return token


async def use(
    runtime: Runtime, acme: Acme, gigabytes: str, event_id: str, **dimensions: str
) -> None:
    """Send usage through the front door, as an app would."""
    now = await runtime.now()
    event = IncomingEvent(
        id=event_id,
        source="test",
        type=acme.meter,
        subject=acme.org.key,
        time=now,
        data={"value": NumberText(gigabytes), **dimensions},
    )
    verdicts = await record_usage(runtime, [event], viewer=COMMAND_LINE, now=now)
    assert [one.message for one in verdicts] == [None]


def form_token(html: str) -> str:
    """The token of the page's first form."""
    found = _TOKEN.search(html)
    assert found, "the page has no form"
    return found[1]


def text_of(html: str) -> str:
    """What a person reads of it, on one line; entities as they are."""
    without_tags = re.sub(r"<[^>]+>", " ", re.sub(r"<title>.*?</title>", "", html))
    return " ".join(without_tags.replace("\u00a0", " ").split())
