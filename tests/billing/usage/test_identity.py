"""(organization, source, id) counts once: resends, other bodies, and requests at the same time."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal

import pytest

from billing.models import Verdict
from billing.rules.aggregation import Aggregation
from billing.usage import EventVerdict, NumberText
from tests.billing.usage import checks
from tests.billing.usage.conftest import Usage, an_event
from tests.factories import a_meter

ACCEPTED, DUPLICATE, CONFLICT, REJECTED = Verdict


def kinds(verdicts: list[EventVerdict]) -> list[Verdict]:
    return [verdict.verdict for verdict in verdicts]


SAME_BODY: Sequence[dict[str, object]] = (
    {"data": {"value": NumberText("1.50"), "app": "web", "region": "eu"}},
    {"data": {"value": NumberText("15e-1"), "app": "web", "region": "eu"}},
    {"data": {"value": "1.5", "app": "web", "region": "eu", "undeclared": "other"}},
    {"time": "2026-11-10T13:20:00+00:00"},
    {"time": "2026-11-10T14:20:00.000+01:00"},
    {"time": None},
    {"datacontenttype": "application/json", "traceparent": "00-1"},
)
OTHER_BODY: Sequence[dict[str, object]] = (
    {"data": {"value": "1.6", "app": "web", "region": "eu"}},
    {"data": {"value": "1.5", "app": "api", "region": "eu"}},
    {"data": {"value": "1.5", "app": "web"}},
    {"data": {"value": "not a number", "app": "web", "region": "eu"}},
    {"data": None},
    {"time": "2026-11-10T13:20:01Z"},
    {"type": "request"},
    {"type": "unknown"},
)


@pytest.mark.parametrize(("changes", "verdict"), [(SAME_BODY, DUPLICATE), (OTHER_BODY, CONFLICT)])
async def test_a_body_is_compared_as_it_is_read_not_as_it_is_spelled(
    usage: Usage, changes: Sequence[dict[str, object]], verdict: Verdict
) -> None:
    resent = [an_event(**change) for change in changes]

    assert kinds(await usage.record(an_event(), *resent)) == [ACCEPTED] + [verdict] * len(resent)
    assert kinds(await usage.record(*resent)) == [verdict] * len(resent)
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}


async def test_a_conflict_says_so_and_is_kept(usage: Usage) -> None:
    [_, verdict] = await usage.record(an_event(), an_event(type="request"))

    assert (verdict.code, verdict.field) == ("CONFLICT", "id")
    assert [(row.verdict, row.org_id) for row in await usage.quarantine()] == [
        (CONFLICT, usage.acme.id)
    ]


async def test_an_id_belongs_to_its_source_and_organization(usage: Usage) -> None:
    others = [an_event(source="rails"), an_event(subject="globex"), an_event(id="e2")]

    assert kinds(await usage.record(an_event(), *others)) == [ACCEPTED] * 4


async def test_a_time_is_not_compared_when_the_first_gave_none(usage: Usage) -> None:
    await usage.record(an_event(time=None))

    assert kinds(await usage.record(an_event())) == [DUPLICATE]


async def test_within_a_batch_the_first_is_counted(usage: Usage) -> None:
    other = an_event(data={"value": "9"})

    assert kinds(await usage.record(an_event(), an_event(), other, an_event())) == [
        ACCEPTED,
        DUPLICATE,
        CONFLICT,
        DUPLICATE,
    ]
    assert await usage.totals() == {"egress_gb app=web region=eu 13h": Decimal("1.5")}


async def test_what_is_rejected_uses_up_no_identity(usage: Usage) -> None:
    invalid = an_event(data={"value": "-1"})

    assert kinds(await usage.record(invalid, an_event(), invalid)) == [
        REJECTED,
        ACCEPTED,
        CONFLICT,
    ]
    assert kinds(await usage.record(an_event(id="e2", type="unknown"))) == [REJECTED]
    assert kinds(await usage.record(an_event(id="e2"))) == [ACCEPTED]


async def test_an_identity_lasts_beyond_its_month(declared: Usage) -> None:
    await checks.identities_last_beyond_their_month(declared)


async def test_the_resend_of_an_event_grown_too_old_is_a_duplicate(usage: Usage) -> None:
    await usage.record(an_event())

    later = usage.clock.at + timedelta(days=60)
    verdicts = await usage.record(an_event(), an_event(id="e2"), now=later)

    assert [(verdict.verdict, verdict.code) for verdict in verdicts] == [
        (DUPLICATE, None),
        (REJECTED, "TIME_TOO_OLD"),
    ]


async def test_a_meter_added_later_makes_no_conflict_of_a_resend(usage: Usage) -> None:
    event = an_event(data={"value": "1", "app": "web", "objects": "3"})
    await usage.record(event)
    async with usage.runtime.sessions.begin() as session:
        meter = await a_meter(session, "objects", aggregation=Aggregation.SUM, dimensions={})
        meter.event_type, meter.value_property = "egress_gb", "objects"

    assert kinds(await usage.record(event)) == [DUPLICATE]

    with_both = an_event(id="e2", data={"value": "1", "app": "web", "objects": "3"})
    with_less = an_event(id="e2", data={"value": "1", "app": "web"})
    assert kinds(await usage.record(with_both, with_less)) == [ACCEPTED, CONFLICT]
