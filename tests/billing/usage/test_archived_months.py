"""While a month is archived nothing is counted into it or voided in it, and nothing is lost."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import text

from billing.accounts import COMMAND_LINE
from billing.errors import Unavailable
from billing.models import Verdict
from billing.usage import fold_tail, parse_event, replay_quarantined
from billing.usage.archive import Contents, MonthState, attach_month
from billing.usage.desk import Desk
from billing.usage.intake import Sender, Submission
from billing.usage.months import make_partitions
from billing.usage.recording import record
from billing.usage.replay import Wanted
from billing.usage.voids import Voiding
from tests.api.graphql import statements
from tests.billing.usage.archiving import (
    MAY,
    SETTLED,
    a_gauge,
    all_differences,
    detach,
    figures,
    in_may,
    settled_may,
    states,
    void,
)
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import a_meter

ACCEPTED, DUPLICATE, CONFLICT, REJECTED = Verdict


@pytest.fixture
async def may(usage: Usage) -> AsyncIterator[Usage]:
    async with settled_may(usage):
        yield usage


async def test_nothing_is_counted_into_an_archived_month(may: Usage) -> None:
    """Resends are told as ever; a gauge, which is never too old, is refused and kept."""
    await detach(may)
    before = await figures(may)

    verdicts = await may.record(
        in_may("m1"), a_gauge("g1"), a_gauge("g1", "8"), a_gauge("g2"), in_may("new"), an_event()
    )

    assert [(one.verdict, one.code) for one in verdicts] == [
        (REJECTED, "TIME_TOO_OLD"),  # m1 was globex's
        (DUPLICATE, None),
        (CONFLICT, "CONFLICT"),
        (REJECTED, "MONTH_ARCHIVED"),
        (REJECTED, "TIME_TOO_OLD"),
        (ACCEPTED, None),
    ]
    refused = next(one for one in await may.quarantine() if one.code == "MONTH_ARCHIVED")
    assert (verdicts[3].field, refused.org_id) == ("time", may.acme.id)
    assert {name for name in await figures(may) if name not in before} == {
        "egress_gb app=web region=eu 13h"
    }
    await fold_tail(may.runtime)
    assert (await states(may))[MAY] is MonthState.DETACHED

    await attach_month(may.runtime.sessions, MAY)
    assert [one.verdict for one in await may.record(a_gauge("g2"))] == [ACCEPTED]
    assert (await figures(may))["disk 10h"] == Decimal(14)
    assert await all_differences(may) == 0


async def test_a_replay_into_an_archived_month_waits_for_it(may: Usage) -> None:
    """By the first receipt the event is young enough; by today its month may be archived."""
    await may.record(in_may("late", type="unknown"), now=datetime(2026, 6, 15, tzinfo=UTC))
    async with may.runtime.sessions.begin() as session:
        await a_meter(session, "unknown")
    await detach(may, SETTLED)

    async def replayed() -> list[tuple[Verdict, str | None]]:
        chunks = replay_quarantined(may.runtime, Wanted(), viewer=COMMAND_LINE, now=SETTLED)
        return [(one.verdict, one.code) async for chunk in chunks for one in chunk]

    assert await replayed() == [(REJECTED, "MONTH_ARCHIVED")]
    await attach_month(may.runtime.sessions, MAY)
    assert await replayed() == [(ACCEPTED, None)]


async def test_nothing_is_voided_in_an_archived_month(may: Usage) -> None:
    before = await figures(may)
    await detach(may)

    assert await void(may, "m3") == (Voiding.REJECTED, "ARCHIVED")
    assert await void(may, "m0") == (Voiding.ALREADY_VOIDED, None)
    assert await figures(may) == before

    await attach_month(may.runtime.sessions, MAY)
    assert await void(may, "m3") == (Voiding.VOIDED, None)
    assert await all_differences(may) == 0


async def test_what_is_not_folded_yet_goes_with_it(may: Usage) -> None:
    await may.record(a_gauge("g2"), a_gauge("g3", "8", "2026-05-01T00:00:00Z"))

    assert (await detach(may)).readings == 23
    await attach_month(may.runtime.sessions, MAY)
    assert await all_differences(may) == 0


async def test_a_recording_under_way_is_waited_for_and_goes_with_it(may: Usage) -> None:
    """It has looked, and found the month in use; it commits only after detaching has begun."""
    contents: list[Contents] = []

    async def take() -> None:
        contents.append(await detach(may))

    with anyio.fail_after(20):
        async with anyio.create_task_group() as group, may.runtime.sessions.begin() as session:
            late = Submission(parse_event(a_gauge("g2")), may.clock.at, Sender(a_key(), None))
            await record(session, Desk(), [late], may.clock.at)
            group.start_soon(take)
            await somebody_waits(may)

    assert [one.readings for one in contents] == [22]
    resent, new = await may.record(a_gauge("g2"), a_gauge("g3"))
    assert (resent.verdict, new.code) == (DUPLICATE, "MONTH_ARCHIVED")


async def somebody_waits(usage: Usage) -> None:
    """Until a lock is waited for."""
    async with usage.runtime.engine.connect() as watcher:
        while not await watcher.scalar(
            text(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock'"
                " AND datname = current_database()"
            )
        ):
            await watcher.rollback()  # statistics are read once a transaction


async def test_detaching_and_recording_at_once_lose_nothing(may: Usage) -> None:
    """Each gauge is either in the month that was detached or refused; never in neither."""
    verdicts: list[Verdict] = []
    contents: list[Contents] = []

    async def send(sender: int) -> None:
        for number in range(6):
            [verdict] = await may.record(a_gauge(f"s{sender}-{number}"))
            verdicts.append(verdict.verdict)
            await fold_tail(may.runtime)

    async def take() -> None:
        while not contents:
            try:
                contents.append(await detach(may))
            except Unavailable:
                continue

    with anyio.fail_after(60):
        async with anyio.create_task_group() as group:
            for sender in range(4):
                group.start_soon(send, sender)
            group.start_soon(take)

    assert set(verdicts) <= {ACCEPTED, REJECTED}
    assert contents[0].readings == 21 + verdicts.count(ACCEPTED)
    assert await attach_month(may.runtime.sessions, MAY) == contents[0]
    await fold_tail(may.runtime)
    assert await all_differences(may) == 0


async def test_no_partition_is_ever_made_for_an_archived_month(may: Usage) -> None:
    """A fold that has seen the month in the tail before it was detached comes too late."""
    await detach(may)

    await make_partitions(may.runtime.sessions, [MAY])

    assert (await states(may))[MAY] is MonthState.DETACHED
    await attach_month(may.runtime.sessions, MAY)


async def test_events_of_today_ask_nothing_about_months(may: Usage) -> None:
    await may.record(an_event(id="warm"))
    with statements(may.runtime.engine) as sent:
        await may.record(an_event(id="today"))
    assert not [one for one in sent if "archived" in one or "usage months" in one]
