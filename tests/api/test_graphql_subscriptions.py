"""Staff change what an organization is on: each change with its effect, or only that."""

from typing import Any

import httpx
import pytest

from billing.models import Organization
from billing.runtime import Sessions
from tests.api.graphql import Graph, a_key
from tests.factories import a_meter, a_plan, a_price
from tests.world import Clock

ERRORS = "userErrors { code reason field }"
EFFECT = """effect {
    before { amount } after { amount } offCycle { amount } difference { amount }
    lines { before { key } after { key kind } difference { amount } }
}"""
SHOWN = "plan planName startsAt endsAt trialEndsAt"


def asks(mutation: str, answered: str) -> str:
    kind = mutation[0].upper() + mutation[1:]
    return (
        f"mutation($input: {kind}Input!) {{ {mutation}(input: $input)"
        f" {{ {answered} {EFFECT} {ERRORS} }} }}"
    )


START, CHANGE, CANCEL, RESUME = (
    asks(f"{verb}Subscription", f"subscription {{ {SHOWN} }}")
    for verb in ("start", "change", "cancel", "resume")
)
OVERRIDE = asks("overridePrice", "override { version price effectiveFrom terms reason }")
END_OVERRIDE = asks("endPriceOverride", "override { version terms }")
CLOSE = asks("closeOrganization", "organization { slug } closedAt")
LISTED = f"""query($ended: Boolean!) {{ organization(slug: "acme") {{
    subscriptions(alsoEnded: $ended) {{ {SHOWN} priceOverrides {{ version terms }} }}
}} }}"""
PRO = {"organization": "acme", "plan": "pro"}
NOVEMBER_16 = "2026-11-16T00:00:00Z"


@pytest.fixture(autouse=True)
async def sold(sessions: Sessions, org: Organization) -> None:
    async with sessions.begin() as session:
        meter = await a_meter(session)
        for slug, fee in (("pro", "30.00"), ("max", "60.00")):
            plan = await a_plan(session, slug)
            terms = {"model": "FLAT", "amount": fee, "timing": "ADVANCE"}
            await a_price(session, plan, terms, slug="base")
            terms = {"model": "PER_UNIT", "unit_amount": "0.10"}
            await a_price(session, plan, terms, meter=meter, slug="egress")


async def do(graph: Graph, mutation: str, **input: Any) -> dict[str, Any]:
    ((_, payload),) = (await graph.ask(mutation, input=input)).items()
    assert isinstance(payload, dict)
    return payload


async def listed(graph: Graph, *, ended: bool = False) -> list[dict[str, Any]]:
    found = (await graph.ask(LISTED, ended=ended))["organization"]["subscriptions"]
    assert isinstance(found, list)
    return found


async def test_a_preview_tells_and_does_nothing(staff: Graph) -> None:
    asked = PRO | {"startsAt": "2026-11-01T00:00:00Z"}
    tried = await do(staff, START, **asked, preview=True)
    left = await listed(staff, ended=True)
    done = await do(staff, START, **asked)

    assert tried == done
    assert left == []
    assert done["subscription"]["startsAt"] == "2026-11-01T00:00:00Z"
    assert done["effect"] == {
        "before": {"amount": "0.00"},
        "after": {"amount": "30.00"},
        "offCycle": {"amount": "30.00"},
        "difference": {"amount": "60.00"},
        "lines": [
            {
                "before": None,
                "after": {"key": "pro/base/USD@1", "kind": "FEE_IN_ADVANCE"},
                "difference": {"amount": "30.00"},
            }
        ],
    }


async def test_a_plan_is_changed_cancelled_and_resumed(staff: Graph) -> None:
    await do(staff, START, **PRO, startsAt="2026-11-01T00:00:00Z")
    max_ = {"organization": "acme", "plan": "max"}
    changed = await do(staff, CHANGE, **max_, fromPlan="pro", at="2026-11-15T23:01:00Z")
    pending = await do(staff, CANCEL, **PRO)
    resumed = await do(staff, RESUME, **PRO)
    cancelled = await do(staff, CANCEL, **PRO)

    assert changed["subscription"]["startsAt"] == NOVEMBER_16
    assert changed["effect"]["difference"] == {"amount": "45.00"}
    assert pending["userErrors"] == [
        {"code": "CONFLICT", "reason": "CHANGE_PENDING", "field": ["input", "plan"]}
    ]
    assert pending["effect"] is None
    assert resumed["effect"]["difference"] == {"amount": "-45.00"}
    assert cancelled["subscription"]["endsAt"] == "2026-12-01T00:00:00Z"
    assert [x["plan"] for x in await listed(staff)] == ["pro"]


async def test_a_trial_is_shown(staff: Graph) -> None:
    started = await do(staff, START, **PRO, trialEndsAt="2026-12-24T12:30:00Z")

    assert started["subscription"]["trialEndsAt"] == "2026-12-24T13:00:00Z"
    assert started["effect"]["offCycle"] is None
    assert started["effect"]["difference"] == {"amount": "0.00"}


async def test_an_organization_has_a_price_of_its_own(staff: Graph) -> None:
    await do(staff, START, **PRO)
    terms = {
        "model": "GRADUATED",
        "tiers": [{"upTo": "100", "unitAmount": "0.08"}, {"unitAmount": "0.0500"}],
        "included": "10",
    }
    price = PRO | {"price": "egress", "reason": "as agreed"}
    made = await do(staff, OVERRIDE, **price, terms=terms)
    wrong = await do(staff, OVERRIDE, **price, terms={"model": "GRADUATED", "tiers": []})
    ended = await do(staff, END_OVERRIDE, **price, effectiveFrom=NOVEMBER_16)

    assert made["override"] == {
        "version": "pro/egress/USD@acme-1",
        "price": "egress",
        "effectiveFrom": "2026-11-10T14:00:00Z",
        "terms": "10 included, then 0.08 up to 100, then 0.05 USD a unit",
        "reason": "as agreed",
    }
    assert wrong["userErrors"] == [
        {"code": "VALIDATION", "reason": "INVALID_PRICE", "field": ["input", "terms", "tiers"]}
    ]
    assert ended["override"] == {"version": "pro/egress/USD@acme-2", "terms": None}
    (subscription,) = await listed(staff)
    assert [x["version"] for x in subscription["priceOverrides"]] == [
        "pro/egress/USD@acme-1",
        "pro/egress/USD@acme-2",
    ]


async def test_books_are_closed(staff: Graph, clock: Clock) -> None:
    await do(staff, START, **PRO, startsAt="2026-11-01T00:00:00Z")
    closed = await do(staff, CLOSE, organization="acme", at=NOVEMBER_16)
    clock.at = clock.at.replace(day=17)

    assert (closed["organization"], closed["closedAt"]) == ({"slug": "acme"}, NOVEMBER_16)
    assert closed["effect"]["difference"] == {"amount": "-30.00"}  # 15.00 of it becomes credit
    assert await listed(staff) == []
    assert [x["endsAt"] for x in await listed(staff, ended=True)] == [NOVEMBER_16]


async def test_only_staff_change_and_only_readers_see(
    http: httpx.AsyncClient, sessions: Sessions, org: Organization
) -> None:
    writer = Graph(http, await a_key(sessions, "billing:write", "billing:read", org=org))
    meters_only = Graph(http, await a_key(sessions, "usage:read", org=org))

    assert await writer.code(START, input=PRO | {"preview": True}) == "FORBIDDEN"
    assert await listed(writer) == []
    assert await meters_only.code(LISTED, ended=False) == "FORBIDDEN"
