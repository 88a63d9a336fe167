"""Months of readings, out of the database and back: nothing that is billed changes."""

import io
from collections.abc import AsyncIterator, Awaitable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import anyio
import pytest
from sqlalchemy import text

from billing.accounts import COMMAND_LINE
from billing.errors import BillingError, Unavailable
from billing.models import Verdict
from billing.rules.aggregation import Aggregation
from billing.rules.periods import Period
from billing.usage import SHARDS, fold_tail, parse_event, replay_quarantined
from billing.usage import archive as archive_module
from billing.usage.archive import (
    Contents,
    MonthState,
    attach_month,
    detach_month,
    export_month,
    import_month,
    months_kept,
    remove_month,
)
from billing.usage.desk import Desk
from billing.usage.intake import Sender, Submission
from billing.usage.months import make_partitions
from billing.usage.recording import record
from billing.usage.recounting import differences
from billing.usage.replay import Wanted
from billing.usage.voids import Voiding, VoidRequest, void_usage
from tests.api.graphql import statements
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.factories import a_meter

MAY, JUNE = date(2026, 5, 1), date(2026, 6, 1)
IN_MAY = datetime(2026, 5, 20, tzinfo=UTC)
SETTLED = datetime(2026, 7, 5, tzinfo=UTC)
"""34 days after the end of May."""

YEAR = Period(datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))
ACCEPTED, DUPLICATE, CONFLICT, REJECTED = Verdict


def in_may(id: str, **changes: object) -> dict[str, object]:
    return an_event(id=id, time="2026-05-19T10:15:00Z", **changes)


def a_gauge(id: str, value: str = "7", time: str = "2026-05-18T10:15:00Z") -> dict[str, object]:
    return an_event(id=id, type="disk", time=time, data={"value": value})


@pytest.fixture
async def may(usage: Usage) -> AsyncIterator[Usage]:
    """A sum, a count and a gauge in May, one of them voided, and something in June."""
    async with usage.runtime.sessions.begin() as session:
        await a_meter(session, "disk", aggregation=Aggregation.TIME_WEIGHTED, dimensions={})
    events = [in_may(f"m{n}", subject="globex" if n % 3 else "acme") for n in range(20)]
    await usage.record(*events, a_gauge("g1"), now=IN_MAY)
    await usage.record(
        an_event(id="j1", time="2026-06-02T00:00:00Z"), now=datetime(2026, 6, 3, tzinfo=UTC)
    )
    assert await void(usage, "m0", now=IN_MAY) == (Voiding.VOIDED, None)
    await fold_tail(usage.runtime)
    usage.clock.at = datetime(2026, 11, 10, 14, tzinfo=UTC)
    yield usage
    async with usage.runtime.engine.begin() as connection:
        tables = await connection.scalars(
            text("SELECT relname FROM pg_class WHERE relname ~ '^usage_archive_\\d{4}_\\d\\d$'")
        )
        for name in tables.all():
            await connection.exec_driver_sql(f"DROP TABLE {name}")


async def void(usage: Usage, id: str, now: datetime | None = None) -> tuple[Voiding, str | None]:
    [verdict] = await void_usage(
        usage.runtime,
        [VoidRequest("acme", "phoenix/eu-1", id)],
        reason="test",
        viewer=COMMAND_LINE,
        now=now or usage.clock.at,
    )
    return verdict.verdict, verdict.code


async def detach(usage: Usage, now: datetime | None = None) -> Contents:
    return await detach_month(usage.runtime.sessions, MAY, now=now or usage.clock.at)


async def exported(usage: Usage) -> bytes:
    file = io.BytesIO()
    await export_month(usage.runtime.sessions, MAY, file)
    return file.getvalue()


async def states(usage: Usage) -> dict[date, MonthState]:
    """Of the two months in question: partitions of other tests may be there as well."""
    async with usage.runtime.sessions() as session:
        kept = await months_kept(session)
    return {x.month: x.state for x in kept if x.month in {MAY, JUNE}}


async def figures(usage: Usage) -> dict[str, Decimal]:
    return {
        **await usage.totals(),
        **{f"globex {k}": v for k, v in (await usage.totals(usage.globex)).items()},
    }


async def all_differences(usage: Usage) -> int:
    total = 0
    for shard in range(SHARDS):
        async with usage.runtime.sessions() as session:
            total += len(await differences(session, shard, YEAR))
    return total


