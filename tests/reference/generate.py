"""Random worlds of one organization: every rule meets every other, in small.

`world_of(seed, size)` is a pure function. Instants that split usage are whole UTC hours; nothing is
invalid; nothing is written that the product would refuse (two prices for one series, a cap below
the fixed fees, a version dated into a closed period).
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Literal

from tests.reference.generate_catalogue import Catalogue, catalogue
from tests.reference.generate_usage import events_and_voids
from tests.reference.periods import Period, period_at_index, period_of
from tests.reference.world import (
    CapChange,
    Coupon,
    Grant,
    OneOff,
    Organization,
    PriceOverride,
    PriceVersion,
    Resumed,
    Subscription,
    TaxRate,
    World,
)

HOUR = timedelta(hours=1)
OPENINGS = [(2024, 1), (2023, 12), (2024, 2), (2023, 2), (2023, 10), (2024, 5), (2023, 12)]


@dataclass(frozen=True)
class Frame:
    """What every part of a world is drawn within."""

    rng: Random
    organization: Organization
    periods: tuple[Period, ...]
    closes: tuple[datetime, ...]
    step: int
    unit: int

    @property
    def hours(self) -> int:
        """Whole hours from the opening to the last close."""
        return (self.closes[-1] - self.organization.opened_at) // HOUR

    def hour(self) -> datetime:
        """A whole hour in the world, now and then the edge of a period."""
        if self.rng.random() < 0.12:
            return self.rng.choice(self.periods[1:]).start
        return self.organization.opened_at + self.rng.randint(0, self.hours) * HOUR

    def money(self, least: int, most: int) -> int:
        """Between so many hundredths of a usual unit, in minor units on the currency's step."""
        amount = self.rng.randint(least, most) * self.unit // 100
        return amount - amount % self.step


def world_of(seed: int, size: Literal["small", "large"]) -> World:
    """The world of a seed."""
    frame = _frame(Random(seed))
    rng = frame.rng
    tiny = rng.random() < 0.15
    quiet = rng.random() < 0.2  # little but fees that are cancelled: credit
    offered = catalogue(rng, frame.organization, frame.periods, frame.unit, size, tiny)
    subscriptions = _subscriptions(frame, offered, quiet)
    count = rng.randint(8, 34) if size == "small" else rng.randint(120, 300)
    if quiet:
        count = count // 4 + 1
    cuts = [p.end for p in frame.periods] + [s.starts_at for s in subscriptions]
    events, voids = events_and_voids(
        rng, offered.meters, count, frame.organization.opened_at, frame.closes[-1], cuts
    )
    return World(
        frame.organization,
        offered.meters,
        offered.plans,
        subscriptions,
        _overrides(frame, offered),
        events,
        voids,
        one_offs=() if (tiny or quiet) and rng.random() < 0.8 else _one_offs(frame),
        coupons=_coupons(frame),
        caps=_caps(frame, offered),
        grants=_grants(frame, offered),
        taxes=_taxes(frame),
        closes=frame.closes,
    )


def _frame(rng: Random) -> Frame:
    currency = rng.choice(["USD", "USD", "USD", "EUR", "GBP", "JPY", "BHD"])
    year, month = rng.choice(OPENINGS)
    opened = datetime(year, month, rng.randint(1, 28), rng.randrange(24), tzinfo=UTC)
    if rng.random() < 0.2:
        opened = opened.replace(day=1, hour=0)
    anchor = rng.choice([1, 1, 1, 15, 28, 29, 30, 31])
    organization = Organization(f"org-{rng.randrange(10**6)}", currency, anchor, opened)
    periods = tuple(period_at_index(organization, i) for i in range(rng.randint(2, 4)))
    grace = [rng.choice([1, 24, 24, rng.randint(1, 71)]) for _ in periods]
    closes = tuple(
        period.end + timedelta(hours=hours, minutes=17, seconds=30)
        for period, hours in zip(periods, grace, strict=True)
    )
    step = 10 if currency == "BHD" else 1
    return Frame(rng, organization, periods, closes, step, 1000 if currency == "BHD" else 100)


