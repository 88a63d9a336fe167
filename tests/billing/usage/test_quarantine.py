"""What is refused is kept, shown, never counted; and replayed once its cause is mended."""

from collections import Counter
from datetime import timedelta
from decimal import Decimal

import pytest
from sqlalchemy import select, update

from billing.accounts import COMMAND_LINE
from billing.errors import Forbidden
from billing.models import AuditEntry, Meter, QuarantinedEvent, Verdict
from billing.rules.aggregation import Aggregation
from billing.usage import (
    EventVerdict,
    NumberText,
    Wanted,
    count_replayable,
    purge_quarantine,
    replay_quarantined,
)
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import a_meter, an_organization

ALL = Wanted()


async def replayed(
    usage: Usage,
    wanted: Wanted = ALL,
    *,
    after: timedelta = timedelta(days=1),
    dry_run: bool = False,
) -> list[EventVerdict]:
    """Everything a replay by the command line says, a day later unless told otherwise."""
    now = usage.clock.at + after
    chunks = replay_quarantined(
        usage.runtime, wanted, viewer=COMMAND_LINE, now=now, dry_run=dry_run
    )
    return [verdict async for chunk in chunks for verdict in chunk]


async def add_meter(usage: Usage, slug: str) -> None:
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, slug)


async def test_a_refused_event_is_kept_whole_with_its_reason(usage: Usage) -> None:
    data = {"value": NumberText("1.50"), "nested": [NumberText("1e400"), {"ok": True}]}

    await usage.record(an_event(type="storage_gb", data=data))

    [row] = await usage.quarantine()
    assert (row.org_id, row.verdict, row.code) == (usage.acme.id, "REJECTED", "UNKNOWN_METER")
    assert row.recorded_at == usage.clock.at
    assert row.event == {
        "id": "e1",
        "source": "phoenix/eu-1",
        "type": "storage_gb",
        "subject": "acme",
        "time": "2026-11-10T13:20:00+00:00",
        "data": {"value": "1.5", "nested": ["1e400", {"ok": True}]},
    }


async def test_a_retry_storm_is_one_row_with_its_first_receipt_and_latest_reason(
    usage: Usage,
) -> None:
    event = an_event(subject="initech", type="storage_gb")
    await usage.record(event, event)
    async with usage.runtime.sessions.begin() as session:
        initech = await an_organization(session, key="initech")

    for minutes in range(3):
        await usage.record(event, now=usage.clock.at + timedelta(minutes=minutes))

    [row] = await usage.quarantine()
    assert (row.code, row.org_id) == ("UNKNOWN_METER", initech.id)
    assert row.recorded_at == usage.clock.at


async def test_duplicates_are_not_kept(usage: Usage) -> None:
    await usage.record(an_event(), an_event())

    assert await usage.quarantine() == []


async def test_once_mended_an_event_counts_as_it_would_have_at_its_receipt(usage: Usage) -> None:
    old = an_event(id="old", type="storage_gb", time="2026-10-08T00:00:00Z")
    timeless = an_event(id="timeless", type="storage_gb", time=None)
    await usage.record(old, timeless, an_event(id="bad", data={"value": "-1"}))
    await add_meter(usage, "storage_gb")

    verdicts = await replayed(usage, after=timedelta(days=20))

    assert Counter(verdict.verdict for verdict in verdicts) == {"ACCEPTED": 2, "REJECTED": 1}
    events = {event.external_id: event for event in await usage.events()}
    assert events["timeless"].occurred_at == usage.clock.at
    assert events["old"].recorded_at == usage.clock.at + timedelta(days=20)
    assert [row.code for row in await usage.quarantine()] == ["NEGATIVE_VALUE"]
    assert await usage.totals() == {
        "storage_gb app=web region=eu 00h": Decimal("1.5"),
        "storage_gb app=web region=eu 14h": Decimal("1.5"),
    }
    async with usage.runtime.sessions() as session:
        acts = (await session.scalars(select(AuditEntry))).all()
    assert [(act.actor, act.action, act.details) for act in acts] == [
        ("cli", "quarantine.replayed", {"counted": 2})
    ]


async def test_a_time_refused_at_its_receipt_stays_refused(usage: Usage) -> None:
    await usage.record(an_event(time="2026-11-10T15:00:00Z"))

    [verdict] = await replayed(usage)

    assert verdict.code == "TIME_IN_FUTURE"


async def test_a_replay_counts_what_was_resent_meanwhile_only_once(usage: Usage) -> None:
    event = an_event(type="storage_gb")
    await usage.record(event)
    await add_meter(usage, "storage_gb")
    await usage.record(event)

    [verdict] = await replayed(usage)

    assert verdict.verdict is Verdict.DUPLICATE
    assert await usage.quarantine() == []
    assert len(await usage.events()) == 1


