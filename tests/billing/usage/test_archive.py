"""Months of readings, out of the database and back: nothing that is billed changes."""

import io
from collections.abc import AsyncIterator
from datetime import date, timedelta

import pytest
from sqlalchemy import text

from billing.usage import archive as archive_module
from billing.usage.archive import (
    MonthState,
    attach_month,
    detach_month,
    export_month,
    import_month,
    remove_month,
)
from tests.billing.usage.analyzed import is_sampled
from tests.billing.usage.archiving import (
    IN_MAY,
    JUNE,
    MAY,
    SETTLED,
    all_differences,
    detach,
    exported,
    figures,
    refusal,
    settled_may,
    states,
)
from tests.billing.usage.conftest import Usage


@pytest.fixture
async def may(usage: Usage) -> AsyncIterator[Usage]:
    async with settled_may(usage):
        yield usage


async def test_a_month_goes_into_a_file_and_comes_back(may: Usage) -> None:
    sessions = may.runtime.sessions
    before, kept = await figures(may), await may.events()

    detached = await detach(may)
    assert detached.readings == 21
    file = await exported(may)
    assert await remove_month(sessions, MAY, io.BytesIO(file)) == detached
    assert await states(may) == {MAY: MonthState.REMOVED, JUNE: MonthState.ATTACHED}
    assert await figures(may) == before
    assert len(await may.events()) == 1

    assert await import_month(sessions, MAY, io.BytesIO(file)) == detached
    async with sessions() as session:
        assert await is_sampled(session, "usage_archive_2026_05")
    assert await attach_month(sessions, MAY) == detached

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


async def test_a_month_that_may_still_change_stays(may: Usage) -> None:
    assert await refusal(detach(may, SETTLED - timedelta(seconds=1))) == "MONTH_OPEN"
    assert await refusal(detach(may, IN_MAY)) == "MONTH_OPEN"
    assert (await detach(may, SETTLED)).readings == 21


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
