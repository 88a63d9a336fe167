"""Events for meters of every aggregation, and what must hold of the buckets afterwards."""

from collections.abc import Collection, Iterable
from datetime import UTC, datetime, timedelta
from itertools import count

from billing.models import Organization
from billing.rules.periods import Period
from billing.usage import SHARDS
from billing.usage.recounting import Difference, differences
from tests.billing.usage.conftest import Usage
from tests.billing.usage.rescan import METERS, Fact, rescan, stored
from tests.factories import an_organization

LAST_OF_OCTOBER = datetime(2026, 10, 31, 22, tzinfo=UTC)
"""From here on two hours are October's, and the rest are November's."""

ALWAYS = Period(datetime(1970, 1, 1, tzinfo=UTC), datetime(2199, 1, 1, tzinfo=UTC))

_numbers = count(1)


async def fresh_organization(usage: Usage) -> Organization:
    """One that nothing was counted for yet."""
    async with usage.runtime.sessions.begin() as session:
        return await an_organization(session, key=f"fresh-{next(_numbers)}")


def a_fact(subject: str, number: int, **changes: object) -> Fact:
    """One of many: several series and hours, of both types, with ties in time."""
    given = {
        "subject": subject,
        "source": "éaZ"[number % 3],
        "id": f"e{number}",
        "type": ("work", "volume")[number % 4 == 0],
        "at": LAST_OF_OCTOBER + timedelta(minutes=23 * (number // 2)),
        "data": {
            "value": f"{number % 11}.{number % 7}",
            "app": ("web", "api", None)[number % 3],
            "region": ("eu", None)[number % 2],
            "who": f"user-{number % 5}",
        },
    }
    return Fact(**{**given, **changes})  # type: ignore[arg-type]


async def counted_right(
    usage: Usage, facts: Iterable[Fact], voided: Collection[tuple[str, str, str]] = ()
) -> None:
    """Assert that the buckets are what a rescan of these says, and that the product agrees."""
    facts = list(facts)
    keys = {fact.subject for fact in facts}
    assert await stored(usage.runtime.sessions, keys) == rescan(facts, METERS, voided)
    assert await found_differences(usage) == []


async def found_differences(usage: Usage) -> list[Difference]:
    """Everything the product's own rescan would repair, in all shards."""
    async with usage.runtime.sessions() as session:
        return [
            difference
            for shard in range(SHARDS)
            for difference in await differences(session, shard, ALWAYS)
        ]
