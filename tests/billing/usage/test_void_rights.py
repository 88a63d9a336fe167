"""Who may void what, with which reason, and the trace that is left."""

from datetime import datetime, timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest
from sqlalchemy import select

from billing.accounts import COMMAND_LINE, Viewer
from billing.errors import Forbidden, Invalid
from billing.ids import OrgId, UserId, new_id
from billing.models import AuditEntry, Role, Scope, UsageVoid
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.billing.usage.voiding import VOIDED, WHOLE_HOUR, codes, kinds, void


async def test_a_void_leaves_who_why_and_when(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="e2"))
    await void(usage, "e1", "e2", reason="  load test\0 ")

    async with usage.runtime.sessions() as session:
        act = (await session.scalars(select(AuditEntry))).one()
        rows = (await session.scalars(select(UsageVoid))).all()
    assert (act.actor, act.action, act.subject, act.org_id) == (
        *("key:ssk_test", "usage.voided", "acme"),
        usage.acme.id,
    )
    assert act.details == {"events": 2, "reason": "load test\ufffd"}
    assert {(row.actor, row.reason, row.recorded_at) for row in rows} == {
        ("key:ssk_test", "load test\ufffd", usage.clock.at)
    }


async def test_up_to_34_days_for_senders_and_any_age_for_staff(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="e2"))
    limit = datetime.fromisoformat("2026-11-10T13:20:00Z") + timedelta(days=34)
    too_late = limit + timedelta(seconds=1)

    refused = await void(usage, "e1", "nothing", now=too_late)
    assert codes(refused) == [("TOO_OLD_TO_VOID", "id"), ("UNKNOWN_EVENT", "id")]
    assert (await usage.totals())[WHOLE_HOUR] == Decimal(3)

    assert kinds(await void(usage, "e1", now=limit)) == [VOIDED]
    a_year_later = usage.clock.at + timedelta(days=365)
    assert kinds(await void(usage, "e2", viewer=COMMAND_LINE, now=a_year_later)) == [VOIDED]
    assert await usage.totals() == {}


async def test_what_is_not_there_or_not_shaped_like_an_event(usage: Usage) -> None:
    await usage.record(an_event())

    assert codes(await void(usage, "e9", "", "\0", "\ud800", "x" * 256)) == [
        ("UNKNOWN_EVENT", "id"),
        *[("INVALID_EVENT", "id")] * 4,
    ]
    assert codes(await void(usage, "e1", source="other")) == [("UNKNOWN_EVENT", "id")]
    [unknown] = await void(usage, "e1", subject="acne")
    assert (unknown.code, unknown.field, unknown.did_you_mean) == (
        *("UNKNOWN_ORGANIZATION", "subject"),
        "acme",
    )
    assert await void(usage) == []


async def test_who_may_void(usage: Usage) -> None:
    await usage.record(an_event(), an_event(subject="globex"))

    with pytest.raises(Forbidden, match="usage:write"):
        await void(usage, "e1", viewer=a_key(None, Scope.USAGE_READ))
    bound = a_key(usage.globex.id)
    assert codes(await void(usage, "e1", viewer=bound)) == [("UNKNOWN_ORGANIZATION", "subject")]
    reader = a_person({usage.acme.id: Role.READONLY})
    assert codes(await void(usage, "e1", viewer=reader)) == [("FORBIDDEN", None)]

    assert (await usage.totals())[WHOLE_HOUR] == Decimal("1.5")
    assert kinds(await void(usage, "e1", subject="globex", viewer=bound)) == [VOIDED]


def a_person(roles: dict[OrgId, Role]) -> Viewer:
    return Viewer(
        actor="user:dana",
        scopes=frozenset(),
        roles=MappingProxyType(roles),
        org_id=None,
        user_id=UserId(new_id()),
        is_ops=False,
    )


@pytest.mark.parametrize("reason", ["", " \n", "x" * 501])
async def test_a_reason_is_needed(usage: Usage, reason: str) -> None:
    await usage.record(an_event())
    with pytest.raises(Invalid) as refused:
        await void(usage, "e1", reason=reason)
    assert refused.value.field == "reason"
    assert (await usage.totals())[WHOLE_HOUR] == Decimal("1.5")
