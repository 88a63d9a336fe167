"""Control totals compared with what was counted, however that came."""

import logging
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise

import anyio
import pytest
from sqlalchemy import select

from billing.models import Meter
from billing.usage import comparing, fold_tail
from billing.usage.comparing import check_control_totals
from tests.billing.usage.beating import beat, control_totals
from tests.billing.usage.conftest import Usage, a_key, an_event
from tests.billing.usage.voiding import void

ONE = datetime(2026, 11, 10, 13, tzinfo=UTC)
EGRESS = (ONE, "egress_gb")
FIVE_MINUTES = timedelta(minutes=5)


async def is_same(usage: Usage) -> list[bool]:
    """Compare what is due, and answer how all totals stand."""
    await check_control_totals(usage.runtime)
    return [total.is_same for total in await control_totals(usage)]


async def test_what_has_come_is_the_same_folded_or_not(usage: Usage) -> None:
    await usage.record(an_event())
    await fold_tail(usage.runtime)
    await usage.record(an_event(id="e2", data={"value": "0.25"}), an_event(id="e3", type="request"))
    await beat(usage, {EGRESS: (2, "1.75"), (ONE, "request"): (1, 0), (ONE, "seats"): (0, 0)})

    assert await check_control_totals(usage.runtime) == 3
    totals = await control_totals(usage)

    assert [total.is_same for total in totals] == [True] * 3
    assert {total.next_check_at for total in totals} == {None}
    assert {total.checked_at for total in totals} == {usage.clock.at}
    assert await check_control_totals(usage.runtime) == 0


@pytest.mark.parametrize("said", [(2, "1.5"), (0, "1.5"), (1, "1.500000000001"), (1, "0")])
async def test_any_difference_counts(usage: Usage, said: tuple[int, str]) -> None:
    await usage.record(an_event())
    await beat(usage, {EGRESS: said})

    assert await is_same(usage) == [False]
    [total] = await control_totals(usage)
    assert (total.counted_events, total.counted_total) == (1, Decimal("1.5"))


async def test_other_sources_hours_and_meters_are_no_part_of_it(usage: Usage) -> None:
    await usage.record(
        an_event(),
        an_event(source="phoenix/eu-2"),
        an_event(id="early", time="2026-11-10T12:59:59.999999Z"),
        an_event(id="late", time="2026-11-10T14:00:00Z"),
        an_event(id="other", type="request"),
    )
    await beat(usage, {EGRESS: (1, "1.5")})

    assert await is_same(usage) == [True]


async def test_the_platform_speaks_for_all_and_an_organization_for_itself(usage: Usage) -> None:
    of_globex = an_event(subject="globex", data={"value": "10"})
    await usage.record(an_event(), of_globex)
    await beat(usage, {EGRESS: (2, "11.5")})
    await beat(usage, {EGRESS: (1, "10")}, viewer=a_key(usage.globex.id))
    await beat(usage, {EGRESS: (2, "11.5")}, viewer=a_key(usage.acme.id))

    assert await is_same(usage) == [True, True, False]
    *_, of_acme = await control_totals(usage)
    assert (of_acme.counted_events, of_acme.counted_total) == (1, Decimal("1.5"))


async def test_a_duplicate_is_counted_once_and_a_late_event_when_it_comes(usage: Usage) -> None:
    await usage.record(an_event())
    await usage.record(an_event(), an_event())
    await beat(usage, {EGRESS: (2, "3")})
    assert await is_same(usage) == [False]

    usage.clock.advance(timedelta(hours=2))
    await usage.record(an_event(id="e2"))

    assert await is_same(usage) == [True]


async def test_what_is_voided_counts_no_longer(usage: Usage) -> None:
    await usage.record(an_event(), an_event(id="e2"))
    await void(usage, "e2")
    await beat(usage, {EGRESS: (2, "3")})
    assert await is_same(usage) == [False]

    usage.clock.advance(timedelta(seconds=1))
    await beat(usage, {EGRESS: (1, "1.5")})

    assert await is_same(usage) == [True]


async def test_what_was_the_same_once_is_not_looked_at_again(usage: Usage) -> None:
    await usage.record(an_event())
    await beat(usage, {EGRESS: (1, "1.5")})
    assert await is_same(usage) == [True]
    await void(usage, "e1")
    usage.clock.advance(timedelta(days=2))

    await beat(usage, {EGRESS: (1, "1.5")})
    assert await is_same(usage) == [True]
    await beat(usage, {EGRESS: (2, "1.5")})
    assert await is_same(usage) == [False]


async def test_an_hour_under_way_is_compared_when_it_is_over(usage: Usage) -> None:
    await beat(usage, {(usage.clock.at, "egress_gb"): (1, "1.5")})

    usage.clock.advance(timedelta(minutes=59))
    assert await check_control_totals(usage.runtime) == 0
    await usage.record(an_event(time="2026-11-10T14:58:00Z"))
    usage.clock.advance(timedelta(minutes=1))

    assert await is_same(usage) == [True]


