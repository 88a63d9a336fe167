"""Random usage: ties, period edges, gauges held for long, late, repeated and voided events."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random

from tests.reference.generate_catalogue import APPS, REGIONS, RESOURCES
from tests.reference.world import Event, Meter, Value, Void

GAUGES = ("LATEST", "TIME_WEIGHTED")
DAYS_LATE_MAX = 33  # the page refuses usage older than 34 days, gauges never


def events_and_voids(
    rng: Random,
    meters: Sequence[Meter],
    count: int,
    opened_at: datetime,
    until: datetime,
    cuts: Sequence[datetime],
) -> tuple[tuple[Event, ...], tuple[Void, ...]]:
    """About `count` events with some deliveries more, in no order, and voids of some."""
    events: list[Event] = []
    for number in range(count):
        meter = rng.choice(meters)
        time = _time(rng, opened_at, until, [cut for cut in cuts if cut >= opened_at], events)
        recorded = time + _delay(rng, meter) + timedelta(microseconds=number + 1)
        source = rng.choice(["app-1", "app-2"])
        data = _data(rng, meters, meter.event_type)
        identity = f"e{rng.randrange(10**6)}-{number}"
        events.append(Event(identity, source, meter.event_type, time, data, recorded))
    again = [_again(rng, event) for event in events if rng.random() < 0.1]
    voids = [
        Void(event.source, event.id, event.recorded_at + _until_void(rng))
        for event in events
        if rng.random() < 0.1
    ]
    deliveries = events + again
    rng.shuffle(deliveries)
    return tuple(deliveries), tuple(voids)


def _time(
    rng: Random,
    opened_at: datetime,
    until: datetime,
    cuts: Sequence[datetime],
    earlier: Sequence[Event],
) -> datetime:
    chance = rng.random()
    if chance < 0.1 and cuts:
        return rng.choice(cuts) - timedelta(seconds=rng.choice([0, 0, 0, 1]))
    if chance < 0.18 and earlier:
        return rng.choice(earlier).time
    seconds = rng.randrange((until - opened_at) // timedelta(seconds=1))
    odd = timedelta(microseconds=rng.randrange(10**6)) if chance > 0.9 else timedelta()
    return opened_at + timedelta(seconds=seconds) + odd


def _delay(rng: Random, meter: Meter) -> timedelta:
    chance = rng.random()
    if chance < 0.55:
        return timedelta(seconds=rng.randint(0, 60))
    if chance < 0.7:
        return timedelta(seconds=rng.randint(60, 60 * 60 * 20))
    days = 60 if meter.aggregation in GAUGES else DAYS_LATE_MAX
    return timedelta(seconds=rng.randint(60, days * 24 * 60 * 60))


def _data(rng: Random, meters: Sequence[Meter], event_type: str) -> dict[str, Value]:
    data: dict[str, Value] = {}
    for name, values in (("app", APPS), ("region", REGIONS), ("resource", RESOURCES)):
        if rng.random() < 0.85:
            data[name] = rng.choice(values)
    feeding = [meter for meter in meters if meter.event_type == event_type]
    needed = all(meter.value_property for meter in feeding)
    for meter in feeding:
        if meter.value_property and (needed or rng.random() < 0.8):
            data[meter.value_property] = _value(rng, meter)
    return data


def _value(rng: Random, meter: Meter) -> Value:
    if meter.aggregation == "UNIQUE_COUNT":
        return f"user-{rng.randrange(8)}"
    most = 20 if meter.aggregation in GAUGES else 90
    if rng.random() < 0.5:
        return rng.choice([0, rng.randint(1, most), rng.randint(1, most), 1])
    return Decimal(rng.randint(1, most * 1000)).scaleb(-3)


def _again(rng: Random, event: Event) -> Event:
    """The same identity once more, later: usually the same body, now and then another."""
    later = event.recorded_at + timedelta(seconds=rng.randint(1, 40 * 24 * 60 * 60))
    if rng.random() < 0.2:
        numbers = [name for name, value in event.data.items() if not isinstance(value, str)]
        changed: dict[str, Value] = dict.fromkeys(numbers, Decimal("77.5"))
        return replace(event, data=event.data | changed, recorded_at=later)
    return replace(event, recorded_at=later)


def _until_void(rng: Random) -> timedelta:
    return timedelta(seconds=rng.randint(1, rng.choice([3600, 20 * 24 * 60 * 60])))
