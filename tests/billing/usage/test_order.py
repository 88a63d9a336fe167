"""Whatever the order, the batches and the repetitions, the same events leave the same buckets."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing.models import Organization
from billing.rules.quantities import plain
from tests.billing.usage.conftest import Usage, an_event
from tests.factories import an_organization

_EIGHT = datetime(2026, 11, 10, 8, tzinfo=UTC)
_numbers = count(1)

minutes = st.integers(0, 179)
values = st.decimals(0, 10**15 - 1, places=6) | st.sampled_from([Decimal(0), Decimal("0.1")])
apps = st.sampled_from(["web", "api", None])
sources = st.sampled_from(["a", "Z", "é"])
facts = st.lists(st.tuples(minutes, values, apps, sources), min_size=1, max_size=12)


@st.composite
def deliveries(draw: st.DrawFn) -> tuple[list[dict[str, object]], list[list[int]]]:
    """Events, and batches of their numbers that hold each at least once."""
    events = [
        an_event(
            id=f"e{number}",
            source=source,
            time=(_EIGHT + timedelta(minutes=minute)).isoformat(),
            data={"value": plain(value), "app": app},
        )
        for number, (minute, value, app, source) in enumerate(draw(facts))
    ]
    everything = list(range(len(events)))
    again = draw(st.lists(st.sampled_from(everything), max_size=8))
    sent = draw(st.permutations(everything + again))
    size = draw(st.integers(2, 12))
    return events, [sent[at : at + size] for at in range(0, len(sent), size)]


def expected(events: Iterable[dict[str, object]]) -> dict[str, tuple[object, ...]]:
    """What a slow reading of every event once says: count, total, highest, last value."""
    by_bucket: dict[str, list[tuple[tuple[object, ...], Decimal]]] = {}
    for event in events:
        data = event["data"]
        assert isinstance(data, dict)
        hour = datetime.fromisoformat(str(event["time"])).hour
        app = f"app={data['app']} " if data["app"] else ""
        order = (event["time"], event["source"], event["id"])
        by_bucket.setdefault(f"egress_gb {app}{hour:02}h", []).append(
            (order, Decimal(data["value"]))
        )
    return {
        name: (
            len(counted),
            sum(value for _, value in counted),
            max(value for _, value in counted),
            max(counted)[1],
        )
        for name, counted in by_bucket.items()
    }


async def fresh(usage: Usage) -> Organization:
    async with usage.runtime.sessions.begin() as session:
        return await an_organization(session, key=f"order-{next(_numbers)}")


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(delivery=deliveries())
async def test_any_order_batching_and_duplication_leaves_the_same_buckets(
    usage: Usage, delivery: tuple[list[dict[str, object]], list[list[int]]]
) -> None:
    events, batches = delivery
    org = await fresh(usage)

    for batch in batches:
        verdicts = await usage.record(*({**events[n], "subject": org.key} for n in batch))
        assert not any(verdict.is_refused for verdict in verdicts)

    buckets = await usage.buckets(org)
    assert {
        name: (b.event_count, b.total, b.highest, b.last_value) for name, b in buckets.items()
    } == expected(events)