def _subscriptions(frame: Frame, offered: Catalogue, quiet: bool) -> tuple[Subscription, ...]:
    rng = frame.rng
    start = frame.organization.opened_at
    if rng.random() < 0.5:
        start += rng.randint(0, 400) * HOUR
    found = _history(frame, list(offered.family), start, "main", quiet)
    if offered.addon and rng.random() < 0.7:
        found += _history(frame, [offered.addon], frame.hour(), "addon", quiet)
    return tuple(found)


def _history(
    frame: Frame, plans: list[str], start: datetime, name: str, quiet: bool
) -> list[Subscription]:
    """A start, then plan changes, cancellations and new starts, until chance says stop."""
    rng = frame.rng
    found: list[Subscription] = []
    changes: str | None = None
    while start < frame.closes[-1] and len(found) < 4:
        trial = None
        if changes is None and rng.random() < 0.2:
            trial = start + rng.choice([24 * 14, 24 * 30, rng.randint(1, 900)]) * HOUR
        end = start + rng.randint(1, 1100) * HOUR
        stays = rng.random() < (0.1 if quiet else 0.35) or end >= frame.closes[-1]
        moves = not stays and trial is None and len(plans) > 1 and rng.random() < 0.65
        key = f"{name}-{len(found)}"
        recorded = end
        if not moves and rng.random() < 0.3:  # a cancellation may be booked ahead
            recorded = max(start + HOUR, end - rng.randint(1, 600) * HOUR)
        known_until = frame.closes[-1] if stays else min(end, recorded)
        found.append(
            Subscription(
                key,
                rng.choice(plans) if not changes else _another(rng, plans, found[-1].plan),
                created_at=start,
                starts_at=start,
                ends_at=None if stays else end,
                end_recorded_at=None if stays else recorded,
                changes=changes,
                trial_ends_at=trial,
                resumed=_resumed(rng, start, known_until),
            )
        )
        if stays or (not moves and rng.random() < (0.2 if quiet else 0.6)):
            break
        changes = key if moves else None
        start = end if moves else end + rng.randint(1, 300) * HOUR
    return found