async def test_pauses_grow_and_end_72_hours_after_the_hour(usage: Usage) -> None:
    await beat(usage, {EGRESS: (1, "1.5")})
    looks = []
    while True:
        assert await check_control_totals(usage.runtime) == 1
        [total] = await control_totals(usage)
        looks.append(usage.clock.at)
        if total.next_check_at is None:
            break
        usage.clock.at = total.next_check_at

    pauses = [after - before for before, after in pairwise(looks)]
    assert pauses[:4] == [FIVE_MINUTES, FIVE_MINUTES, 2 * FIVE_MINUTES, 4 * FIVE_MINUTES]
    assert max(pauses) == timedelta(hours=6)
    assert looks[-1] == ONE + timedelta(hours=73)
    assert len(looks) < 25
    usage.clock.advance(timedelta(days=20))
    assert await check_control_totals(usage.runtime) == 0


async def test_a_gap_that_was_left_is_closed_by_saying_it_again(usage: Usage) -> None:
    await beat(usage, {EGRESS: (1, "1.5")})
    usage.clock.advance(timedelta(days=4))
    assert await is_same(usage) == [False]

    await usage.record(an_event())
    assert await is_same(usage) == [False], "it was left"
    await beat(usage, {EGRESS: (1, "1.5")})

    assert await is_same(usage) == [True]


async def test_a_gap_is_logged_once(usage: Usage, caplog: pytest.LogCaptureFixture) -> None:
    await beat(usage, {EGRESS: (1200, "1.5"), (ONE, "seats"): (3, "3")})
    caplog.set_level(logging.WARNING, "billing.usage.comparing")
    await check_control_totals(usage.runtime)
    assert caplog.messages == [], "events may be a moment behind their heartbeat"

    for _ in range(5):
        usage.clock.advance(timedelta(hours=6))
        assert await check_control_totals(usage.runtime) == 2

    [message] = caplog.messages
    assert "'phoenix/eu-1' differs from what it says in 2 totals" in message


async def test_a_gap_said_when_it_is_old_is_logged_at_once(
    usage: Usage, caplog: pytest.LogCaptureFixture
) -> None:
    await beat(usage, {(ONE - timedelta(days=9), "egress_gb"): (7, "1.5")})

    assert await is_same(usage) == [False]

    [message] = caplog.messages
    assert "it sent 7 events, 1.5 in sum, and 0 have come, 0 in sum" in message


async def test_two_checkers_at_once_share_the_work(
    usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(comparing, "TOTALS_AT_ONCE", 3)
    hours = [ONE - timedelta(hours=n) for n in range(12)]
    await usage.record(
        *(an_event(id=f"e{n}", time=hour.isoformat()) for n, hour in enumerate(hours))
    )
    await beat(usage, {(hour, "egress_gb"): (1, "1.5") for hour in hours})
    checked: list[int] = []

    async def check() -> None:
        checked.append(await check_control_totals(usage.runtime))

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(check)

    assert sum(checked) == 12
    assert all(total.is_same for total in await control_totals(usage))


async def test_what_a_dying_checker_has_claimed_is_due_again(
    usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await usage.record(an_event())
    await beat(usage, {EGRESS: (1, "1.5")})
    with monkeypatch.context() as patch:
        patch.setattr(comparing, "_by_hours", lambda _: 1 // 0)
        with pytest.raises(ZeroDivisionError):
            await check_control_totals(usage.runtime)

    assert await is_same(usage) == [False], "claimed"
    usage.clock.advance(FIVE_MINUTES)
    assert await is_same(usage) == [True]


async def test_totals_said_anew_meanwhile_are_not_judged_by_the_old(
    usage: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    await usage.record(an_event())
    await beat(usage, {EGRESS: (1, "1.5")})
    claim = comparing._claim

    async def claim_and_be_told_anew(*args: object) -> object:
        due = await claim(*args)  # type: ignore[arg-type]
        if due:
            usage.clock.advance(timedelta(seconds=1))
            await beat(usage, {EGRESS: (2, "3")})
        return due

    with monkeypatch.context() as patch:
        patch.setattr(comparing, "_claim", claim_and_be_told_anew)
        await check_control_totals(usage.runtime)

    [total] = await control_totals(usage)
    assert (total.event_count, total.checked_at, total.is_same) == (2, None, False)
    assert await is_same(usage) == [False]


async def test_a_checker_waits_for_nobody_who_speaks(usage: Usage) -> None:
    await usage.record(an_event())
    await beat(usage, {EGRESS: (1, "1.5")})
    async with usage.runtime.sessions.begin() as other:
        await other.scalars(select(Meter))
        await other.connection()
        [total] = await control_totals(usage)
        locked = await other.get(type(total), total.id, with_for_update=True)
        assert locked
        with anyio.fail_after(10):
            assert await check_control_totals(usage.runtime) == 0
    assert await is_same(usage) == [True]
