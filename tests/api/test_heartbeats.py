"""`POST /api/v1/heartbeats`: what is taken, and every refusal with its code and field."""

import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import httpx
import pytest
from sqlalchemy import select, text

from billing.accounts import NewUser, create_user
from billing.ids import OrgId
from billing.models import Organization, UsageControlTotal, UsageHeartbeat
from billing.runtime import Sessions
from billing.sign_in import sign_in_as
from tests.api.graphql import a_key
from tests.factories import a_meter
from tests.world import NOVEMBER_10, Clock

MIB = 1024 * 1024
THROUGH = "2026-11-10T13:58:00Z"
HOUR = {"hour": "2026-11-10T12:00:00Z", "meter": "egress_gb", "count": 12, "sum": "84.5"}


def a_heartbeat(**changes: object) -> dict[str, object]:
    """One of the source edge, unless told otherwise."""
    return {"source": "edge", "through": THROUGH, "hours": [HOUR], **changes}


@dataclass(frozen=True, slots=True)
class Door:
    """The endpoint, asked with one key; and what came through it."""

    http: httpx.AsyncClient
    token: str
    sessions: Sessions

    async def post(self, body: object, media_type: str = "application/json") -> httpx.Response:
        """Bytes and text are sent as they are, everything else as JSON."""
        return await self.http.post(
            "/api/v1/heartbeats",
            content=body if isinstance(body, bytes | str) else json.dumps(body),
            headers={"Authorization": f"Bearer {self.token}", "Content-Type": media_type},
        )

    async def heartbeats(self) -> list[tuple[str, OrgId | None, datetime]]:
        """Everything said of `through`."""
        async with self.sessions() as session:
            rows = await session.scalars(select(UsageHeartbeat).order_by(UsageHeartbeat.id))
            return [(row.source, row.org_id, row.through) for row in rows]

    async def totals(self) -> list[UsageControlTotal]:
        async with self.sessions() as session:
            by_hour = select(UsageControlTotal).order_by(UsageControlTotal.hour)
            return list(await session.scalars(by_hour))


@pytest.fixture
async def door(http: httpx.AsyncClient, org: Organization, sessions: Sessions) -> Door:
    async with sessions.begin() as session:
        await a_meter(session)
    return Door(http, await a_key(sessions, "usage:write"), sessions)


async def test_a_heartbeat_is_taken(door: Door) -> None:
    answer = await door.post(a_heartbeat(), "application/json; charset=utf-8")

    assert (answer.status_code, answer.content) == (204, b"")
    through = datetime(2026, 11, 10, 13, 58, tzinfo=UTC)
    assert await door.heartbeats() == [("edge", None, through)]
    [total] = await door.totals()
    assert (total.source, total.org_id) == ("edge", None)
    assert total.hour == datetime(2026, 11, 10, 12, tzinfo=UTC)
    assert (total.event_count, total.total) == (12, Decimal("84.5"))
    assert (total.is_same, total.counted_events, total.checked_at) == (False, None, None)
    assert total.next_check_at == total.recorded_at == NOVEMBER_10


async def test_hours_may_be_left_out_and_an_hour_may_be_under_way(door: Door) -> None:
    under_way = {**HOUR, "hour": "2026-11-10T15:00:00+01:00"}

    answers = [
        await door.post({"source": "edge", "through": THROUGH}),
        await door.post(a_heartbeat(hours=None)),
        await door.post(a_heartbeat(hours=[under_way])),
    ]

    assert [answer.status_code for answer in answers] == [204] * 3
    [total] = await door.totals()
    assert total.hour == NOVEMBER_10
    assert total.next_check_at == NOVEMBER_10 + timedelta(hours=1), "when it is over"


async def test_through_never_goes_backwards(door: Door) -> None:
    for time in ("13:30:00", "13:58:00", "13:00:00", "13:57:59.999999"):
        answer = await door.post(a_heartbeat(through=f"2026-11-10T{time}Z"))
        assert answer.status_code == 204

    assert await door.heartbeats() == [("edge", None, datetime(2026, 11, 10, 13, 58, tzinfo=UTC))]


async def test_a_bound_key_speaks_for_its_organization_alone(
    door: Door, org: Organization, sessions: Sessions
) -> None:
    bound = replace(door, token=await a_key(sessions, "usage:write", org=org))

    assert (await door.post(a_heartbeat())).status_code == 204
    assert (await bound.post(a_heartbeat(through="2026-11-10T11:00:00Z"))).status_code == 204

    assert {(source, org_id) for source, org_id, _ in await door.heartbeats()} == {
        ("edge", None),
        ("edge", org.id),
    }
    assert {total.org_id for total in await door.totals()} == {None, org.id}


