"""The buckets and every single reading say the same, now and as of any earlier moment."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Context
from functools import reduce
from random import Random

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.ids import OrgId
from billing.rules.aggregation import Counted
from tests.billing.usage.conftest import Usage
from tests.billing.usage.every_aggregation import LAST_OF_OCTOBER, fresh_organization
from tests.billing.usage.reading import Name, comparable, flat, from_buckets, from_readings
from tests.billing.usage.rescan import Fact
from tests.billing.usage.test_aggregations import Story, act, stories, void

EXACT = Context(prec=100)
HOURS = 6
"""Events lie in the first four of them."""

cuts = st.lists(st.integers(0, HOURS), min_size=2, max_size=5, unique=True).map(
    lambda hours: [LAST_OF_OCTOBER + timedelta(hours=hour) for hour in sorted(hours)]
)
uptos = st.sampled_from([0, 1, 3600, 5400]) | st.integers(-3600, HOURS * 3600)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    story=stories(),
    cuts=cuts,
    upto=uptos,
    by=st.sampled_from([(), ("app",), ("region", "app")]),
)
async def test_whatever_happened_readings_and_buckets_agree(
    declared: Usage, story: Story, cuts: Sequence[datetime], upto: int, by: Sequence[str]
) -> None:
    """Also with what was shown after each act, once other acts have followed it."""
    until = LAST_OF_OCTOBER + timedelta(seconds=upto)
    orgs = {name: await fresh_organization(declared) for name in ("first", "second")}
    first = orgs["first"].id
    told = [replace(fact, subject=orgs[fact.subject].key) for fact in story.facts]
    shown: list[tuple[datetime, object]] = []

    for batch, what in zip(story.batches, story.acts, strict=True):
        await declared.record(*(told[number].on_the_wire() for number in batch))
        if what == "void":
            await void(declared, [told[batch[pick % len(batch)]] for pick in story.picks])
        await act(declared, what, orgs["first"])
        unfolded = comparable(await from_readings(declared, first, cuts, until))
        assert unfolded == comparable(await from_buckets(declared, first, cuts, until))
        shown.append((declared.clock.at, unfolded))
        declared.clock.advance(timedelta(microseconds=1))

    for at, then in shown:
        known = await from_readings(declared, first, cuts, until, known_at=at)
        assert comparable(known) == then
    before = await from_readings(
        declared, first, cuts, until, known_at=shown[-1][0], is_known_at_included=False
    )
    assert comparable(before) == (shown[-2][1] if len(shown) > 1 else ({}, {}, []))
    await one_by_these_dimensions(declared, first, cuts, until, by)


def a_busy_day(subjects: Sequence[str], seed: int) -> list[Fact]:
    """Many events of few values: ties in time, hours on end and labels shared by series."""
    chance = Random(seed)
    return [
        Fact(
            subject=chance.choice(subjects),
            source=chance.choice(["a", "Z", "é"]),
            id=f"{chance.choice(['b', 'Y', 'é'])}{number}",
            type=chance.choice(["work", "volume"]),
            at=LAST_OF_OCTOBER + timedelta(minutes=20 * chance.randrange(HOURS * 3)),
            data={
                "value": str(chance.randrange(5)),
                "app": chance.choice(["web", "api", None]),
                "region": chance.choice(["eu", "us", None]),
                "who": chance.choice(["ann", "bob", "eve"]),
            },
        )
        for number in range(240)
    ]


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_busy_day_is_read_the_same_both_ways(declared: Usage, seed: int) -> None:
    """Between every two hours, over all of them, and from the middle on, when all was there."""
    orgs = [await fresh_organization(declared) for _ in range(2)]
    facts = a_busy_day([org.key for org in orgs], seed)
    for start in range(0, len(facts), 40):
        await declared.record(*(fact.on_the_wire() for fact in facts[start : start + 60]))
    await void(declared, facts[::9])

    hours = [LAST_OF_OCTOBER + timedelta(hours=hour) for hour in range(HOURS + 1)]
    for cuts in (hours, hours[::HOURS], hours[3:], hours[::2]):
        for upto in (hours[-1], hours[4], hours[3] + timedelta(minutes=30)):
            for org in orgs:
                found = await from_buckets(declared, org.id, cuts, upto)
                assert comparable(found) == comparable(
                    await from_readings(declared, org.id, cuts, upto)
                )
                assert {one.labels for one in flat(found).values()} != {frozenset()}
        for by in ([], ["app"]):
            await one_by_these_dimensions(declared, orgs[0].id, cuts, hours[-1], by)


async def one_by_these_dimensions(
    usage: Usage, org_id: OrgId, cuts: Sequence[datetime], upto: datetime, by: Sequence[str]
) -> None:
    """Asked for by dimensions, it is what the single series come to."""
    grouped: dict[Name, Counted] = {}
    for (meter, dimensions, number), one in flat(
        await from_buckets(usage, org_id, cuts, upto)
    ).items():
        name = (meter, tuple(pair for pair in dimensions if pair[0] in by), number)
        grouped[name] = together(grouped[name], one) if name in grouped else one

    assert flat(await from_buckets(usage, org_id, cuts, upto, by=by)) == grouped


def together(one: Counted, other: Counted) -> Counted:
    """Two series as one."""
    held = [x.latest for x in (one, other) if x.latest is not None]
    return Counted(
        one.count + other.count,
        EXACT.add(one.total, other.total),
        max(one.highest, other.highest),
        reduce(EXACT.add, held) if held else None,
        one.weighted + other.weighted,
        one.labels | other.labels,
    )
