"""What cannot be counted: one stable code each, a hint where one is near, and nothing counted."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from types import MappingProxyType

import pytest

from billing.accounts import Viewer
from billing.ids import UserId, new_id
from billing.models import Role, Verdict
from billing.rules.aggregation import Aggregation
from billing.usage import MalformedEvent, NumberText, incoming_event
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import a_meter


def deep(levels: int) -> object:
    nested: object = "x"
    for _ in range(levels):
        nested = [nested]
    return nested


def valued(value: object) -> dict[str, object]:
    return an_event(data={"value": value})


REFUSALS: Sequence[tuple[object, str, str | None]] = (
    (an_event(subject="nobody"), "UNKNOWN_ORGANIZATION", "subject"),
    (an_event(type="nothing"), "UNKNOWN_METER", "type"),
    (an_event(time="2026-11-10T14:05:01Z"), "TIME_IN_FUTURE", "time"),
    (an_event(time="2026-10-07T13:59:59Z"), "TIME_TOO_OLD", "time"),
    (an_event(time="0001-01-01T00:00:00Z"), "INVALID_EVENT", "time"),
    (an_event(time="9999-12-31T23:59:59Z"), "INVALID_EVENT", "time"),
    (an_event(data=None), "MISSING_VALUE", "data.value"),
    (valued(None), "MISSING_VALUE", "data.value"),
    (an_event(data={"valeu": "1"}), "MISSING_VALUE", "data.value"),
    (valued(NumberText("-1")), "NEGATIVE_VALUE", "data.value"),
    (valued("-0.000000000001"), "NEGATIVE_VALUE", "data.value"),
    (valued(True), "INVALID_VALUE", "data.value"),
    (valued("12 GB"), "INVALID_VALUE", "data.value"),
    (valued([]), "INVALID_VALUE", "data.value"),
    (valued({}), "INVALID_VALUE", "data.value"),
    (valued(NumberText("NaN")), "INVALID_VALUE", "data.value"),
    (valued(NumberText("-Infinity")), "INVALID_VALUE", "data.value"),
    (valued("NaN"), "INVALID_VALUE", "data.value"),
    (valued("Infinity"), "INVALID_VALUE", "data.value"),
    (valued(NumberText("1e400")), "INVALID_VALUE", "data.value"),
    (valued(NumberText("1e999999999")), "INVALID_VALUE", "data.value"),
    (valued(NumberText("1" * 16)), "INVALID_VALUE", "data.value"),
    (valued(NumberText("1" * 5000)), "INVALID_VALUE", "data.value"),
    (valued("0.1234567890123"), "INVALID_VALUE", "data.value"),
    (valued("１"), "INVALID_VALUE", "data.value"),
    (an_event(data={"value": "1", "app": "x" * 201}), "INVALID_VALUE", "data.app"),
    (an_event(data={"value": "1", "app": ["web"]}), "INVALID_VALUE", "data.app"),
    (an_event(data={"value": "1", "app": NumberText("1e400")}), "INVALID_VALUE", "data.app"),
    (an_event(data={"value": "1", "other": 0.1}), "INVALID_VALUE", "data.other"),
    ("not an event", "INVALID_EVENT", None),
    (None, "INVALID_EVENT", None),
    ([an_event()], "INVALID_EVENT", None),
    (an_event(specversion="0.3"), "INVALID_EVENT", "specversion"),
    (an_event(specversion=NumberText("1.0")), "INVALID_EVENT", "specversion"),
    (an_event(specversion=None), "INVALID_EVENT", "specversion"),
    (an_event(id=None), "INVALID_EVENT", "id"),
    (an_event(id=""), "INVALID_EVENT", "id"),
    (an_event(id=NumberText("7")), "INVALID_EVENT", "id"),
    (an_event(id="x" * 256), "INVALID_EVENT", "id"),
    (an_event(id="a\0b"), "INVALID_EVENT", "id"),
    (an_event(id="a\ud800"), "INVALID_EVENT", "id"),
    (an_event(source=" "), "INVALID_EVENT", "source"),
    (an_event(type={}), "INVALID_EVENT", "type"),
    (an_event(subject=None), "INVALID_EVENT", "subject"),
    (an_event(time="yesterday"), "INVALID_EVENT", "time"),
    (an_event(time="2026-11-10"), "INVALID_EVENT", "time"),
    (an_event(time="2026-11-10T13:20:00"), "INVALID_EVENT", "time"),
    (an_event(time="2026-02-30T13:20:00Z"), "INVALID_EVENT", "time"),
    (an_event(time="0001-01-01T00:00:00+14:00"), "INVALID_EVENT", "time"),
    (an_event(time=NumberText("1762780800")), "INVALID_EVENT", "time"),
    (an_event(data="text"), "INVALID_EVENT", "data"),
    (an_event(data=[]), "INVALID_EVENT", "data"),
    (an_event(data_base64="e30="), "INVALID_EVENT", "data_base64"),
    (an_event(data={"value": "1", "note": "a\0b"}), "INVALID_EVENT", "data.note"),
    (an_event(data={"value": "1", "a\ud800": "x"}), "INVALID_EVENT", "data"),
    (an_event(data={"value": "1", "note": deep(25)}), "INVALID_EVENT", "data"),
    (an_event(data={"value": "1", "note": deep(5000)}), "INVALID_EVENT", "data"),
)
LIMITS: Sequence[dict[str, object]] = (
    {"time": "2026-11-10T14:05:00Z"},
    {"time": "2026-10-07T14:00:00Z"},
    {"time": "2026-11-10t13:20:00.123456789z"},
    {"id": "😀" * 255, "source": "😀" * 255},
    {"data": {"value": "999999999999999.999999999999"}},
    {"data": {"value": NumberText("-0")}},
    {"data": {"value": "1", "app": "x" * 200}},
    {"data": {"value": "1", "note": deep(19)}},
)
"""Each just inside what it may be."""


async def test_each_refusal_has_its_code_and_counts_nothing(usage: Usage) -> None:
    *refused, stored = await usage.record(*(event for event, _, _ in REFUSALS), an_event(id="ok"))

    for verdict, (event, code, field) in zip(refused, REFUSALS, strict=True):
        told = (verdict.verdict, verdict.code, verdict.field, bool(verdict.message))
        assert told == (Verdict.REJECTED, code, field, True), event
    assert stored.verdict is Verdict.ACCEPTED
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}
    assert {row.code for row in await usage.quarantine()} == {code for _, code, _ in REFUSALS}


async def test_the_limits_themselves_are_inside(usage: Usage) -> None:
    events = [an_event(**{"id": f"e{number}", **limit}) for number, limit in enumerate(LIMITS)]

    for verdict, event in zip(await usage.record(*events), events, strict=True):
        assert verdict.verdict is Verdict.ACCEPTED, (event, verdict)


async def test_a_gauge_is_never_too_old(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "volume_gb", aggregation=Aggregation.LATEST, dimensions={})

    [verdict] = await usage.record(an_event(type="volume_gb", time="2025-11-10T13:20:00Z"))

    assert verdict.verdict is Verdict.ACCEPTED


async def test_even_a_gauge_has_its_years(usage: Usage) -> None:
    """PostgreSQL's driver would store the first and last instants as infinities."""
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "volume_gb", aggregation=Aggregation.LATEST, dimensions={})

    [verdict] = await usage.record(an_event(type="volume_gb", time="0001-01-01T00:00:00Z"))

    assert (verdict.code, verdict.message) == (
        "INVALID_EVENT",
        "time must lie within the years 1970 to 2199.",
    )


