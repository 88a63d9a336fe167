import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from billing.catalog import meters
from billing.models import AuditEntry, Meter, Plan, Price, PriceVersion
from billing.price_book import PriceBookRefused
from billing.runtime import Runtime, Sessions
from billing.subscribing import start_subscription
from jobs.close_periods import close_periods
from tests.billing.price_books import (
    BOOK,
    NEW_VERSION,
    ONLY_VERSION,
    applied,
    lines,
    refused,
    with_price,
)
from tests.factories import LONG_AGO, a_meter, an_organization, counted, subscribed
from tests.world import NOVEMBER_10, Clock

USAGE = "versions: [{effective_from: 2025-01-01, model: PER_UNIT, unit_amount: 1}]"


async def count(sessions: Sessions, table: Any) -> int:
    async with sessions() as session:
        return await session.scalar(select(func.count()).select_from(table)) or 0


async def test_a_book_is_applied_with_its_audit(sessions: Sessions) -> None:
    diff = await applied(sessions, BOOK)

    assert lines(diff) == [
        "ADDED meter egress_gb: SUM of gb in network.egress, in GB, by app, region",
        "ADDED plan pro: Pro",
        "ADDED price pro/egress/USD: egress_gb",
        "ADDED version pro/egress/USD@1: from 2025-01-01 00:00 UTC: 0.02 USD a unit",
        "ADDED price pro/fee/USD: fee",
        "ADDED version pro/fee/USD@1: from 2025-01-01 00:00 UTC: 29.00 USD a period, in advance",
    ]
    async with sessions() as session:
        version = await session.scalar(select(PriceVersion).where(PriceVersion.number == 1))
        act = await session.scalar(select(AuditEntry))
        [meter] = await meters(session)
    assert version is not None
    assert (version.effective_from, version.recorded_at) == (LONG_AGO, NOVEMBER_10)
    assert act is not None
    assert (act.actor, act.action, act.details["added"]) == ("cli", "catalog.applied", 6)
    assert (meter.slug, meter.event_type) == ("egress_gb", "network.egress")


async def test_the_same_book_again_changes_nothing(sessions: Sessions) -> None:
    await applied(sessions, BOOK)

    again = await applied(sessions, BOOK.replace("0.02", "0.0200"))

    assert again.differences == ()
    assert await count(sessions, AuditEntry) == 1


async def test_the_demos_book_can_be_applied(sessions: Sessions) -> None:
    source = (Path(__file__).parents[2] / "sandbox" / "price_book.yaml").read_text()
    await applied(sessions, source)
    assert (await applied(sessions, source)).is_empty


async def test_a_dry_run_shows_the_same_and_writes_nothing(sessions: Sessions) -> None:
    shown = await applied(sessions, BOOK, dry_run=True)

    assert await count(sessions, Plan) == await count(sessions, AuditEntry) == 0
    assert await applied(sessions, BOOK) == shown


async def test_a_new_version_takes_effect_at_a_whole_hour(sessions: Sessions) -> None:
    await applied(sessions, BOOK)

    diff = await applied(sessions, BOOK.replace(ONLY_VERSION, NEW_VERSION))

    assert lines(diff) == [
        "ADDED version pro/egress/USD@2: from 2026-11-20 11:00 UTC (rounded up from 10:01:00):"
        " 0.03 USD a unit"
    ]


async def test_what_the_book_lacks_is_kept_and_shown(sessions: Sessions) -> None:
    await applied(sessions, BOOK.replace(ONLY_VERSION, NEW_VERSION))
    book = BOOK.replace(ONLY_VERSION, NEW_VERSION.replace("  - {effective_from: 2025", "# "))
    other = book[: book.index("      - slug: fee")].replace("slug: pro", "slug: team")

    assert [line.split(":")[0] for line in lines(await applied(sessions, book, dry_run=True))] == [
        "KEPT version pro/egress/USD@1"
    ]
    assert (
        lines(await applied(sessions, other))[-1]
        == "KEPT plan pro: not in the book, stays as it is"
    )
    assert await count(sessions, Price) == 3


async def test_names_and_order_may_change(sessions: Sessions) -> None:
    await applied(sessions, BOOK)
    start, fee = BOOK.index("      - slug: egress\n"), BOOK.index("      - slug: fee\n")
    swapped = BOOK[:start] + BOOK[fee:] + BOOK[start:fee]
    renamed = swapped.replace("name: Egress", "name: Traffic").replace("unit: GB", "unit: GiB")
    renamed = renamed.replace("name: Pro", "name: Professional")

    assert lines(await applied(sessions, renamed)) == [
        "CHANGED meter egress_gb: name: Egress → Traffic",
        "CHANGED meter egress_gb: unit: GB → GiB",
        "CHANGED plan pro: name: Pro → Professional",
        "CHANGED plan pro: prices in another order",
        "CHANGED price pro/egress/USD: name: Egress → Traffic",
    ]
    assert (await applied(sessions, renamed)).is_empty


@pytest.mark.parametrize(
    ("before", "after", "path", "code"),
    [
        ("amount: 0.02", "amount: 0.03", "plans[0].prices[0].versions[0]", "VERSION_EDITED"),
        ("29.00, timing: ADVANCE", "29.00, timing: ARREARS", "plans[0].prices[1]", "TIMING_FIXED"),
        (
            "meter: egress_gb",
            "meter: egress_gb\n        filters: {region: [ams]}",
            "plans[0].prices[0].filters",
            "PRICE_FIXED",
        ),
        ("meter: egress_gb", "meter: egres_gb", "plans[0].prices[0].meter", "UNKNOWN_METER"),
    ],
)
async def test_what_is_sold_already_is_not_edited(
    sessions: Sessions, before: str, after: str, path: str, code: str
) -> None:
    await applied(sessions, BOOK)
    assert (path, code) in await refused(sessions, BOOK.replace(before, after))
    assert (await applied(sessions, BOOK)).is_empty


