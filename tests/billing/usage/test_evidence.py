"""Behind a quantity stand hours, and behind those events: paged, voided ones included."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest
from sqlalchemy import select

from billing.errors import Conflict
from billing.models import Meter
from billing.rules.aggregation import Aggregation
from billing.rules.periods import Period
from billing.usage import fold_tail, settle_usage
from billing.usage.evidence import (
    EventBehind,
    EventPosition,
    HourBehind,
    Matches,
    any_series,
    events_behind,
    hours_behind,
)
from tests.billing.usage.archiving import detach, settled_may
from tests.billing.usage.conftest import Usage, an_event
from tests.billing.usage.reading import from_readings
from tests.billing.usage.voiding import void
from tests.factories import a_meter

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
MAY_TO_JULY = Period(datetime(2026, 5, 1, tzinfo=UTC), datetime(2026, 8, 1, tzinfo=UTC))


async def meter_of(usage: Usage, slug: str) -> Meter:
    async with usage.runtime.sessions() as session:
        return (await session.scalars(select(Meter).where(Meter.slug == slug))).one()


async def events(
    usage: Usage,
    slug: str = "egress_gb",
    *,
    span: Period = NOVEMBER,
    limit: int = 100,
    matches: Matches = any_series,
    known_at: datetime | None = None,
) -> list[EventBehind]:
    """Every page of them, each but the last as long as asked for."""
    meter = await meter_of(usage, slug)
    found: list[EventBehind] = []
    after: EventPosition | None = None
    while True:
        async with usage.runtime.sessions() as session:
            page = await events_behind(
                session,
                usage.acme.id,
                meter,
                span,
                matches=matches,
                known_at=known_at,
                limit=limit,
                after=after,
            )
        assert page.events or not found, "no page was promised for nothing"
        found += page.events
        if not page.has_more:
            return found
        assert len(page.events) == limit
        after = page.events[-1].position


async def hours(usage: Usage, slug: str, *, limit: int = 100) -> list[HourBehind]:
    meter = await meter_of(usage, slug)
    found: list[HourBehind] = []
    while True:
        async with usage.runtime.sessions() as session:
            await settle_usage(session, usage.acme.id)
            page = await hours_behind(
                session,
                usage.acme.id,
                meter,
                NOVEMBER,
                upto=usage.clock.at,
                limit=limit,
                after=found[-1].hour if found else None,
            )
        found += page.hours
        if not page.has_more:
            return found
        assert len(page.hours) == limit


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
async def test_every_event_once_and_oldest_first_whatever_the_page(
    usage: Usage, limit: int
) -> None:
    """Days apart, ties in time, folded and not."""
    sent = [
        an_event(id=id, source=source, time=f"2026-11-{day:02}T{time}Z")
        for id, source, day, time in (
            ("b", "s", 10, "13:00:00"),
            ("a", "s", 10, "13:00:00"),
            ("é", "S", 10, "13:00:00"),
            ("late", "s", 10, "13:59:59.999999"),
            ("first", "s", 1, "00:00:00"),
            ("second", "s", 1, "01:59:59"),
            ("third", "s", 1, "06:00:00"),
            ("before", "s", 5, "12:00:00"),
        )
    ]
    await usage.record(*sent[:4], an_event(id="e", time="2026-10-31T23:59:59Z"))
    await fold_tail(usage.runtime)
    await usage.record(*sent[4:], an_event(id="theirs", subject="globex"))

    found = await events(usage, limit=limit)

    assert [event.id for event in found] == [
        *("first", "second", "third", "before"),
        *("é", "a", "b", "late"),
    ]


async def test_an_event_as_it_was_sent_and_why_it_counts_no_longer(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="e2", data={"value": "2", "app": "api"}))
    usage.clock.advance(timedelta(hours=1))
    await void(usage, "e1", reason="sent twice")

    wrong, right = await events(usage)

    assert wrong == EventBehind(
        id="e1",
        source="phoenix/eu-1",
        occurred_at=datetime(2026, 11, 10, 13, 20, tzinfo=UTC),
        recorded_at=datetime(2026, 11, 10, 14, tzinfo=UTC),
        quantity=wrong.quantity,
        label=None,
        dimensions={"app": "web", "region": "eu"},
        voided_at=datetime(2026, 11, 10, 15, tzinfo=UTC),
        void_reason="sent twice",
    )
    assert (wrong.is_voided, right.is_voided) == (True, False)
    assert [wrong.quantity, right.quantity] == [Decimal("1.5"), Decimal(2)]


async def test_the_events_of_those_series_that_are_meant(usage: Usage) -> None:
    await usage.record(
        an_event(),
        an_event(id="e2", data={"value": "2", "app": "api", "region": "eu"}),
        an_event(id="e3", data={"value": "2", "region": "eu"}),
    )

    def of(**wanted: str) -> Matches:
        return lambda dimensions: dimensions.items() >= wanted.items()

    assert [one.id for one in await events(usage, matches=of(app="api"))] == ["e2"]
    assert len(await events(usage, matches=of(region="eu"))) == 3
    assert await events(usage, matches=of(region="us")) == []


async def test_labels_are_shown(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "users", aggregation=Aggregation.UNIQUE_COUNT)
    await usage.record(an_event(type="users", data={"value": "ann"}))

    [event] = await events(usage, "users")

    assert (event.label, event.quantity) == ("ann", Decimal(0))


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_hours_come_to_what_their_events_say_without_the_voided(
    usage: Usage, limit: int
) -> None:
    await usage.record(
        *(
            an_event(id=id, time=f"2026-11-{time}:00:00Z", data={"value": value})
            for id, time, value in (
                ("a", "02T10", "1"),
                ("b", "02T10", "2"),
                ("c", "09T23", "4"),
                ("d", "10T00", "8"),
            )
        )
    )
    await void(usage, "a", "d")

    found = await hours(usage, "egress_gb", limit=limit)

    assert found == [
        HourBehind(datetime(2026, 11, 2, 10, tzinfo=UTC), Fraction(2), 1),
        HourBehind(datetime(2026, 11, 9, 23, tzinfo=UTC), Fraction(4), 1),
    ]


async def test_what_is_held_has_its_hours_up_to_now(usage: Usage) -> None:
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "disk", aggregation=Aggregation.TIME_WEIGHTED)
    await usage.record(an_event(type="disk", time="2026-11-10T11:30:00Z", data={"value": "6"}))
    usage.clock.advance(timedelta(minutes=20))

    found = await hours(usage, "disk", limit=3)

    assert [(x.hour.hour, x.quantity, x.event_count) for x in found] == [
        (11, Fraction(3), 1),
        (12, Fraction(6), 0),
        (13, Fraction(6), 0),
        (14, Fraction(2), 0),
    ]


@pytest.fixture
async def may(usage: Usage) -> AsyncIterator[Usage]:
    async with settled_may(usage):
        yield usage


async def test_what_is_archived_is_not_taken_for_nothing(may: Usage) -> None:
    """A gauge's last reading may be long ago; what is younger can still be shown."""
    assert len(await events(may, span=MAY_TO_JULY)) == 8
    cuts = [NOVEMBER.start, NOVEMBER.end]
    [disk] = (await from_readings(may, may.acme.id, cuts, NOVEMBER.end))["disk"]
    assert disk.by_stretch[0].latest == 7

    await detach(may)

    with pytest.raises(Conflict, match="2026-05 are archived") as refused:
        await events(may, span=MAY_TO_JULY)
    assert refused.value.code == "MONTH_ARCHIVED"
    with pytest.raises(Conflict, match="2026-05 are archived"):
        await from_readings(may, may.acme.id, cuts, NOVEMBER.end)
    june = Period(datetime(2026, 6, 1, tzinfo=UTC), MAY_TO_JULY.end)
    assert [event.id for event in await events(may, span=june)] == ["j1"]
