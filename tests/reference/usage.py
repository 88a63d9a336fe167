"""Quantities straight from raw events (§3), one ladder and one stretch at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction

from tests.reference.in_force import FilterKey, InForce, Stretch, filter_key
from tests.reference.periods import Period, seconds_between
from tests.reference.world import Event, Meter, World

Series = tuple[str | None, ...]


@dataclass(frozen=True)
class Reading:
    """What one event says to one meter."""

    event: Event
    series: Series
    value: Fraction
    text: str


def counted_events(world: World, now: datetime) -> list[Event]:
    """Known, each identity once, voided ones not at all, in (time, source, id) order."""
    firsts: dict[tuple[str, str], Event] = {}
    for event in sorted(world.events, key=lambda event: event.recorded_at):  # stable: by position
        if event.recorded_at <= now:
            firsts.setdefault((event.source, event.id), event)
    voided = {(void.source, void.id) for void in world.voids if void.recorded_at <= now}
    counted = [event for identity, event in firsts.items() if identity not in voided]
    return sorted(counted, key=lambda event: (event.time, event.source, event.id))


def readings_of(meter: Meter, events: Sequence[Event]) -> list[Reading]:
    """What the meter hears: its event type, carrying its value."""
    found = []
    for event in events:
        if event.type != meter.event_type:
            continue
        if meter.value_property is not None and meter.value_property not in event.data:
            continue
        text = str(event.data[meter.value_property]) if meter.value_property else "1"
        numeric = meter.aggregation not in ("COUNT", "UNIQUE_COUNT")
        value = Fraction(Decimal(text)) if numeric else Fraction(1)
        found.append(Reading(event, _series(meter, event), value, text))
    return found


def _series(meter: Meter, event: Event) -> Series:
    return tuple(str(event.data[name]) if name in event.data else None for name in meter.dimensions)


def winner(meter: Meter, series: Series, prices: Sequence[InForce]) -> InForce | None:
    """The matching price that names more dimensions than any other."""
    named = dict(zip(meter.dimensions, series, strict=True))
    matching = [
        one
        for one in prices
        if one.price.meter == meter.slug
        and all(named.get(name) in values for name, values in one.price.filters.items())
    ]
    if not matching:
        return None
    most = max(len(one.price.filters) for one in matching)
    (best,) = [one for one in matching if len(one.price.filters) == most]
    return best


def won(meter: Meter, series: Series, stretch: Stretch, ladder: FilterKey) -> bool:
    """Whether in this stretch the ladder's price is the one that prices the series."""
    best = winner(meter, series, stretch.prices)
    return best is not None and filter_key(best.price) == ladder


def ladder_quantities(
    world: World,
    meter: Meter,
    ladder: FilterKey,
    now: datetime,
    stretches: Sequence[Stretch],
    period: Period,
) -> list[Fraction]:
    """The ladder's quantity in each stretch of the period."""
    readings = readings_of(meter, counted_events(world, now))
    match meter.aggregation:
        case "SUM" | "COUNT":
            return [
                sum((r.value for r in _inside(meter, readings, s, ladder)), Fraction(0))
                for s in stretches
            ]
        case "MAX" | "UNIQUE_COUNT":
            return _growth(meter, readings, stretches, ladder)
        case "TIME_WEIGHTED":
            until = min(now, period.end)
            return [_unit_hours(meter, readings, s, ladder, until) for s in stretches]
        case "LATEST":
            return _latest(meter, readings, stretches, ladder)


def _inside(
    meter: Meter, readings: Sequence[Reading], stretch: Stretch, ladder: FilterKey
) -> list[Reading]:
    return [
        reading
        for reading in readings
        if stretch.start <= reading.event.time < stretch.end
        and won(meter, reading.series, stretch, ladder)
    ]


def _growth(
    meter: Meter, readings: Sequence[Reading], stretches: Sequence[Stretch], ladder: FilterKey
) -> list[Fraction]:
    so_far: list[Reading] = []
    before = Fraction(0)
    quantities = []
    for stretch in stretches:
        so_far += _inside(meter, readings, stretch, ladder)
        if meter.aggregation == "MAX":
            running = max((reading.value for reading in so_far), default=Fraction(0))
        else:
            running = Fraction(len({reading.text for reading in so_far}))
        quantities.append(running - before)
        before = running
    return quantities


def _unit_hours(
    meter: Meter, readings: Sequence[Reading], stretch: Stretch, ladder: FilterKey, until: datetime
) -> Fraction:
    total = Fraction(0)
    for series in {reading.series for reading in readings}:
        if not won(meter, series, stretch, ladder):
            continue
        steps = [reading for reading in readings if reading.series == series]
        ends = [step.event.time for step in steps[1:]] + [until]
        for step, next_at in zip(steps, ends, strict=True):
            start = max(step.event.time, stretch.start)
            end = min(next_at, stretch.end, until)
            if start < end:
                total += step.value * seconds_between(start, end) / 3600
    return total


def _latest(
    meter: Meter,
    readings: Sequence[Reading],
    stretches: Sequence[Stretch],
    ladder: FilterKey,
) -> list[Fraction]:
    quantities = [Fraction(0) for _ in stretches]
    for series in {reading.series for reading in readings}:
        priced = [i for i, s in enumerate(stretches) if winner(meter, series, s.prices)]
        if not priced:
            continue
        last = priced[-1]
        end = stretches[last].end
        held = [r for r in readings if r.series == series and r.event.time < end]
        if held and won(meter, series, stretches[last], ladder):
            quantities[last] += held[-1].value
    return quantities
