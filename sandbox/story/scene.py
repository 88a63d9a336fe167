"""The doors the story goes through: pages as a person, the API as an app, Stripe's control door."""

import re
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Self

import httpx
from sqlalchemy import func, select

from billing.api_keys import NewKey, create_key
from billing.models import Outcome, Scope, StripeEvent
from billing.runtime import Runtime
from sandbox.deployment import Deployment
from sandbox.fleet import Usage
from sandbox.simulator import BATCH_TYPE, PATH
from sandbox.story.teller import Unproven, expect
from sandbox.supervisor import Supervisor

DANA = "dana@acme.example"
_CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')
_HEADLINE = re.compile(r'id="mtd"[^>]*><data[^>]*>\$([\d,.]+)<')
_BANNER = re.compile(r'class="banner"[^>]*>\s*<strong>([^<]+)</strong>')
_PATIENCE_SECONDS = 30.0

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Charges:
    """What GraphQL says an organization owes: accrued and total in major units."""

    accrued: str
    total: str
    digest: str


@dataclass(slots=True)
class Scene:
    """Everything is up, Dana is signed in at her browser, and an app has a key."""

    deployment: Deployment
    runtime: Runtime
    supervisor: Supervisor
    said: Sequence[str]
    browser: httpx.AsyncClient = field(init=False)
    app: httpx.AsyncClient = field(init=False)
    _open: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def __aenter__(self) -> Self:
        base = self.deployment.base_url
        self.browser = await self._open.enter_async_context(_client(base))
        headers = {"Authorization": f"Bearer {await self._key()}"}
        self.app = await self._open.enter_async_context(_client(base, headers))
        token = _found(_CSRF, await self.page("/login"), "a form")
        form = {"csrf_token": token, "email": DANA}
        response = await self.browser.post("/_demo/sign-in", data=form)
        expect("signing in", 303, response.status_code)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()

    async def _key(self) -> str:
        now = await self.runtime.now()
        async with self.runtime.sessions.begin() as session:
            _, token = await create_key(
                session, NewKey("story", [Scope.ADMIN]), actor="sandbox", now=now
            )
        return token

    async def page(self, path: str) -> str:
        """A page as Dana's browser gets it."""
        response = await self.browser.get(path)
        expect(f"GET {path}", 200, response.status_code)
        return response.text

    async def headline(self) -> str:
        """What Acme's page says that it owes, in major units."""
        return _found(_HEADLINE, await self.page("/orgs/acme/billing"), "a headline").replace(
            ",", ""
        )

    async def banner(self) -> str | None:
        """What the notice on Acme's page says, if there is one."""
        found = _BANNER.search(await self.page("/orgs/acme/billing"))
        return found.group(1) if found else None

    async def estimate(self, slug: str = "acme") -> Fields:
        """The page's JSON twin."""
        response = await self.app.get(f"/orgs/{slug}/billing.json")
        expect(f"{slug}'s JSON", 200, response.status_code)
        return dict(response.json())

    async def ask(self, query: str, variables: Mapping[str, Any] | None = None) -> Fields:
        """GraphQL's answer. Raises `Unproven` for any error."""
        asked = {"query": query, "variables": dict(variables or {})}
        answer = (await self.app.post("/graphql", json=asked)).json()
        errors = answer.get("errors") or [
            error
            for payload in (answer.get("data") or {}).values()
            if isinstance(payload, dict)
            for error in payload.get("userErrors", [])
        ]
        if errors:
            raise Unproven(f"GraphQL: {errors}")
        return dict(answer["data"])

    async def charges(self) -> dict[str, Charges]:
        """What everybody owes now, by slug."""
        answer = await self.ask(
            "{organizations(first: 10) {nodes {slug currentCharges"
            " {accrued {amount} total {amount} digest}}}}"
        )
        return {node["slug"]: _charges(node) for node in answer["organizations"]["nodes"]}

    async def invoices(self) -> list[Fields]:
        """Everybody's newest invoices, each with its organization's slug."""
        answer = await self.ask(
            "{organizations(first: 10) {nodes {slug invoices(first: 10) {nodes {number kind status"
            " digest total {amount} period {start} stripe {syncState}}}}}}"
        )
        return [
            {"slug": node["slug"], **invoice}
            for node in answer["organizations"]["nodes"]
            for invoice in node["invoices"]["nodes"]
        ]

    async def send(self, usage: Sequence[Usage]) -> list[str]:
        """Events over HTTP, as any app sends them. Answers their verdicts, none of them refused."""
        response = await self.app.post(
            PATH,
            json=[one.cloud_event() for one in usage],
            headers={"Content-Type": BATCH_TYPE, "Prefer": "return=representation"},
        )
        if response.status_code != httpx.codes.OK:
            raise Unproven(f"usage was answered {response.status_code}: {response.text[:300]}")
        return [event["verdict"] for event in response.json()["events"]]

    async def order(self, orders: Mapping[str, object]) -> None:
        """Set the fake Stripe's knobs."""
        response = await self.browser.post(f"{self.deployment.stripe_url}/_control", json=orders)
        expect("Stripe's control door", 200, response.status_code)

    async def held_by_stripe(self) -> dict[str, int]:
        """How many invoices of each status the fake holds, asked behind its back."""
        response = await self.browser.get(f"{self.deployment.stripe_url}/_control")
        return dict(response.json()["invoices"])

    async def webhooks_handled(self) -> int:
        """How many of Stripe's events have made us look."""
        handled = StripeEvent.outcome == Outcome.PROCESSED
        async with self.runtime.sessions() as session:
            counted = select(func.count()).select_from(StripeEvent).where(handled)
            return await session.scalar(counted) or 0

    async def now(self) -> datetime:
        """The sandbox's clock."""
        return await self.runtime.now()


def _client(base: str, headers: Mapping[str, str] | None = None) -> httpx.AsyncClient:
    return httpx.AsyncClient(
        base_url=base, headers=headers, timeout=_PATIENCE_SECONDS, trust_env=False
    )


def _found(pattern: re.Pattern[str], html: str, what: str) -> str:
    found = pattern.search(html)
    if found is None:
        raise Unproven(f"expected {what} on the page, got none")
    return found.group(1)


def _charges(node: Fields) -> Charges:
    current = node["currentCharges"]
    return Charges(current["accrued"]["amount"], current["total"]["amount"], current["digest"])
