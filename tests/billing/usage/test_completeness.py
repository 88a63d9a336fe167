"""Reading how complete usage is: by source, by period, and over all organizations."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from sqlalchemy import text

from billing.models import Organization
from billing.rules.completeness import MissingHour, SourceGap, SourceState
from billing.rules.periods import Period
from billing.usage import completeness as reading
from billing.usage.comparing import check_control_totals
from billing.usage.completeness import Alarms, completeness, source_gaps, usage_alarms
from tests.api.graphql import statements
from tests.billing.usage.beating import beat
from tests.billing.usage.conftest import Usage, a_key, an_event

ONE = datetime(2026, 11, 10, 13, tzinfo=UTC)
OCTOBER = Period(datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC))
NOVEMBER = Period(OCTOBER.end, datetime(2026, 12, 1, tzinfo=UTC))
MINUTE = timedelta(minutes=1)
FRA, SYD = "phoenix/eu-1", "syd"


async def states(usage: Usage, org: Organization | None = None) -> dict[str, SourceState]:
    async with usage.runtime.sessions() as session:
        found = await completeness(session, (org or usage.acme).id, usage.clock.at)
    return {state.source: state for state in found}


async def gaps(
    usage: Usage, period: Period = NOVEMBER, org: Organization | None = None
) -> list[SourceGap]:
    async with usage.runtime.sessions() as session:
        return await source_gaps(session, (org or usage.acme).id, period)


async def alarms(usage: Usage) -> Alarms:
    async with usage.runtime.sessions() as session:
        return await usage_alarms(session, usage.clock.at)


async def test_without_heartbeats_there_is_only_what_has_come(usage: Usage) -> None:
    await usage.record(an_event())

    assert await states(usage) == {
        FRA: SourceState(
            FRA, (), datetime(2026, 11, 10, 13, 20, tzinfo=UTC), usage.clock.at, None, None, ()
        )
    }
    assert await states(usage, usage.globex) == {}
    assert await gaps(usage) == []


async def test_a_source_says_how_far_it_is_and_with_what(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="r", type="request"))
    through = usage.clock.at - 16 * MINUTE
    totals = {(ONE, "request"): (1, 0), (ONE, "egress_gb"): (1, "1.5"), (ONE, "seats"): (0, 0)}
    await beat(usage, totals, through=through)
    await check_control_totals(usage.runtime)

    found = (await states(usage))[FRA]

    assert (found.through, found.behind) == (through, 16 * MINUTE)
    assert found.meters == ("egress gb", "request"), "acme has no seats"
    assert found.missing_hours == ()
    usage.clock.advance(-MINUTE)
    assert (await states(usage))[FRA].behind is None


async def test_a_source_of_the_platform_concerns_whoever_uses_it(usage: Usage) -> None:
    await usage.record(an_event(), an_event(subject="globex", source=SYD))
    for source in (FRA, SYD, "nobody's"):
        await beat(usage, source=source)
    await beat(usage, source="own", viewer=a_key(usage.acme.id))

    assert set(await states(usage)) == {FRA, "own"}
    assert set(await states(usage, usage.globex)) == {SYD}
    own = (await states(usage))["own"]
    assert (own.last_occurred_at, own.last_recorded_at) == (None, None)
    assert own.through == usage.clock.at


async def test_a_source_is_no_further_than_the_last_of_those_who_speak_for_it(usage: Usage) -> None:
    await usage.record(an_event(), an_event(subject="globex"))
    await beat(usage)
    await beat(usage, through=usage.clock.at - 40 * MINUTE, viewer=a_key(usage.acme.id))

    assert (await states(usage))[FRA].behind == 40 * MINUTE
    assert (await states(usage, usage.globex))[FRA].behind is None


async def test_totals_that_differ_are_missing_hours_of_the_open_period(usage: Usage) -> None:
    await usage.record(an_event(), an_event(subject="globex", type="request"))
    last_of_october = NOVEMBER.start - timedelta(hours=1)
    await beat(
        usage,
        {
            (ONE, "egress_gb"): (3, "4"),
            (NOVEMBER.start, "egress_gb"): (1, "1"),
            (last_of_october, "egress_gb"): (1, "1"),
            (ONE, "request"): (7, 7),
        },
    )
    assert (await states(usage))[FRA].missing_hours == (), "not compared yet"
    await check_control_totals(usage.runtime)

    assert (await states(usage))[FRA].missing_hours == (
        MissingHour(NOVEMBER.start, "egress gb", 1, 0, Decimal(1), Decimal(0)),
        MissingHour(ONE, "egress gb", 3, 1, Decimal(4), Decimal("1.5")),
    )
    [of_globex] = (await states(usage, usage.globex))[FRA].missing_hours
    assert (of_globex.meter, of_globex.sent_events, of_globex.counted_events) == ("request", 7, 1)


async def test_what_an_organization_says_of_its_own_is_missed_before_any_of_it_came(
    usage: Usage,
) -> None:
    await beat(usage, {(ONE, "seats"): (1, 2)}, viewer=a_key(usage.acme.id))
    await check_control_totals(usage.runtime)

    assert [x.meter for x in (await states(usage))[FRA].missing_hours] == ["seats"]
    assert (await states(usage))[FRA].meters == ("seats",)
    assert await states(usage, usage.globex) == {}
    assert await gaps(usage, org=usage.globex) == []
    assert await gaps(usage) == [SourceGap(FRA, None, (ONE,))]


async def test_only_the_latest_missing_hours_are_told(usage: Usage) -> None:
    await usage.record(an_event())
    hours = [ONE - timedelta(hours=n) for n in range(reading.MISSING_HOURS_MAX + 5)]
    await beat(usage, {(hour, "egress_gb"): (9, 9) for hour in hours})
    await check_control_totals(usage.runtime)

    missing = (await states(usage))[FRA].missing_hours

    told = sorted(hours)[5:]
    assert [one.hour for one in missing] == told


async def test_who_is_silent_for_as_long_as_events_are_taken_is_retired(usage: Usage) -> None:
    await usage.record(an_event())
    await beat(usage)
    usage.clock.advance(timedelta(days=34))
    assert (await states(usage))[FRA].behind == timedelta(days=34)

    usage.clock.advance(MINUTE)

    retired = (await states(usage))[FRA]
    assert (retired.is_retired, retired.behind) == (True, None)


async def test_a_period_waits_for_a_source_that_is_not_through_with_it(usage: Usage) -> None:
    await usage.record(an_event(), an_event(source=SYD), an_event(source="silent"))
    usage.clock.at = NOVEMBER.end + timedelta(hours=1)
    await beat(usage, through=NOVEMBER.end)
    almost = NOVEMBER.end - timedelta(microseconds=1)
    await beat(usage, source=SYD, through=almost)
    await beat(usage, source="unused", through=almost)

    assert await gaps(usage) == [SourceGap(SYD, almost, ())]
    assert await gaps(usage, OCTOBER) == []
    assert await gaps(usage, org=usage.globex) == []
    await beat(usage, source=SYD, through=NOVEMBER.end)
    assert await gaps(usage) == []


async def test_a_source_used_only_long_before_a_period_is_not_missed_in_it(usage: Usage) -> None:
    await usage.record(an_event(time="2026-11-09T00:00:00Z"))
    through = datetime(2026, 11, 10, tzinfo=UTC)
    await beat(usage, through=through)
    start = datetime(2026, 11, 16, tzinfo=UTC)

    def week_from(day: datetime) -> Period:
        return Period(day, day + timedelta(days=7))

    assert await gaps(usage, week_from(start)) == [SourceGap(FRA, through, ())]
    assert await gaps(usage, week_from(start + timedelta(hours=1))) == []


async def test_a_period_waits_for_totals_that_differ_or_are_not_compared(usage: Usage) -> None:
    await usage.record(an_event())
    last = NOVEMBER.end - timedelta(hours=1)
    usage.clock.at = NOVEMBER.end + timedelta(hours=2)
    await beat(
        usage,
        {
            (ONE, "egress_gb"): (1, "1.5"),
            (last, "egress_gb"): (1, 1),
            (NOVEMBER.end, "egress_gb"): (1, 1),
            (last, "request"): (1, 1),
        },
    )
    assert await gaps(usage) == [SourceGap(FRA, None, (ONE, last))]

    await check_control_totals(usage.runtime)

    assert await gaps(usage) == [SourceGap(FRA, None, (last,))]
    assert await gaps(usage, OCTOBER) == []
    await usage.record(an_event(id="e2", time=last.isoformat(), data={"value": "1"}))
    usage.clock.advance(timedelta(minutes=5))
    await check_control_totals(usage.runtime)
    assert await gaps(usage) == []


async def test_alarms_count_gaps_and_sources_behind_of_the_last_34_days(usage: Usage) -> None:
    assert await alarms(usage) == Alarms(0, 0)
    await beat(usage, {(ONE, "egress_gb"): (1, 1), (ONE, "seats"): (0, 0)})
    await beat(usage, source=SYD, through=usage.clock.at - 16 * MINUTE)
    assert await alarms(usage) == Alarms(0, 1), "not compared yet"

    await check_control_totals(usage.runtime)

    assert await alarms(usage) == Alarms(1, 1)
    usage.clock.advance(timedelta(days=35))
    assert await alarms(usage) == Alarms(0, 0)


async def test_each_is_one_statement_however_many_sources(usage: Usage) -> None:
    for number in range(5):
        await usage.record(an_event(source=f"s{number}"))
        await beat(usage, {(ONE, "egress_gb"): (2, 2)}, source=f"s{number}")
    await check_control_totals(usage.runtime)

    for read in (states, gaps, alarms):
        with statements(usage.runtime.engine) as sent:
            await read(usage)
        assert len(sent) == 1, sent


async def test_neither_reads_through_a_table(usage: Usage) -> None:
    """With many bound organizations, sources and hours every table is entered by an index."""
    await usage.record(an_event())
    async with usage.runtime.sessions.begin() as session:
        await session.execute(text(MANY_HEARTBEATS))
        await session.execute(text(MANY_TOTALS))
        await session.execute(text("ANALYZE usage_heartbeats, usage_control_totals"))
        limits = {
            "org_id": usage.acme.id,
            "start": OCTOBER.end,
            "end": NOVEMBER.end,
            "limit": 50,
            "used_since": OCTOBER.end,
        }
        for statement in (reading._STATES, reading._GAPS):
            plan = await session.scalar(text(f"EXPLAIN (FORMAT JSON) {statement.text}"), limits)
            scanned = sequential_scans(plan)
            assert not scanned & {"usage_heartbeats", "usage_control_totals"}, json.dumps(plan)
            assert "ix_usage_control_totals_open" in json.dumps(plan), "few are open, of many"


MANY_HEARTBEATS = """
INSERT INTO usage_heartbeats (id, source, org_id, through, recorded_at)
SELECT gen_random_uuid(), 'source ' || n, NULL, '2026-11-10 12:00Z', '2026-11-10 12:00Z'
FROM generate_series(1, 5000) AS n
"""
MANY_TOTALS = """
INSERT INTO usage_control_totals
    (id, source, hour, meter_id, event_count, total, is_same, next_check_at, recorded_at)
SELECT gen_random_uuid(), 'source ' || n % 50, '2026-11-01'::timestamptz + n * interval '1 hour',
       meters.id, 1, 1, n % 100 <> 0, NULL, '2026-11-10 12:00Z'
FROM generate_series(1, 5000) AS n, meters
"""


def sequential_scans(plan: object) -> set[str]:
    """The tables that a plan reads from end to end."""
    match plan:
        case list():
            return set().union(*map(sequential_scans, plan))
        case dict():
            found = {plan["Relation Name"]} if plan.get("Node Type") == "Seq Scan" else set()
            return found.union(*map(sequential_scans, plan.values()))
        case _:
            return set()
