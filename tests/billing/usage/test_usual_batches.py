"""The usual batch is recorded column by column, and comes to what recording each event comes to."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing.models import Scope
from billing.rules.aggregation import Aggregation
from billing.runtime import Runtime
from billing.usage import NumberText, fold_tail, parse_event, store, wholesale
from billing.usage.desk import Desk
from billing.usage.events import Accepted
from billing.usage.intake import Sender, Submission
from billing.usage.recording import record
from billing.usage.scanning import Batch
from billing.usage.store import record_deliveries
from billing.usage.usual import usual_batch
from billing.usage.wholesale import Unusual, record_usual
from tests.billing.usage.conftest import Usage, a_delivery, a_key, an_event
from tests.billing.usage.locks import somebody_waits
from tests.factories import a_meter

Event = dict[str, Any]

TIMES = ["2026-11-10T13:20:00Z", "2026-11-10T12:59:59.999999Z", "2026-10-31T23:59:59Z", None]
USUAL_VALUES = ["1", "1.50", "0", "0.000000000001", 7, NumberText("2.50"), NumberText("0.0")]
UNUSUAL_VALUES = ["", None, "-1", "1e3", " 1", "abc", True, "1\n2", 10**15, "9" * 40]
USUAL_TEXTS = ["web", "é", "x" * 200, "", None]
UNUSUAL_TEXTS = [3, NumberText("1.0"), True, "x" * 201, ["web"], "a\x1fb"]
IDS = ["e1", "e2", "e3", "e4", "a\x1fb"]

_rounds = count()


def usual_events() -> st.SearchStrategy[Event]:
    return _events(st.sampled_from(USUAL_VALUES), st.sampled_from(USUAL_TEXTS), ["egress_gb"])


def any_events() -> st.SearchStrategy[Event]:
    return _events(
        st.sampled_from([*USUAL_VALUES, *UNUSUAL_VALUES]),
        st.sampled_from([*USUAL_TEXTS, *UNUSUAL_TEXTS]),
        ["egress_gb", "request", "seats", "users", "unheard of"],
    )


def _events(
    values: st.SearchStrategy[object], texts: st.SearchStrategy[object], types: Sequence[str]
) -> st.SearchStrategy[Event]:
    return st.builds(
        lambda id, type, subject, time, value, app: {
            **an_event(id=id, type=type, subject=subject, data={"value": value, "app": app}),
            "time": time,
        },
        st.sampled_from(IDS),
        st.sampled_from(types),
        st.sampled_from(["acme", "globex"]),
        st.sampled_from(TIMES),
        values,
        texts,
    )


def apart(events: Sequence[Event], source: str) -> list[Event]:
    """The same events of a source of their own: nothing they claim is claimed before."""
    return [{**event, "source": source} for event in events]


@pytest.fixture
async def mixed(usage: Usage) -> Usage:
    """And a meter that tells users apart, and another that counts the same egress."""
    async with usage.runtime.sessions.begin() as session:
        users = await a_meter(session, "users", aggregation=Aggregation.UNIQUE_COUNT, dimensions={})
        users.value_property = "app"
        await a_meter(session, "transfers", event_type="egress_gb", aggregation=Aggregation.COUNT)
    return usage


_STORED = text("""
SELECT series_id, external_id, occurred_at, quantity, label, recorded_at
FROM usage_events WHERE source = :source ORDER BY external_id, series_id
""")
_CLAIMED = text("""
SELECT fingerprint, occurred_at, is_time_given FROM usage_identities ORDER BY 1, 2, 3
""")


async def left_behind(
    usage: Usage, events: Sequence[Event], source: str
) -> tuple[Sequence[object], Sequence[object], Sequence[object]]:
    """Verdicts, readings and what identities were claimed, for this source on empty tables."""
    async with usage.runtime.engine.begin() as connection:
        await connection.execute(text("TRUNCATE usage_identities"))
    verdicts = await usage.record(*apart(events, source))
    async with usage.runtime.sessions() as session:
        readings = [tuple(row) for row in await session.execute(_STORED, {"source": source})]
        claimed = [tuple(row) for row in await session.execute(_CLAIMED)]
    shown = [(one.verdict, one.id, one.code, one.message, one.field) for one in verdicts]
    return shown, readings, claimed


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(events=st.lists(usual_events() | any_events(), min_size=1, max_size=6))
async def test_every_way_leaves_the_same_behind(mixed: Usage, events: list[Event]) -> None:
    number = next(_rounds)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(store, "usual_batch", lambda *_: None)
        alone = await left_behind(mixed, events, f"each/{number}")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(wholesale, "AT_ONCE_MAX", 0)
        assert await left_behind(mixed, events, f"all/{number}") == alone
    assert await left_behind(mixed, events, f"once/{number}") == alone


def a_batch(usage: Usage, *ids: str) -> Batch:
    """Of usual events with these ids, by what the process knows now."""
    found = a_delivery(*(an_event(id=one) for one in ids)).scan
    assert found is not None
    batch = usual_batch(usage.runtime.remembered(Desk), [found], usage.clock.at)
    assert batch is not None
    return batch


async def accepted_wholesale(usage: Usage, events: Sequence[Event], **key: Any) -> bool:
    """Whether a delivery went by columns."""
    viewer = a_key(key.get("org_id"), Scope.USAGE_WRITE)
    delivery = a_delivery(*events, viewer=viewer)
    [verdicts] = await record_deliveries(usage.runtime, [delivery], now=usage.clock.at)
    assert len(verdicts) == len(events)
    return isinstance(verdicts, Accepted)


async def test_what_is_usual_goes_by_columns(mixed: Usage) -> None:
    await mixed.record(an_event(id="known"), an_event(id="other", subject="globex"))
    usual = [
        an_event(id="u1"),
        an_event(id="u2", type="request", data={"app": "web"}),
        an_event(id="u3", type="users", data={"app": "anna"}),
        {**an_event(id="u4", subject="globex"), "time": None},
        an_event(id="u5", time="2026-10-31T23:00:00Z"),
    ]

    assert await accepted_wholesale(mixed, usual)
    assert not await accepted_wholesale(mixed, usual), "a resend is not"
    assert await accepted_wholesale(mixed, [an_event(id="u6")], org_id=mixed.acme.id)
    assert not await accepted_wholesale(
        mixed, [an_event(id="u7", subject="globex")], org_id=mixed.acme.id
    )
    assert await fold_tail(mixed.runtime) > 0


async def test_a_meter_added_meanwhile_is_not_missed(mixed: Usage, runtime: Runtime) -> None:
    """Columns are read before the transaction; it finds the meters changed, and all begins anew."""
    await mixed.record(an_event(id="known"))
    async with runtime.sessions.begin() as session:
        await a_meter(session, "egress_again", event_type="egress_gb")

    await mixed.record(an_event(id="later"))

    rows = [row for row in await mixed.events() if row.external_id == "later"]
    assert len(rows) == 3


async def test_a_batch_read_by_meters_of_before_is_not_written(
    mixed: Usage, runtime: Runtime
) -> None:
    """Another request may have told the desk of the new meter between reading and writing."""
    await mixed.record(an_event(id="known"))
    desk = runtime.remembered(Desk)
    batch, stamp = a_batch(mixed, "later"), desk.stamp
    numbers = {feed.number for one in desk.event_types.values() for feed in one.feeds}
    async with runtime.sessions.begin() as session:
        await a_meter(session, "egress_again", event_type="egress_gb")
    async with runtime.sessions() as session:
        await desk.look_up(session, set())

    with pytest.raises(Unusual):
        await record_usual(runtime, batch, stamp, mixed.clock.at)

    known = {feed.number for event_type in desk.event_types.values() for feed in event_type.feeds}
    assert not numbers & known, "what is read by old meters is never taken for new ones"


@pytest.mark.parametrize("is_committed", [True, False])
@pytest.mark.parametrize("at_once_max", [0, 200])
async def test_a_batch_that_meets_its_own_event_leaves_nothing_of_itself(
    mixed: Usage,
    runtime: Runtime,
    monkeypatch: pytest.MonkeyPatch,
    at_once_max: int,
    is_committed: bool,
) -> None:
    """Whether the other one has committed before, or only while this one waits for it."""
    await mixed.record(an_event(id="known"))
    monkeypatch.setattr(wholesale, "AT_ONCE_MAX", at_once_max)
    both = a_batch(mixed, "first", "twin", "last")
    stamp = runtime.remembered(Desk).stamp

    async def lose() -> None:
        with pytest.raises(Unusual):
            await record_usual(runtime, both, stamp, mixed.clock.at)

    async with asyncio.timeout(20), asyncio.TaskGroup() as group:
        async with runtime.sessions.begin() as session:
            submission = Submission(
                parse_event(an_event(id="twin")), mixed.clock.at, Sender(a_key(), None)
            )
            await record(session, runtime.remembered(Desk), [submission], mixed.clock.at)
            if not is_committed:
                group.create_task(lose())
                await somebody_waits(runtime)
        if is_committed:
            group.create_task(lose())

    readings = Counter(row.external_id for row in await mixed.events())
    assert readings == {"known": 2, "twin": 2}, "each on two meters"


async def test_representations_of_what_was_accepted_wholesale(mixed: Usage) -> None:
    await mixed.record(an_event(id="known"))
    event = parse_event(an_event(id="v1"))
    verdicts = await mixed.record(an_event(id="v1"), now=mixed.clock.at + timedelta(seconds=1))

    assert verdicts == list(Accepted([event]))  # type: ignore[list-item]
    assert verdicts == list(Accepted([event, event])[1:])  # type: ignore[list-item]
