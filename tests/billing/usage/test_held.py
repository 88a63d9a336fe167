"""What is held counts until the next reading: over every edge, up to now, and no further."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from billing.models import Organization
from billing.rules.aggregation import Aggregation, Counted, value_of
from billing.rules.money import Currency, Money
from billing.rules.periods import Period
from tests.billing.usage.conftest import Usage, an_event
from tests.billing.usage.reading import comparable, flat, from_buckets, from_readings
from tests.factories import a_meter

NOVEMBER = Period(datetime(2026, 11, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC))
HALF = datetime(2026, 11, 16, tzinfo=UTC)
LONG_BEFORE = "2025-02-03T04:05:06Z"


@pytest.fixture
async def volumes(usage: Usage) -> Usage:
    """Gauges of volumes by app: `stored` in GB-hours, `size` as it is; December has begun."""
    async with usage.runtime.sessions.begin() as session:
        for slug, aggregation in (
            ("stored", Aggregation.TIME_WEIGHTED),
            ("size", Aggregation.LATEST),
        ):
            named = {"app": "app"}
            await a_meter(
                session, slug, aggregation=aggregation, dimensions=named, event_type="volume"
            )
    usage.clock.at = datetime(2026, 12, 2, tzinfo=UTC)
    return usage


async def read(usage: Usage, *readings: tuple[str, int | str, str], subject: str = "acme") -> None:
    """(app, GB, time) of each, sent in this order."""
    verdicts = await usage.record(
        *(
            an_event(
                id=f"{subject}-{number}",
                subject=subject,
                type="volume",
                time=time,
                data={"app": app, "value": str(value)},
            )
            for number, (app, value, time) in enumerate(readings)
        )
    )
    assert not any(verdict.is_refused for verdict in verdicts)


async def counted(
    usage: Usage,
    *between: datetime,
    upto: datetime = NOVEMBER.end,
    org: Organization | None = None,
) -> Mapping[tuple[str, str, int], Counted]:
    """November by meter, app and stretch, which buckets and readings must agree about."""
    org_id = (org or usage.acme).id
    cuts = [NOVEMBER.start, *between, NOVEMBER.end]
    unfolded = await from_readings(usage, org_id, cuts, upto)
    found = await from_buckets(usage, org_id, cuts, upto)
    assert comparable(found) == comparable(unfolded)
    return {(slug, dict(named)["app"], n): one for (slug, named, n), one in flat(found).items()}


async def test_worked_example_10_a_volume_held_from_before_and_grown(volumes: Usage) -> None:
    await read(volumes, ("db", 20, "2026-11-11T00:00:00Z"), ("db", 10, LONG_BEFORE))

    found = await counted(volumes)

    assert value_of(Aggregation.TIME_WEIGHTED, [found["stored", "db", 0]]) == 12_000
    price_minor = Fraction("0.0002") * 100
    amount = Money.rounded(found["stored", "db", 0].weighted * price_minor, Currency.USD)
    assert str(amount) == "$2.40"


async def test_worked_example_11_three_volumes_of_ten(volumes: Usage) -> None:
    await read(
        volumes,
        ("a", 10, LONG_BEFORE),
        ("b", 99, "2026-11-02T00:00:00Z"),
        ("b", 10, "2026-11-02T00:00:01Z"),
        ("c", 10, "2026-11-30T23:59:59.999999Z"),
    )

    found = await counted(volumes)

    assert value_of(Aggregation.LATEST, [found["size", app, 0] for app in "abc"]) == 30


async def test_what_is_held_is_in_every_stretch_whether_anything_happened_or_not(
    volumes: Usage,
) -> None:
    await read(volumes, ("db", 3, LONG_BEFORE), ("web", 5, "2026-11-16T06:00:00Z"))

    found = await counted(volumes, HALF)

    assert found["stored", "db", 0] == found["stored", "db", 1]
    held = Counted(0, Decimal(0), Decimal(0), Decimal(3), Fraction(3 * 360))
    assert found["stored", "db", 1] == held
    assert ("stored", "web", 0) not in found, "nothing is held before the first reading"
    assert found["stored", "web", 1].weighted == 5 * 354


async def test_a_reading_exactly_on_a_cut_belongs_to_what_follows(volumes: Usage) -> None:
    await read(volumes, ("db", 3, "2026-11-15T00:00:00Z"), ("db", 7, "2026-11-16T00:00:00Z"))

    found = await counted(volumes, HALF)

    before, after = found["size", "db", 0], found["size", "db", 1]
    assert before == Counted(1, Decimal(3), Decimal(3), Decimal(3), Fraction(3 * 24))
    assert after == Counted(1, Decimal(7), Decimal(7), Decimal(7), Fraction(7 * 360))


@pytest.mark.parametrize(
    ("upto", "weighted"),
    [
        ("2026-11-10T13:00:00Z", 0),
        ("2026-11-10T13:40:00Z", 10 * Fraction(30, 60)),
        ("2026-11-10T14:00:00Z", 10 * Fraction(50, 60)),
        ("2026-11-10T20:10:00Z", 10 * 7),
        ("2026-12-01T00:01:00Z", 10 * Fraction(29450, 60)),
    ],
)
async def test_it_is_counted_up_to_now_and_no_further(
    volumes: Usage, upto: str, weighted: Fraction
) -> None:
    """Now may lie before the reading's hour ends, at its end, or after it."""
    await read(volumes, ("db", 10, "2026-11-10T13:10:00Z"))

    found = await counted(volumes, HALF, upto=datetime.fromisoformat(upto))

    assert sum(found["stored", "db", number].weighted for number in (0, 1)) == weighted
    assert found["size", "db", 1].latest == 10, "as the period would stand"


@pytest.mark.parametrize("ahead", ["2026-11-10T13:59:00Z", "2026-11-10T14:02:00Z"])
async def test_a_reading_ahead_of_now_counts_up_to_its_own_instant(
    volumes: Usage, ahead: str
) -> None:
    await read(volumes, ("db", 10, "2026-11-10T13:00:00Z"), ("db", 99, ahead))

    found = await counted(volumes, upto=datetime(2026, 11, 10, 13, 58, tzinfo=UTC))

    minutes = (datetime.fromisoformat(ahead) - datetime(2026, 11, 10, 13, tzinfo=UTC)) / timedelta(
        minutes=1
    )
    assert found["stored", "db", 0].weighted == 10 * Fraction(int(minutes), 60)
    assert found["size", "db", 0].latest == 99


async def test_what_was_set_to_nothing_costs_nothing_from_there(volumes: Usage) -> None:
    await read(volumes, ("db", "0.5", LONG_BEFORE), ("db", 0, "2026-11-01T00:00:00.000001Z"))

    found = await counted(volumes, HALF)

    assert found["stored", "db", 0].weighted == Fraction(1, 2 * 3600 * 10**6)
    assert found["stored", "db", 1].weighted == 0
    assert found["stored", "db", 1].latest == 0


async def test_nobody_holds_what_another_organization_read(volumes: Usage) -> None:
    await read(volumes, ("db", 10, LONG_BEFORE))
    await read(volumes, ("db", 4, LONG_BEFORE), subject="globex")

    found = await counted(volumes, org=volumes.globex)

    assert found["stored", "db", 0].weighted == 4 * 720


async def test_the_largest_quantities_are_exact(volumes: Usage) -> None:
    largest = "999999999999999.999999999999"
    await read(volumes, ("db", largest, LONG_BEFORE), ("db", largest, "2026-11-30T00:00:00.1Z"))

    found = await counted(volumes)

    assert found["stored", "db", 0].weighted == Fraction(largest) * 720