async def test_sums_stay_exact(door: Door) -> None:
    for literal in ("123456789012345.000000000001", "1.5E+3", '"0.100000000000"', "0"):
        body = json.dumps(a_heartbeat(hours=[{**HOUR, "sum": "?"}])).replace('"?"', literal)
        assert (await door.post(body)).status_code == 204, literal
        [total] = await door.totals()
        assert total.total == Decimal(literal.strip('"'))


async def test_resending_is_safe_and_other_totals_replace(
    door: Door, sessions: Sessions, clock: Clock
) -> None:
    await door.post(a_heartbeat())
    async with sessions.begin() as session:
        await session.execute(
            text(
                "UPDATE usage_control_totals SET is_same = true, counted_events = 12,"
                " counted_total = 84.5, checked_at = now(), next_check_at = NULL"
            )
        )
    clock.advance(timedelta(minutes=1))

    await door.post(a_heartbeat(hours=[{**HOUR, "sum": "84.500", "count": "12"}]))
    [same] = await door.totals()
    assert (same.is_same, same.recorded_at) == (True, NOVEMBER_10)

    await door.post(a_heartbeat(hours=[{**HOUR, "sum": "84.6"}]))
    [other] = await door.totals()
    assert other.id == same.id
    assert (other.total, other.is_same) == (Decimal("84.6"), False)
    assert (other.counted_events, other.counted_total, other.checked_at) == (None, None, None)
    assert other.next_check_at == other.recorded_at == clock.at


def hours(**changes: object) -> dict[str, object]:
    """A heartbeat of two hours, the second one with these changes."""
    second = {**HOUR, "hour": "2026-11-10T11:00:00Z", **changes}
    return a_heartbeat(hours=[HOUR, {k: v for k, v in second.items() if v is not ...}])


REFUSED: list[tuple[object, str, str | None]] = [
    ([], "INVALID_HEARTBEAT", None),
    ("7", "INVALID_HEARTBEAT", None),
    (a_heartbeat(source=None), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(source=" "), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(source=7), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(source="x" * 256), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(source="a\0b"), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(source="\ud800"), "INVALID_HEARTBEAT", "source"),
    (a_heartbeat(hour=[]), "INVALID_HEARTBEAT", "hour"),
    (a_heartbeat(through=None), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through="now"), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through=1_700_000_000), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through="2026-11-10T13:00:00"), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through="1969-12-31T23:00:00Z"), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through="9999-12-31T23:00:00Z"), "INVALID_HEARTBEAT", "through"),
    (a_heartbeat(through="2026-11-10T14:05:01Z"), "TIME_IN_FUTURE", "through"),
    (a_heartbeat(hours={}), "INVALID_HEARTBEAT", "hours"),
    (a_heartbeat(hours=[7]), "INVALID_HEARTBEAT", "hours[0]"),
    (a_heartbeat(hours=[HOUR] * 1_001), "TOO_MANY_HOURS", "hours"),
    (a_heartbeat(hours=[HOUR, HOUR]), "REPEATED_HOUR", "hours[1]"),
    (hours(hour=...), "INVALID_HEARTBEAT", "hours[1].hour"),
    (hours(hour="2026-11-10"), "INVALID_HEARTBEAT", "hours[1].hour"),
    (hours(hour="2026-11-10T11:30:00Z"), "NOT_A_WHOLE_HOUR", "hours[1].hour"),
    (hours(hour="2026-11-10T12:00:00+05:30"), "NOT_A_WHOLE_HOUR", "hours[1].hour"),
    (hours(hour="2026-11-10T15:00:00Z"), "TIME_IN_FUTURE", "hours[1].hour"),
    (hours(hour="2026-10-07T13:00:00Z"), "TIME_TOO_OLD", "hours[1].hour"),
    (hours(meter=...), "INVALID_HEARTBEAT", "hours[1].meter"),
    (hours(meter=7), "INVALID_HEARTBEAT", "hours[1].meter"),
    (hours(meter="egres_gb"), "UNKNOWN_METER", "hours[1].meter"),
    (hours(count=...), "MISSING_VALUE", "hours[1].count"),
    (hours(count=1.5), "INVALID_VALUE", "hours[1].count"),
    (hours(count=2_000_000_001), "INVALID_VALUE", "hours[1].count"),
    (hours(count=True), "INVALID_VALUE", "hours[1].count"),
    (hours(count="many"), "INVALID_VALUE", "hours[1].count"),
    (hours(count=-1), "NEGATIVE_VALUE", "hours[1].count"),
    (hours(sum=...), "MISSING_VALUE", "hours[1].sum"),
    (hours(sum=""), "MISSING_VALUE", "hours[1].sum"),
    (hours(sum="-0.1"), "NEGATIVE_VALUE", "hours[1].sum"),
    (hours(sum="0.1234567890123"), "INVALID_VALUE", "hours[1].sum"),
    (hours(sum=float("nan")), "INVALID_VALUE", "hours[1].sum"),
    (hours(sum=[1]), "INVALID_VALUE", "hours[1].sum"),
    (hours(total=1), "INVALID_HEARTBEAT", "hours[1].total"),
]