async def test_a_near_name_is_suggested(usage: Usage) -> None:
    hints: Sequence[tuple[dict[str, object], str | None]] = (
        ({"subject": "acm"}, "acme"),
        ({"subject": "aacme"}, "acme"),
        ({"subject": "zzz"}, None),
        ({"subject": "acme" * 50}, None),
        ({"type": "egres_gb"}, "egress_gb"),
        ({"type": "zzz"}, None),
    )

    verdicts = await usage.record(*(an_event(**changes) for changes, _ in hints))

    assert [verdict.did_you_mean for verdict in verdicts] == [near for _, near in hints]


async def test_a_bound_key_learns_nothing_of_other_organizations(usage: Usage) -> None:
    existing, near, absent, own = await usage.record(
        an_event(subject="globex"),
        an_event(subject="globe"),
        an_event(subject="nobody"),
        an_event(subject="acmee"),
        viewer=a_key(usage.acme.id),
    )

    assert {v.code for v in (existing, near, absent, own)} == {"UNKNOWN_ORGANIZATION"}
    assert [v.did_you_mean for v in (existing, near, absent, own)] == [None, None, None, "acme"]
    assert existing.message == str(near.message).replace("globe", "globex")
    assert await usage.events() == []
    assert {row.org_id for row in await usage.quarantine()} == {usage.acme.id}


async def test_a_person_may_not_record_usage_and_strangers_leave_no_trace(usage: Usage) -> None:
    person = Viewer(
        actor="person:dana@acme.example",
        scopes=frozenset(),
        roles=MappingProxyType({usage.acme.id: Role.OWNER}),
        org_id=None,
        user_id=UserId(new_id()),
        is_ops=False,
    )

    verdicts = await usage.record(an_event(), an_event(subject="globex"), viewer=person)

    assert [verdict.code for verdict in verdicts] == ["FORBIDDEN", "UNKNOWN_ORGANIZATION"]
    assert await usage.quarantine() == []


@pytest.mark.parametrize(
    ("part", "value", "code"),
    [
        ("data", {"value": 0.1}, "INVALID_VALUE"),
        ("data", {"value": Decimal("NaN")}, "INVALID_VALUE"),
        ("data", {"value": object()}, "INVALID_VALUE"),
        ("id", "a\0b", "INVALID_EVENT"),
    ],
)
def test_an_event_from_its_parts_is_held_to_the_same_shape(
    part: str, value: object, code: str
) -> None:
    parts: dict[str, object] = {
        "id": "e1",
        "source": "s",
        "type": "t",
        "subject": "acme",
        "time": None,
        "data": {},
    }

    event = incoming_event(**{**parts, part: value})  # type: ignore[arg-type]

    assert isinstance(event, MalformedEvent)
    assert event.error.code == code


async def test_a_naive_time_is_no_instant(usage: Usage) -> None:
    event = incoming_event(
        id="e1",
        source="s",
        type="t",
        subject="acme",
        time=usage.clock.at.replace(tzinfo=None) - timedelta(hours=1),
        data={"value": 10**20, "exact": Decimal("1.5")},
    )

    assert isinstance(event, MalformedEvent)
    assert event.error.field == "time"
