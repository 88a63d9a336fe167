"""Curves of every aggregation, by hour, day and month."""

from datetime import UTC, datetime
from fractions import Fraction

import pytest
from sqlalchemy import select

from billing.models import Meter, UsageSeries
from billing.rules.aggregation import Aggregation
from billing.rules.periods import Period
from billing.usage import settle_usage
from billing.usage.curves import Interval, Spacing, usage_over_time
from tests.billing.usage.conftest import Usage, an_event
from tests.factories import a_meter

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HISTORY = (
    ("2026-10-20T00:00:00Z", "web", "2"),
    ("2026-11-08T06:00:00Z", "api", "4"),
    ("2026-11-08T06:30:00Z", "web", "4"),
    ("2026-11-10T12:00:00Z", "web", "1"),
    ("2026-11-10T12:20:00Z", "web", "4"),
)
"""(time, app, value); it is 10 November, 14:00."""


@pytest.fixture
async def every_meter(usage: Usage) -> Usage:
    async with usage.runtime.sessions.begin() as session:
        for aggregation in Aggregation:
            meter = await a_meter(
                session, aggregation, aggregation=aggregation, dimensions={"app": "app"}
            )
            meter.event_type = "all"
    await usage.record(
        *(
            an_event(id=f"e{n}", type="all", time=time, data={"app": app, "value": value})
            for n, (time, app, value) in enumerate(HISTORY)
        )
    )
    return usage


async def curve(
    usage: Usage, aggregation: Aggregation, spacing: Spacing, span: Period = NOVEMBER
) -> list[tuple[str, str | None, Fraction | int]]:
    """Each point's start, group and quantity."""
    async with usage.runtime.sessions() as session:
        await settle_usage(session, usage.acme.id)
        meter = (await session.scalars(select(Meter).where(Meter.slug == aggregation))).one()
        points = await usage_over_time(
            session, usage.acme.id, meter, span, spacing, upto=usage.clock.at
        )
    return [(f"{point.start:%d %Hh}", point.group, point.quantity) for point in points]


@pytest.mark.parametrize(
    ("aggregation", "expected"),
    [
        (Aggregation.SUM, {"08": 8, "10": 5}),
        (Aggregation.COUNT, {"08": 2, "10": 2}),
        (Aggregation.MAX, {"08": 4, "10": 4}),
        (Aggregation.UNIQUE_COUNT, {"08": 1, "10": 2}),
        (Aggregation.LATEST, dict.fromkeys(["08", "09", "10"], 8)),
        (
            Aggregation.TIME_WEIGHTED,
            {
                "08": 4 * 18 + 2 * Fraction(13, 2) + 4 * Fraction(35, 2),
                "09": 8 * 24,
                "10": 4 * 14 + 4 * 12 + Fraction(1, 3) + 4 * Fraction(5, 3),
            },
        ),
    ],
)
async def test_a_day_by_every_aggregation(
    every_meter: Usage, aggregation: Aggregation, expected: dict[str, Fraction]
) -> None:
    """Held values are there on days without events too, up to now; before, web alone held 2."""
    before = {Aggregation.LATEST: 2, Aggregation.TIME_WEIGHTED: 48}.get(aggregation)
    held = {f"{day:02} 00h": before for day in range(1, 8)} if before else {}

    points = await curve(every_meter, aggregation, Spacing(Interval.DAY, 99))

    assert {start: quantity for start, _, quantity in points} == held | {
        f"{day} 00h": quantity for day, quantity in expected.items()
    }


async def test_by_a_dimension(every_meter: Usage) -> None:
    span = Period(datetime(2026, 11, 8, 6, tzinfo=UTC), datetime(2026, 11, 8, 8, tzinfo=UTC))

    points = await curve(every_meter, Aggregation.LATEST, Spacing(Interval.HOUR, 99, "app"), span)

    assert points == [
        ("08 06h", "api", 4),
        ("08 06h", "web", 4),
        ("08 07h", "api", 4),
        ("08 07h", "web", 4),
    ]


async def test_of_some_series_alone(every_meter: Usage) -> None:
    async with every_meter.runtime.sessions() as session:
        await settle_usage(session, every_meter.acme.id)
        web = UsageSeries.dimensions["app"].astext == "web"
        ids = (await session.scalars(select(UsageSeries.id).where(web))).all()
    spacing = Spacing(Interval.MONTH, 99, series=ids)

    assert await curve(every_meter, Aggregation.SUM, spacing) == [("01 00h", None, 9)]
    none = Spacing(Interval.MONTH, 99, series=[])
    assert await curve(every_meter, Aggregation.SUM, none) == []


async def test_months_are_of_the_calendar_and_what_is_cut_off_is_not_counted(
    every_meter: Usage,
) -> None:
    span = Period(datetime(2026, 10, 25, tzinfo=UTC), datetime(2027, 2, 1, tzinfo=UTC))

    points = await curve(every_meter, Aggregation.TIME_WEIGHTED, Spacing(Interval.MONTH, 99), span)

    october, november = points
    assert october == ("01 00h", None, 2 * 24 * 7)
    days = await curve(every_meter, Aggregation.TIME_WEIGHTED, Spacing(Interval.DAY, 99))
    assert november[2] == sum(quantity for _, _, quantity in days)


async def test_no_more_points_than_asked_for(every_meter: Usage) -> None:
    points = await curve(every_meter, Aggregation.LATEST, Spacing(Interval.DAY, 2))

    assert [start for start, _, _ in points] == ["01 00h", "02 00h"]


async def test_the_last_point_is_of_the_hour_that_has_begun(every_meter: Usage) -> None:
    """At 14:00 sharp that is the hour from 13:00, and nothing is held in the next yet."""
    today = Period(datetime(2026, 11, 10, 12, tzinfo=UTC), datetime(2026, 11, 11, tzinfo=UTC))

    points = await curve(every_meter, Aggregation.LATEST, Spacing(Interval.HOUR, 99), today)

    assert points == [("10 12h", None, 8), ("10 13h", None, 8)]


async def test_what_lies_ahead_has_no_curve(every_meter: Usage) -> None:
    december = Period(NOVEMBER.end, datetime(2027, 1, 1, tzinfo=UTC))

    assert await curve(every_meter, Aggregation.LATEST, Spacing(Interval.DAY, 99), december) == []