async def test_what_is_refused_names_its_field_and_leaves_nothing(door: Door) -> None:
    for body, code, field in REFUSED:
        answer = await door.post(body)

        problem = answer.json()
        told = (answer.status_code, problem["code"], problem.get("field"))
        assert told == (422, code, field), str(body)[-60:]
        assert answer.headers["content-type"] == "application/problem+json"
        assert problem["detail"].endswith((".", "?"))
    assert (await door.heartbeats(), await door.totals()) == ([], [])


async def test_the_edges_of_time_are_taken(door: Door) -> None:
    for changes in ({"through": "2026-11-10T14:05:00Z"}, {"through": "1970-01-01T00:00:00Z"}):
        assert (await door.post(a_heartbeat(**changes))).status_code == 204
    for hour in ("2026-11-10T14:00:00Z", "2026-10-07T14:00:00Z"):
        assert (await door.post(hours(hour=hour))).status_code == 204


async def test_a_meter_nearly_named_is_named(door: Door) -> None:
    problem: dict[str, Any] = (await door.post(hours(meter="egres_gb"))).json()

    assert problem["did_you_mean"] == "egress_gb"
    assert problem["detail"] == ("No meter has the slug 'egres_gb'. Did you mean 'egress_gb'?")


UNREADABLE: list[tuple[object, str, tuple[int, str]]] = [
    ("{", "application/json", (400, "INVALID_JSON")),
    (b'{"source": "\xff"}', "application/json", (400, "INVALID_JSON")),
    ("[" * 100_000, "application/json", (400, "INVALID_JSON")),
    (a_heartbeat(), "application/cloudevents+json", (415, "UNSUPPORTED_MEDIA_TYPE")),
    (a_heartbeat(), "", (415, "UNSUPPORTED_MEDIA_TYPE")),
    (" " * (MIB + 1), "application/json", (413, "BODY_TOO_LARGE")),
]


async def test_a_body_that_cannot_be_read(door: Door) -> None:
    for body, media_type, told in UNREADABLE:
        answer = await door.post(body, media_type)
        assert (answer.status_code, answer.json()["code"]) == told
    assert await door.heartbeats() == []


async def test_a_thousand_hours_are_taken_at_once(door: Door) -> None:
    many = [
        {**HOUR, "hour": (NOVEMBER_10 - timedelta(hours=n % 500)).isoformat(), "meter": slug}
        for n, slug in enumerate(["egress_gb"] * 500 + ["seats"] * 500)
    ]
    async with door.sessions.begin() as session:
        await a_meter(session, "seats")

    assert (await door.post(a_heartbeat(hours=many))).status_code == 204
    assert len(await door.totals()) == 1_000


async def test_who_may_not(door: Door, org: Organization, sessions: Sessions) -> None:
    reader = replace(door, token=await a_key(sessions, "usage:read", "billing:write", org=org))
    stranger = replace(door, token="ssk_nobody")
    async with sessions.begin() as session:
        user = await create_user(
            session, NewUser("olga@acme.example", "Olga", None, True), actor="test", now=NOVEMBER_10
        )
        cookie = await sign_in_as(session, user.id, NOVEMBER_10)

    refused = [await reader.post(a_heartbeat()), await stranger.post("{")]
    by_cookie = await door.http.post(
        "/api/v1/heartbeats", json=a_heartbeat(), headers={"Cookie": f"session={cookie}"}
    )

    assert [answer.status_code for answer in refused] == [403, 401]
    assert by_cookie.status_code == 401, "a browser sends cookies along with other sites' requests"
    assert await door.heartbeats() == []


async def test_only_posts_are_answered(http: httpx.AsyncClient) -> None:
    answer = await http.get("/api/v1/heartbeats")

    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert "docs/heartbeats.md" in answer.json()["detail"]
