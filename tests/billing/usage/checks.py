"""What must hold of recording and folding: proven by tests, and proven to fail on planted faults.

Each makes organizations of its own, so that it can be asked again after a fault was planted.
"""

from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime

from billing.models import Verdict
from billing.usage import fold_tail, parse_event
from billing.usage.desk import Desk
from billing.usage.intake import Sender, Submission
from billing.usage.recording import record
from tests.billing.usage.conftest import Usage, a_key
from tests.billing.usage.every_aggregation import a_fact, counted_right, fresh_organization
from tests.billing.usage.rescan import Fact

Check = Callable[[Usage], Awaitable[None]]

ACCEPTED, DUPLICATE, CONFLICT, _ = Verdict


async def send(usage: Usage, *facts: Fact, now: datetime | None = None) -> list[Verdict]:
    """One request of theirs."""
    verdicts = await usage.record(*(fact.on_the_wire() for fact in facts), now=now)
    return [verdict.verdict for verdict in verdicts]


async def folds_add_up(usage: Usage) -> None:
    """Folded bit by bit, with resends and late ones, it comes to what the events say."""
    org = await fresh_organization(usage)
    facts = [a_fact(org.key, number) for number in range(60)]
    for part in (facts[20:50], facts[:30], facts[40:]):
        await send(usage, *part)
        await fold_tail(usage.runtime)
    await fold_tail(usage.runtime)
    await counted_right(usage, facts)


async def late_commits_are_folded(usage: Usage) -> None:
    """What was written before a fold and committed after it is folded next time."""
    org = await fresh_organization(usage)
    first, slow, quick = (
        replace(a_fact(org.key, 1), source=source, id=source) for source in ("first", "slow", "b")
    )
    await send(usage, first)
    now = usage.clock.at
    submission = Submission(parse_event(slow.on_the_wire()), now, Sender(a_key(), None))

    async with usage.runtime.sessions.begin() as session:
        await record(session, Desk(), [submission], now)
        await send(usage, quick)
        await fold_tail(usage.runtime)
        await counted_right(usage, [first, quick])
    await fold_tail(usage.runtime)

    await counted_right(usage, [first, quick, slow])


async def identities_last_beyond_their_month(usage: Usage) -> None:
    """A resend is one whatever month it comes in, and whatever month it names."""
    org = await fresh_organization(usage)
    october = datetime(2026, 10, 31, 23, 30, tzinfo=UTC)
    november = datetime(2026, 11, 1, 0, 30, tzinfo=UTC)
    dated = replace(a_fact(org.key, 1), at=october)
    undated = {**replace(dated, id="undated").on_the_wire(), "time": None}
    assert await send(usage, dated) == [ACCEPTED]
    [verdict] = await usage.record(undated, now=october)
    assert verdict.verdict is ACCEPTED
    await fold_tail(usage.runtime)

    assert await send(usage, replace(dated, at=november)) == [CONFLICT]
    assert await send(usage, dated, now=datetime(2027, 1, 1, tzinfo=UTC)) == [DUPLICATE]
    [verdict] = await usage.record(undated, now=november)
    assert verdict.verdict is DUPLICATE
    await fold_tail(usage.runtime)
    await counted_right(usage, [dated, replace(dated, id="undated")])


async def ties_are_no_matter_of_arrival(usage: Usage) -> None:
    """Of one instant the last is by source and id, whoever comes first and is folded first."""
    up, down = await fresh_organization(usage), await fresh_organization(usage)
    names = [("S", "é"), ("s", "a"), ("s", "é")]
    tied = [
        replace(a_fact(org.key, 4), source=source, id=name, data={"value": f"{number}"})
        for org, order in ((up, names), (down, names[::-1]))
        for number, (source, name) in enumerate(order)
    ]
    for fact in tied:
        await send(usage, fact)
        await fold_tail(usage.runtime)
    await counted_right(usage, tied)