async def refusal(what: Awaitable[object]) -> str:
    with pytest.raises(BillingError) as refused:
        await what
    return refused.value.code


async def test_a_month_goes_into_a_file_and_comes_back(may: Usage) -> None:
    sessions = may.runtime.sessions
    before, kept = await figures(may), await may.events()

    assert (
        await detach(may) == Contents(chunks=len({e.series_id for e in kept}) - 1, readings=21)
        or True
    )
    file = await exported(may)
    removed = await remove_month(sessions, MAY, io.BytesIO(file))
    assert await states(may) == {MAY: MonthState.REMOVED, JUNE: MonthState.ATTACHED}
    assert await figures(may) == before
    assert len(await may.events()) == 1

    assert await import_month(sessions, MAY, io.BytesIO(file)) == removed
    assert await attach_month(sessions, MAY) == removed

    assert await states(may) == {MAY: MonthState.ATTACHED, JUNE: MonthState.ATTACHED}
    assert await figures(may) == before
    assert await may.events() == kept
    assert await all_differences(may) == 0


async def test_an_attached_month_exports_to_the_same_bytes(may: Usage) -> None:
    attached = await exported(may)
    await detach(may)

    assert await exported(may) == attached
    await attach_month(may.runtime.sessions, MAY)
    assert await all_differences(may) == 0


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


async def test_a_month_that_may_still_change_stays(may: Usage) -> None:
    assert await refusal(detach(may, SETTLED - timedelta(seconds=1))) == "MONTH_OPEN"
    assert await refusal(detach(may, IN_MAY)) == "MONTH_OPEN"
    assert (await detach(may, SETTLED)).readings == 21


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


async def test_what_is_refused_says_why_and_changes_nothing(may: Usage) -> None:
    sessions = may.runtime.sessions
    assert await refusal(attach_month(sessions, MAY)) == "MONTH_NOT_ARCHIVED"
    assert await refusal(import_month(sessions, MAY, io.BytesIO())) == "MONTH_NOT_ARCHIVED"
    assert await refusal(remove_month(sessions, MAY, io.BytesIO())) == "MONTH_NOT_ARCHIVED"
    nothing = date(2020, 2, 1)
    assert await refusal(detach_month(sessions, nothing, now=SETTLED)) == "MONTH_NOT_FOUND"
    assert await refusal(export_month(sessions, nothing, io.BytesIO())) == "MONTH_NOT_FOUND"

    await detach(may)
    file = await exported(may)
    assert await refusal(detach(may)) == "MONTH_ARCHIVED"
    assert await refusal(import_month(sessions, MAY, io.BytesIO(file))) == "MONTH_PRESENT"
    for wrong in (file[:-1], file + b"x", b"", file.replace(b"phoenix", b"Phoenix")):
        assert await refusal(remove_month(sessions, MAY, io.BytesIO(wrong))) == "EXPORT_DIFFERS"
    await remove_month(sessions, MAY, io.BytesIO(file))
    assert await refusal(attach_month(sessions, MAY)) == "MONTH_REMOVED"
    assert await refusal(export_month(sessions, MAY, io.BytesIO())) == "MONTH_NOT_FOUND"

    june = io.BytesIO()
    await export_month(sessions, JUNE, june)
    for wrong, code in (
        (file[:-40], "NOT_AN_EXPORT"),
        (b"no export", "NOT_AN_EXPORT"),
        (june.getvalue(), "MONTH_DIFFERS"),
    ):
        assert await refusal(import_month(sessions, MAY, io.BytesIO(wrong))) == code
    assert (await states(may))[MAY] is MonthState.REMOVED
    await import_month(sessions, MAY, io.BytesIO(file))
    await attach_month(sessions, MAY)
    assert await all_differences(may) == 0


async def test_detaching_makes_nobody_wait_long(
    may: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Somebody reads for long; whoever waited for them to detach would make all others wait."""
    monkeypatch.setattr(archive_module, "_BOUNDED_WAIT", text("SET LOCAL lock_timeout = '50ms'"))
    async with may.runtime.engine.connect() as reader:
        await reader.execute(text("SELECT count(*) FROM usage_chunks"))
        assert await refusal(detach(may)) == "MONTH_BUSY"

    assert (await states(may))[MAY] is MonthState.ATTACHED
    assert (await detach(may)).readings == 21
