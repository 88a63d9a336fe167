"""Control totals of random worlds, recomputed in plain Python, are what the tables come to."""

import random
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal

import pytest

from billing.models import Scope
from billing.usage import comparing, fold_tail
from billing.usage.comparing import check_control_totals
from tests.billing.usage.beating import Totals, beat, control_totals
from tests.billing.usage.checks import send
from tests.billing.usage.conftest import Usage, a_key
from tests.billing.usage.every_aggregation import a_fact, fresh_organization
from tests.billing.usage.rescan import METERS, Fact, rescan
from tests.billing.usage.voiding import void


async def test_totals_recomputed_from_the_events_are_the_same(
    declared: Usage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random facts of every aggregation, sources and organizations, resent, voided, half folded."""
    monkeypatch.setattr(comparing, "HOURS_AT_ONCE", 2)
    monkeypatch.setattr(comparing, "TOTALS_AT_ONCE", 40)
    for seed in range(3):
        chance = random.Random(seed)
        orgs = [await fresh_organization(declared) for _ in range(3)]
        facts = [a_fact(chance.choice(orgs).key, n) for n in range(120)]
        facts = [replace(fact, source=f"{fact.source}{seed}") for fact in facts]
        await send(declared, *facts[:70])
        await fold_tail(declared.runtime)
        await send(declared, *facts[50:])
        voided = chance.sample(facts, 15)
        for fact in voided:
            await void(declared, fact.id, subject=fact.subject, source=fact.source)
        gone = {fact.identity for fact in voided}
        wrong = chance.choice(sorted({fact.source for fact in facts}))
        for source in {fact.source for fact in facts}:
            own = [fact for fact in facts if fact.source == source]
            extra = 1 if source == wrong else 0
            await beat(declared, recomputed(own, gone, extra), source=source)
            for org in orgs:
                of_org = recomputed([x for x in own if x.subject == org.key], gone, 0)
                await beat(declared, of_org, source=source, viewer=a_key(org.id, Scope.USAGE_WRITE))

        await check_control_totals(declared.runtime)

        found = [x for x in await control_totals(declared) if x.source.endswith(str(seed))]
        assert len(found) > 100
        differing = [x for x in found if not x.is_same]
        assert differing
        assert {(x.source, x.org_id) for x in differing} == {(wrong, None)}
        assert all(x.counted_events == x.event_count - 1 for x in differing)
        assert len(differing) == sum(x.source == wrong and x.org_id is None for x in found)


def recomputed(facts: Iterable[Fact], voided: Iterable[tuple[str, str, str]], extra: int) -> Totals:
    """What one source's facts come to by hour and meter, in plain Python."""
    counts: defaultdict[tuple[datetime, str], int] = defaultdict(int)
    sums: defaultdict[tuple[datetime, str], Decimal] = defaultdict(Decimal)
    for (_, meter, _, hour), bucket in rescan(facts, METERS, set(voided)).items():
        counts[hour, meter] += bucket.event_count
        numerator, denominator = bucket.total.as_integer_ratio()
        sums[hour, meter] += Decimal(numerator) / Decimal(denominator)
    return {key: (counts[key] + extra, f"{sums[key]:f}") for key in counts}