def _resumed(rng: Random, start: datetime, until: datetime) -> Resumed | None:
    """Now and then somebody cancels, and thinks better of it before that has come."""
    hours = (until - start) // HOUR
    if hours < 8 or rng.random() < 0.7:
        return None
    recorded = start + rng.randint(1, hours // 2) * HOUR + timedelta(minutes=41)
    back = recorded + rng.randint(1, hours // 2 - 2) * HOUR
    ends_at = back.replace(minute=0) + rng.randint(1, 900) * HOUR
    return Resumed(ends_at, recorded, back)


def _overrides(frame: Frame, offered: Catalogue) -> tuple[PriceOverride, ...]:
    """Of metered prices, on terms that another version or price of that meter has."""
    rng = frame.rng
    found: dict[tuple[str, str, datetime], PriceOverride] = {}
    metered = [(plan, x) for plan in offered.plans for x in plan.prices if x.meter]
    for _ in range(rng.choice([0, 0, 1, 2]) if metered else 0):
        plan, price = rng.choice(metered)
        like = rng.choice([x for _, x in metered if x.meter == price.meter])
        terms: PriceVersion | None = rng.choice(like.versions)
        recorded = frame.hour() + timedelta(minutes=33)
        since = _reach(frame, recorded)
        for _ in range(rng.choice([1, 2, 2])):
            key = (plan.slug, price.slug, since)
            if key in found or any(at > since for p, x, at in found if (p, x) == key[:2]):
                break
            found[key] = PriceOverride(plan.slug, price.slug, since, terms, recorded)
            terms = None
            recorded += rng.randint(0, 300) * HOUR + timedelta(seconds=1)
            since = max(since + HOUR, _reach(frame, recorded))
    return tuple(sorted(found.values(), key=lambda one: one.recorded_at))


def _reach(frame: Frame, recorded: datetime) -> datetime:
    """A whole hour that may still be priced anew, in the open period or later."""
    open_since = period_of(frame.organization, recorded).start
    hour = recorded.replace(minute=0, second=0) + frame.rng.randint(-100, 400) * HOUR
    return max(open_since, hour)


def _another(rng: Random, plans: list[str], current: str) -> str:
    return rng.choice([plan for plan in plans if plan != current])


def _one_offs(frame: Frame) -> tuple[OneOff, ...]:
    rng = frame.rng
    found = []
    for number in range(rng.choice([0, 0, 1, 2, 3])):
        at = frame.hour() + timedelta(minutes=rng.randrange(60))
        late = timedelta(days=rng.randint(1, 20)) if rng.random() < 0.2 else timedelta()
        recorded = at + late + timedelta(seconds=rng.randint(0, 50))
        amount = max(frame.step, frame.money(1, 6000))
        found.append(OneOff(f"one-off-{number}", amount, at, recorded))
    return tuple(found)


def _coupons(frame: Frame) -> tuple[Coupon, ...]:
    rng = frame.rng
    found = []
    for number in range(rng.choice([0, 0, 0, 1, 1, 2, 3])):
        percent = rng.choice(["10", "25", "33.3", "50", "12.5", "100"])
        by_percent = rng.random() < 0.6
        created = frame.organization.opened_at
        if rng.random() < 0.5:
            created = frame.hour()
        found.append(
            Coupon(
                f"coupon-{number}",
                Decimal(percent) if by_percent else None,
                None if by_percent else max(frame.step, frame.money(50, 2500)),
                rng.choice([None, 1, 1, 2, 3]),
                created + timedelta(minutes=1 + number),
                ended_at=created + rng.randint(1, 1500) * HOUR if rng.random() < 0.2 else None,
            )
        )
    return tuple(found)


def _caps(frame: Frame, offered: Catalogue) -> tuple[CapChange, ...]:
    """Never below the fees of every plan together, never between a period's end and its close."""
    rng = frame.rng
    if rng.random() < 0.5:
        return ()
    found: dict[datetime, CapChange] = {}
    for _ in range(rng.choice([1, 1, 2, 3, 4])):
        at = frame.hour() + timedelta(minutes=29)
        windows = zip(frame.periods, frame.closes, strict=True)
        if any(period.end <= at <= close for period, close in windows):
            continue
        amount: int | None = offered.fixed_minor + max(
            frame.step, frame.money(1, rng.choice([200, 1000, 4000]))
        )
        found[at] = CapChange(at, None if found and rng.random() < 0.2 else amount)
    return tuple(found[at] for at in sorted(found))


def _grants(frame: Frame, offered: Catalogue) -> tuple[Grant, ...]:
    rng = frame.rng
    found = []
    for number in range(rng.choice([0, 0, 1, 2, 3, 4])):
        promotional = rng.random() < 0.6
        scope = rng.choice(offered.meters).slug if rng.random() < 0.4 else None
        created = frame.organization.opened_at if rng.random() < 0.6 else frame.hour()
        valid = created + rng.choice([0, 0, 24, 800]) * HOUR
        expires = None if rng.random() < 0.5 else valid + rng.randint(1, 1500) * HOUR
        found.append(
            Grant(
                f"grant-{number}",
                "PROMOTIONAL" if promotional else "PREPAID",
                max(frame.step, frame.money(20, 4000)),
                scope,
                rng.choice([1, 1, 2, 5]),
                valid,
                expires,
                created + timedelta(minutes=11 + number),
            )
        )
    return tuple(found)


def _taxes(frame: Frame) -> tuple[TaxRate, ...]:
    """Now and then one begins, ends or changes in between."""
    rng = frame.rng
    found: list[TaxRate] = []
    for name, percent in rng.sample(
        [("vat", "20"), ("state", "7.25")], rng.choice([0, 0, 1, 1, 2])
    ):
        since = frame.hour() + timedelta(minutes=37) if rng.random() < 0.15 else None
        begun = since or frame.organization.opened_at
        until = begun + rng.randint(1, 1500) * HOUR if rng.random() < 0.2 else None
        found.append(TaxRate(name, Decimal(percent), since, until))
        if until is not None and rng.random() < 0.5:
            found.append(TaxRate(name, Decimal(percent) + 1, until))
    return tuple(found)
