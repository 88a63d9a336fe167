"""What the demo's organizations run, and the usage that reports: the same in every run.

Seed, simulator, demo controls and story all take their usage from here.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from hashlib import blake2b
from itertools import product

HOUR = timedelta(hours=1)
REGIONS = ("fra", "iad", "syd", "gru")
APPS = ("api", "worker", "web")
DELETED_APP = "old-staging"
BIGCO_APPS = 60
BIGCO_MACHINES = 10
_SATURDAY = 5
_WEEKEND_SHARE = Decimal("0.7")
_WHOLE = Decimal(1)
_EXACT = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Usage:
    """One event's content. `id` is made from what it is about, so the same usage is the same id."""

    id: str
    source: str
    type: str
    subject: str
    time: datetime
    data: Mapping[str, str]

    def cloud_event(self) -> dict[str, object]:
        """As CloudEvents 1.0 JSON has it; figures are text, so none ever is a float."""
        return {
            "specversion": "1.0",
            "id": self.id,
            "source": self.source,
            "type": self.type,
            "subject": self.subject,
            "time": self.time.isoformat(),
            "data": dict(self.data),
        }


@dataclass(frozen=True, slots=True)
class Series:
    """Something that is metered: a machine, a volume, an app's traffic in one region."""

    subject: str
    source: str
    type: str
    value: str
    per_hour: Decimal
    dimensions: Mapping[str, str]

    @property
    def name(self) -> str:
        """Tells it from all others of its organization and type."""
        return "/".join(self.dimensions.values())

    def usage(self, start: datetime, hours: Decimal, run: str = "") -> Usage:
        """What it used from `start` for so many hours, reported at the end of them.

        Not every hour is alike: it wavers by a quarter, and rests on weekends. `run` tells apart
        what is reported about the same hours twice.
        """
        identity = f"{self.type}/{self.name}/{run}{start:%Y%m%dT%H%M%S}"
        step = _WHOLE if self.value == "count" else _EXACT
        quantity = (self.per_hour * hours * _share(identity, start)).quantize(step)
        return Usage(
            identity,
            self.source,
            self.type,
            self.subject,
            start + timedelta(seconds=int(hours * 3600) - 1),
            {self.value: f"{quantity:f}", **self.dimensions},
        )


def usage_between(
    series: Sequence[Series], start: datetime, end: datetime, step_hours: int
) -> Iterator[Usage]:
    """Everything they used, in reports of so many hours each; not all report in the same hour."""
    for place, one in enumerate(series):
        at = start + HOUR * (place % step_hours) - HOUR * step_hours
        while at < end:
            first, last = max(at, start), min(at + HOUR * step_hours, end)
            if first < last:
                yield one.usage(first, Decimal((last - first) // timedelta(minutes=1)) / 60)
            at += HOUR * step_hours


def acme() -> list[Series]:
    """Three apps in four regions."""
    machines = {"api": 2, "web": 1, "worker": 1}
    return [
        *(
            _machine("acme", app, region, n)
            for app, region in product(APPS, REGIONS)
            for n in range(machines[app])
        ),
        *(_egress("acme", app, region, Decimal("0.030")) for app, region in product(APPS, REGIONS)),
        *(_volume("acme", app, "iad", 40) for app in APPS),
        *(_requests("acme", app, region, 900) for app, region in product(APPS, REGIONS)),
        *(_builds("acme", app, Decimal("0.5")) for app in APPS),
    ]


def acme_deleted() -> list[Series]:
    """The app that Acme has deleted since."""
    return [
        _machine("acme", DELETED_APP, "fra", 0),
        _egress("acme", DELETED_APP, "fra", Decimal("0.012")),
        _volume("acme", DELETED_APP, "fra", 10),
    ]


def solo() -> list[Series]:
    """A side project that runs a few hours a day: pennies a month."""
    return [
        _series("solo", "machines", "machine.usage", "hours", "0.08", "blog", "fra", "blog-fra-1"),
        _egress("solo", "blog", "fra", Decimal("0.0006")),
        _requests("solo", "blog", "fra", 60),
    ]


def bigco() -> list[Series]:
    """Thousands of machines."""
    apps = [f"svc-{number:02}" for number in range(1, BIGCO_APPS + 1)]
    places = list(product(apps, REGIONS))
    return [
        *(
            _machine("bigco", app, region, n)
            for app, region in places
            for n in range(BIGCO_MACHINES)
        ),
        *(_egress("bigco", app, region, Decimal("0.09")) for app, region in places),
        *(_requests("bigco", app, region, 2500) for app, region in places),
        *(_volume("bigco", app, "iad", 200) for app in apps),
        *(_builds("bigco", app, Decimal("0.3")) for app in apps),
    ]


def _machine(subject: str, app: str, region: str, number: int) -> Series:
    resource = f"{app}-{region}-{number + 1}"
    return _series(subject, "machines", "machine.usage", "hours", "0.9", app, region, resource)


def _volume(subject: str, app: str, region: str, gigabytes: int) -> Series:
    resource = f"{app}-{region}-data"
    size = str(gigabytes)
    return _series(subject, "volumes", "volume.usage", "gb_hours", size, app, region, resource)


def _egress(subject: str, app: str, region: str, per_hour: Decimal) -> Series:
    resource = f"{app}-{region}-lb"
    rate = str(per_hour)
    return _series(subject, "proxy", "network.egress", "gb", rate, app, region, resource)


def _requests(subject: str, app: str, region: str, per_hour: int) -> Series:
    return _series(subject, "proxy", "http.requests", "count", str(per_hour), app, region)


def _builds(subject: str, app: str, per_hour: Decimal) -> Series:
    return _series(subject, "builder", "build.finished", "minutes", str(per_hour), app)


def _series(
    subject: str, source: str, type_: str, value: str, per_hour: str, *dimensions: str
) -> Series:
    named = dict(zip(("app", "region", "resource"), dimensions, strict=False))
    return Series(subject, f"platform/{source}", type_, value, Decimal(per_hour), named)


def _share(identity: str, start: datetime) -> Decimal:
    """Three to five quarters, by the event's own name: the same in every run."""
    drawn = int.from_bytes(blake2b(identity.encode(), digest_size=2).digest(), "big")
    wavering = Decimal("0.75") + Decimal(drawn) / 2**17
    return wavering * (_WEEKEND_SHARE if start.weekday() >= _SATURDAY else 1)
