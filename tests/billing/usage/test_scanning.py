"""What is compiled: its digests, what it remembers, and what becomes of usage without it."""

import hashlib
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from billing.ids import OrgId
from billing.models import Verdict
from billing.usage.desk import Desk, KnownOrganization, series_key
from billing.usage.scanning import Recent, compiled, interpreted
from billing.usage.wholesale import AT_ONCE_MAX
from tests.billing.usage.conftest import Usage, an_event

ROOT = Path(__file__).parents[3]
MANY = 3_000
"""More than there is room for at first: tables grow on the way."""

WITHOUT_A_COMPILER = """
import sys
sys.modules["billing.usage.scanning.compiled"] = None
from web.app import app_factory
from billing.usage.desk import Desk
from billing.usage.scanning import IS_COMPILED, BodyKind, scan
assert not IS_COMPILED
assert scan(b"{}", BodyKind.SINGLE, 1) is None
assert Desk().index.series_of(b"unheard of") is None
"""


@given(st.binary(max_size=300))
def test_digests_are_those_of_the_standard(text: bytes) -> None:
    for is_wanted in (True, False):
        compiled.use_built_in(is_wanted)
        assert compiled.sha256(text) == hashlib.sha256(text).digest()
    compiled.use_built_in(True)


def organizations(first: int) -> list[KnownOrganization]:
    ids = [OrgId(uuid4()) for _ in range(MANY)]
    return [KnownOrganization(first + n, one, one.bytes, 0) for n, one in enumerate(ids)]


@dataclass
class Filled:
    """An index of either kind, with organizations and series."""

    index: compiled.Index | interpreted.Index
    orgs: list[KnownOrganization]

    def key(self, place: int) -> bytes:
        return series_key(self.orgs[place].number, 7, ["web", None])


@pytest.fixture(params=[compiled.Index, interpreted.Index], ids=["compiled", "interpreted"])
def filled(request: pytest.FixtureRequest) -> Filled:
    made = Filled(request.param(), organizations(0))
    for org in made.orgs:
        made.index.add(f"org-{org.number}", org)
    made.index.learn_series({made.key(place): place + 1 for place in range(MANY)})
    return made


def test_every_series_is_found_by_its_key_alone(filled: Filled) -> None:
    assert filled.index.series_count() == MANY
    assert [filled.index.series_of(filled.key(place)) for place in range(MANY)] == list(
        range(1, MANY + 1)
    )
    assert filled.index.series_of(series_key(0, 8, ["web", None])) is None
    assert filled.index.series_of(series_key(0, 7, ["web"])) is None

    filled.index.forget_series()
    assert filled.index.series_of(filled.key(0)) is None


def test_a_source_is_news_once_in_a_while(filled: Filled) -> None:
    index, org = filled.index, filled.orgs[5]
    assert index.is_news(org, "eu", 100, 100)

    index.learn_heard({(org, "eu"): 100, (org, "us"): 200}, 100, 60)

    assert not index.is_news(org, "eu", 159, 159)
    assert index.is_news(org, "eu", 160, 100), "its own time has moved on"
    assert index.is_news(org, "eu", 100, 160), "it was noted long ago"
    assert not index.is_news(org, "us", 259, 100)
    assert index.is_news(org, "asia", 1, 1)
    assert index.is_news(filled.orgs[6], "eu", 1, 1)


def test_what_is_forgotten_is_news(filled: Filled) -> None:
    old = filled.orgs[5]
    filled.index.learn_heard({(old, "eu"): 100}, 100, 60)
    again = organizations(MANY)
    filled.index.forget(MANY)
    for org in again:
        filled.index.add(f"org-{org.number - MANY}", org)

    filled.index.learn_heard({(old, "eu"): 100}, 100, 60)

    assert filled.index.is_news(again[5], "eu", 100, 100)
    assert filled.index.series_of(filled.key(5)) is None


async def test_a_large_resend_is_one_whether_or_not_it_is_remembered(usage: Usage) -> None:
    events = [an_event(id=f"e{n}") for n in range(AT_ONCE_MAX + 1)]
    await usage.record(an_event(id="known"))
    first = await usage.record(*events)
    remembered = await usage.record(*events)
    usage.runtime.remembered(Desk).recent = Recent()
    forgotten = await usage.record(*events)

    assert {one.verdict for one in first} == {Verdict.ACCEPTED}
    assert {one.verdict for one in [*remembered, *forgotten]} == {Verdict.DUPLICATE}
    assert len(await usage.events()) == 2 + len(events) - 1


async def test_a_large_batch_that_is_partly_sent_before_counts_the_rest(usage: Usage) -> None:
    await usage.record(an_event(id="known"))
    await usage.record(*[an_event(id=f"e{n}") for n in range(3)])
    usage.runtime.remembered(Desk).recent = Recent()

    verdicts = await usage.record(*[an_event(id=f"e{n}") for n in range(AT_ONCE_MAX + 1)])

    counted = [one.verdict for one in verdicts]
    assert counted == [Verdict.DUPLICATE] * 3 + [Verdict.ACCEPTED] * (AT_ONCE_MAX - 2)


def test_the_product_starts_without_compiled_code() -> None:
    run = subprocess.run(
        [sys.executable, "-c", WITHOUT_A_COMPILER],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert not run.returncode, run.stderr
