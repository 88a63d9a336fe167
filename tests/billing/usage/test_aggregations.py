"""Whatever the order, the batches, the repetitions, the folds and the voids: a rescan agrees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from billing.accounts import COMMAND_LINE
from billing.models import Organization
from billing.usage import fold_shard, fold_tail, folding, settle_usage, shard_of
from billing.usage.folding import WHOLE_READINGS
from billing.usage.voids import VoidRequest, void_usage
from tests.billing.usage.conftest import Usage
from tests.billing.usage.every_aggregation import (
    LAST_OF_OCTOBER,
    a_fact,
    counted_right,
    found_differences,
    fresh_organization,
)
from tests.billing.usage.rescan import Fact

_MICROSECONDS = 4 * 3600 * 10**6

instants = st.sampled_from([0, 1, 3600 * 10**6 - 1, 3600 * 10**6, 2 * 3600 * 10**6]) | st.integers(
    0, _MICROSECONDS - 1
)
values = st.decimals(0, 10**15 - 1, places=12) | st.integers(0, 3)
facts = st.builds(
    lambda at, value, **parts: Fact(
        subject=parts["subject"],
        source=parts["source"],
        id=parts["id"],
        type=parts["type"],
        at=LAST_OF_OCTOBER + timedelta(microseconds=at),
        data={
            "value": f"{Decimal(value):f}",
            "app": parts["app"],
            "region": parts["region"],
            "who": parts["who"],
        },
    ),
    at=instants,
    value=values,
    subject=st.sampled_from(["first", "second"]),
    source=st.sampled_from(["a", "Z", "é"]),
    id=st.sampled_from(["1", "B", "a", "é", "～", "😀"]),
    type=st.sampled_from(["work", "work", "volume"]),
    app=st.sampled_from(["web", None]),
    region=st.sampled_from(["eu", "us", None]),
    who=st.sampled_from(["ann", "bob", "Ｂob", None]),
)
between = st.sampled_from(["nothing", "nothing", "fold_tail", "fold_shard", "settle", "void"])


@dataclass(frozen=True)
class Story:
    """Events, batches of their numbers that hold each at least once, and what happens between."""

    facts: Sequence[Fact]
    batches: Sequence[Sequence[int]]
    acts: Sequence[str]
    picks: Sequence[int]


@st.composite
def stories(draw: st.DrawFn) -> Story:
    different = draw(st.lists(facts, min_size=1, max_size=14, unique_by=lambda f: f.identity))
    everything = list(range(len(different)))
    again = draw(st.lists(st.sampled_from(everything), max_size=8))
    sent = draw(st.permutations(everything + again))
    size = draw(st.integers(2, 12))
    batches = [sent[at : at + size] for at in range(0, len(sent), size)]
    acts = draw(st.lists(between, min_size=len(batches), max_size=len(batches)))
    return Story(different, batches, acts, draw(st.lists(st.integers(0, 99), max_size=4)))


async def void(usage: Usage, facts: Sequence[Fact]) -> None:
    """Take these events back."""
    await void_usage(
        usage.runtime,
        [VoidRequest(fact.subject, fact.source, fact.id) for fact in facts],
        reason="sent by mistake",
        viewer=COMMAND_LINE,
        now=usage.clock.at,
    )


async def act(usage: Usage, what: str, org: Organization) -> None:
    """Fold in one of three ways, or do nothing."""
    if what == "fold_tail":
        await fold_tail(usage.runtime)
    elif what == "fold_shard":
        await fold_shard(usage.runtime.sessions, shard_of(org.id))
    elif what == "settle":
        async with usage.runtime.sessions() as session:
            await settle_usage(session, org.id)


@settings(
    max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(story=stories(), whole=st.sampled_from([1, 2, WHOLE_READINGS]))
async def test_any_story_leaves_what_a_rescan_of_its_events_says(
    declared: Usage, story: Story, whole: int
) -> None:
    """Whether rows of the tail are chunks already, or are packed again, or some of both."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folding, "WHOLE_READINGS", whole)
        await play(declared, story)


async def play(declared: Usage, story: Story) -> None:
    orgs = {name: await fresh_organization(declared) for name in ("first", "second")}
    told = [replace(fact, subject=orgs[fact.subject].key) for fact in story.facts]
    sent: set[int] = set()
    voided: set[tuple[str, str, str]] = set()

    for batch, what in zip(story.batches, story.acts, strict=True):
        verdicts = await declared.record(*(told[number].on_the_wire() for number in batch))
        assert not any(verdict.is_refused for verdict in verdicts)
        sent.update(batch)
        if what == "void":
            chosen = [told[n] for n in sorted({sorted(sent)[p % len(sent)] for p in story.picks})]
            await void(declared, chosen)
            voided.update(fact.identity for fact in chosen)
        await act(declared, what, orgs["first"])

    await fold_tail(declared.runtime)
    await counted_right(declared, told, voided)


PLACE = """
SELECT bucket.series_id, bucket.hour FROM usage_buckets AS bucket
JOIN usage_series AS series ON series.id = bucket.series_id
JOIN meters ON meters.id = series.meter_id
WHERE meters.slug = :slug ORDER BY bucket.event_count DESC, bucket.hour, series_id LIMIT 1
"""
AT = "WHERE (series_id, hour) = (:series_id, :hour)"
TAMPERINGS = (
    ("work_total", f"UPDATE usage_buckets SET event_count = event_count + 1 {AT}"),
    ("work_total", f"UPDATE usage_buckets SET total = total + 0.000000000001 {AT}"),
    ("work_peak", f"UPDATE usage_buckets SET highest = highest + 1 {AT}"),
    ("work_count", f"DELETE FROM usage_buckets {AT}"),
    (
        "work_count",
        "INSERT INTO usage_buckets SELECT series_id, '2026-11-09 05:00+00', 1, 1, 1"
        f" FROM usage_buckets {AT}",
    ),
    ("work_level", f"UPDATE usage_buckets SET last_value = last_value + 1 {AT}"),
    ("work_level", f"UPDATE usage_buckets SET last_at = first_at {AT}"),
    ("volume_hours", f"UPDATE usage_buckets SET weighted = weighted + 0.000001 {AT}"),
    (
        "work_users",
        "INSERT INTO usage_distinct_values SELECT series_id, hour, 'nobody', 1"
        f" FROM usage_buckets {AT}",
    ),
    (
        "work_users",
        "INSERT INTO usage_distinct_values SELECT series_id, '2026-11-09 05:00+00', 'nobody', 1"
        f" FROM usage_buckets {AT}",
    ),
    ("work_users", f"DELETE FROM usage_distinct_values {AT} AND value = 'user-1'"),
    ("work_users", f"UPDATE usage_distinct_values SET event_count = 99 {AT} AND value = 'user-1'"),
)


@pytest.mark.parametrize(("slug", "tampering"), TAMPERINGS)
async def test_the_product_s_own_rescan_names_the_bucket_that_was_tampered_with(
    declared: Usage, slug: str, tampering: str
) -> None:
    org = await fresh_organization(declared)
    facts = [a_fact(org.key, number) for number in range(60)]
    await declared.record(*(fact.on_the_wire() for fact in facts))
    await fold_tail(declared.runtime)
    await counted_right(declared, facts)

    async with declared.runtime.sessions.begin() as session:
        place = (await session.execute(text(PLACE), {"slug": slug})).one()
        await session.execute(text(tampering), place._asdict())

    [difference] = await found_differences(declared)
    assert difference.place.series_id == place.series_id
    assert (difference.place.hour == place.hour) is ("2026-11-09" not in tampering)