async def test_a_refused_book_is_not_half_written(sessions: Sessions) -> None:
    source = with_price(f"slug: other, meter: nothing, {USAGE}")

    with pytest.raises(PriceBookRefused) as refusal:
        await applied(sessions, source)

    assert str(refusal.value.problems[0]) == (
        "plans[0].prices[2].meter (line 25): UNKNOWN_METER:"
        " There is no meter 'nothing'. Add it to meters."
    )
    assert await count(sessions, Meter) == await count(sessions, AuditEntry) == 0


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ("slug: again, meter: egress_gb", "AMBIGUOUS_FILTERS"),
        ("slug: eu, meter: egress_gb, filters: {regoin: [ams]}", "UNKNOWN_DIMENSION"),
        ("slug: eu, meter: egress_gb, filters: {region: [ams]}", None),
    ],
)
async def test_filters_must_choose_clearly(
    sessions: Sessions, fields: str, code: str | None
) -> None:
    await applied(sessions, BOOK)
    expected = [("plans[0].prices[2].filters", code)] if code else []
    assert await refused(sessions, with_price(f"{fields}, {USAGE}")) == expected


async def test_ambiguity_with_a_price_that_is_kept_names_both(sessions: Sessions) -> None:
    await applied(sessions, BOOK)
    with pytest.raises(PriceBookRefused) as refusal:
        await applied(sessions, BOOK.replace("slug: egress\n", "slug: traffic\n"))
    assert "pro/traffic/USD and pro/egress/USD could match" in refusal.value.problems[0].message


@pytest.mark.parametrize(
    ("before", "after", "field"),
    [
        ("value: gb", "value: bytes", "value"),
        ("aggregation: SUM", "aggregation: MAX", "aggregation"),
        ("event_type: network.egress", "event_type: egress", "event_type"),
        ("[app, region]", "[app, region, resource]", "dimensions"),
    ],
)
async def test_a_meter_is_fixed_once_there_is_usage(
    sessions: Sessions, before: str, after: str, field: str
) -> None:
    await applied(sessions, BOOK)
    changed = BOOK.replace(before, after)
    assert not (await applied(sessions, changed)).is_empty, "no usage yet"
    await applied(sessions, BOOK)
    async with sessions.begin() as session:
        org = await an_organization(session)
        [meter] = await meters(session)
        await counted(session, org.id, meter, 5, NOVEMBER_10, app="web", region="ams")

    assert await refused(sessions, changed) == [(f"meters[0].{field}", "METER_FIXED")]


async def test_a_version_is_never_dated_into_a_closed_period(
    runtime: Runtime, clock: Clock
) -> None:
    await applied(runtime.sessions, BOOK)
    async with runtime.sessions.begin() as session:
        org = await an_organization(session)
        await start_subscription(session, org, "pro", clock.at, actor="cli", now=clock.at)
    backdated = BOOK.replace(ONLY_VERSION, NEW_VERSION)
    assert not (await applied(runtime.sessions, backdated, dry_run=True)).is_empty

    clock.advance(timedelta(days=21))
    await close_periods({"runtime": runtime})

    assert await refused(runtime.sessions, backdated) == [
        ("plans[0].prices[0].versions[1].effective_from", "CLOSED_PERIOD")
    ]
    open_ = backdated.replace("2026-11-20T10:01Z", "2026-12-01")
    assert await refused(runtime.sessions, open_) == []


async def test_a_fee_that_is_paid_in_advance_changes_from_the_next_period_on(
    runtime: Runtime, clock: Clock
) -> None:
    await applied(runtime.sessions, BOOK)
    async with runtime.sessions.begin() as session:
        org = await an_organization(session)
        await start_subscription(session, org, "pro", clock.at, actor="cli", now=clock.at)
    version = "{effective_from: 2026-11-20, model: FLAT, amount: 59, timing: ADVANCE}"
    dearer = f"{BOOK}          - {version}\n"

    assert await refused(runtime.sessions, dearer) == [
        ("plans[0].prices[1].versions[1].effective_from", "PAID_PERIOD")
    ]
    assert await refused(runtime.sessions, dearer.replace("2026-11-20", "2026-12-01")) == []


async def test_two_plans_of_one_organization_never_come_to_price_one_meter(
    sessions: Sessions,
) -> None:
    other = "\n  - slug: extra\n    name: Extra\n    prices: [{}]"
    await applied(sessions, BOOK + other.format(""))
    async with sessions.begin() as session:
        org = await an_organization(session)
        for plan in await session.scalars(select(Plan)):
            await subscribed(session, org, plan)

    price = f"{{slug: e, name: E, currency: USD, meter: egress_gb, {USAGE}}}"
    found = await refused(sessions, BOOK + other.format(price))

    assert ("plans[1].prices[0]", "METER_PRICED_TWICE") in found


async def test_two_books_at_once_are_applied_one_after_the_other(sessions: Sessions) -> None:
    diffs = await asyncio.gather(*(applied(sessions, BOOK) for _ in range(3)))
    assert sorted(len(diff.differences) for diff in diffs) == [0, 0, 6]


async def test_a_price_may_name_a_meter_that_is_there_already(sessions: Sessions) -> None:
    async with sessions.begin() as session:
        await a_meter(session)
    plans = BOOK[BOOK.index("plans:") :]
    assert lines(await applied(sessions, plans))[0].startswith("KEPT meter egress_gb")