async def test_a_replay_looks_only_at_what_is_wanted(usage: Usage) -> None:
    await usage.record(
        an_event(id="a", type="storage_gb"),
        an_event(id="b", type="storage_gb", subject="globex"),
        an_event(id="c", data={"value": "-1"}),
    )
    await add_meter(usage, "storage_gb")
    wanted = Wanted(org_id=usage.globex.id, code="UNKNOWN_METER")

    async with usage.runtime.sessions() as session:
        assert await count_replayable(session, wanted) == 1
    assert [verdict.id for verdict in await replayed(usage, wanted)] == ["b"]
    assert len(await usage.quarantine()) == 2


async def test_a_dry_run_says_the_same_and_changes_nothing(usage: Usage) -> None:
    await usage.record(an_event(type="storage_gb"))
    await add_meter(usage, "storage_gb")

    dry = await replayed(usage, dry_run=True)

    assert (len(await usage.quarantine()), await usage.events()) == (1, [])
    assert dry == await replayed(usage)


async def test_a_large_quarantine_is_replayed_in_chunks(usage: Usage) -> None:
    await usage.record(*(an_event(id=f"e{n}", type="storage_gb") for n in range(1100)))
    await usage.record(an_event(id="late", data={"value": "-1"}))
    await add_meter(usage, "storage_gb")

    verdicts = await replayed(usage)

    assert Counter(verdict.verdict for verdict in verdicts) == {"ACCEPTED": 1100, "REJECTED": 1}
    assert await usage.totals() == {"storage_gb app=web region=eu 13h": Decimal(1650)}


async def test_a_replay_lends_nobody_the_rights_of_staff(usage: Usage) -> None:
    """What acme's key sent in globex's name, or of one that came later, is never globex's."""
    bound = a_key(usage.acme.id)
    await usage.record(an_event(subject="globex"), an_event(subject="initech"), viewer=bound)
    async with usage.runtime.sessions.begin() as session:
        await an_organization(session, key="initech")

    verdicts = await replayed(usage)

    assert [verdict.code for verdict in verdicts] == ["UNKNOWN_ORGANIZATION"] * 2
    assert await usage.events() == []


async def test_only_staff_replays(usage: Usage) -> None:
    with pytest.raises(Forbidden):
        await anext(replay_quarantined(usage.runtime, ALL, viewer=a_key(), now=usage.clock.at))


async def test_what_is_no_event_or_too_long_is_shown_in_part_and_never_replayed(
    usage: Usage,
) -> None:
    long = an_event(id="long", type="storage_gb", data={"value": "1", "note": "x" * 70_000})
    await usage.record("a\0b", an_event(id="nul", source="a\0b"), long)
    await add_meter(usage, "storage_gb")

    assert await replayed(usage) == []
    rows = {row.event["id"]: row.event for row in await usage.quarantine()}
    assert set(rows) == {None, "nul", "long"}
    assert all(len(event["excerpt"]) <= 2000 for event in rows.values())
    assert rows["nul"]["source"] == "a\ufffdb"


async def test_a_conflict_stays_one(usage: Usage) -> None:
    await usage.record(an_event(), an_event(data={"value": "9"}))

    assert await replayed(usage) == []


async def test_the_quarantine_is_purged_after_30_days(usage: Usage) -> None:
    await usage.record(an_event(id="older", data={"value": "-1"}))
    async with usage.runtime.sessions.begin() as session:
        await session.execute(
            update(QuarantinedEvent).values(
                recorded_at=usage.clock.at - timedelta(days=30, seconds=1)
            )
        )
    await usage.record(an_event(id="newer", data={"value": "-1"}))

    async with usage.runtime.sessions.begin() as session:
        assert await purge_quarantine(session, usage.clock.at) == 1
    assert [row.event["id"] for row in await usage.quarantine()] == ["newer"]


async def test_a_count_meter_added_later_mends_a_missing_value(usage: Usage) -> None:
    await usage.record(an_event(data={"app": "web"}))
    async with usage.runtime.sessions.begin() as session:
        meter = await a_meter(session, "transfers", aggregation=Aggregation.COUNT)
        meter.event_type = "egress_gb"

    assert [verdict.verdict for verdict in await replayed(usage)] == [Verdict.ACCEPTED]
    async with usage.runtime.sessions() as session:
        assert await session.scalar(select(Meter.slug).where(Meter.slug == "transfers"))
    assert await usage.totals() == {"transfers app=web 13h": Decimal(1)}
