"""The sentence about how complete usage is, example by example."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from billing.rules.completeness import (
    MissingHour,
    SourceState,
    behind_of,
    completeness_sentence,
)

NOW = datetime(2026, 11, 10, 14, 40, tzinfo=UTC)


def a_source(
    name: str = "fra",
    *meters: str,
    minutes: int | None = 0,
    missing: Sequence[MissingHour] = (),
    is_retired: bool = False,
) -> SourceState:
    """One that has said it is through so many minutes ago; None for one that says nothing."""
    through = None if minutes is None else NOW - timedelta(minutes=minutes)
    behind = behind_of(through, NOW)
    return SourceState(name, meters, NOW, NOW, through, behind, tuple(missing), is_retired)


def an_hour(
    sent: int = 1200, counted: int = 1180, hour: int = 14, day: int = 10, **sums: str
) -> MissingHour:
    at = datetime(2026, 11, day, hour, tzinfo=UTC)
    sent_total = Decimal(sums.get("sent_total", "5"))
    return MissingHour(at, "Bandwidth", sent, counted, sent_total, Decimal("5"))


SYD = a_source("syd", "Bandwidth", minutes=40)
SENTENCES = [
    ([], ""),
    ([a_source(minutes=None)], ""),
    ([a_source(is_retired=True)], ""),
    ([a_source()], "`fra` is current"),
    ([a_source(), a_source("syd")], "both sources are current"),
    ([a_source(), a_source("syd"), a_source("iad")], "all 3 sources are current"),
    (
        [SYD, a_source()],
        "bandwidth from `syd` is 40 minutes behind, everything else is current",
    ),
    ([a_source("syd", "Egress", minutes=16)], "egress from `syd` is 16 minutes behind"),
    ([SYD], "bandwidth from `syd` is 40 minutes behind"),
    (
        [SYD, a_source("fra", "Requests", minutes=130), a_source("iad")],
        "bandwidth from `syd` is 40 minutes behind, requests from `fra` are 2 hours behind,"
        " everything else is current",
    ),
    (
        [a_source("fra", "GPU hours", "Build time", "Volume storage", minutes=72 * 60)],
        "GPU hours, build time and volume storage from `fra` are 3 days behind",
    ),
    ([a_source("fra", *"abcd", minutes=119)], "usage from `fra` is 119 minutes behind"),
    (
        [a_source(name, minutes=20) for name in "abcd"],
        "usage from `a` is 20 minutes behind, usage from `b` is 20 minutes behind,"
        " usage from `c` is 20 minutes behind, 1 more source is behind too",
    ),
    (
        [SYD, a_source("old", minutes=90_000, is_retired=True), a_source()],
        "bandwidth from `syd` is 40 minutes behind, everything else is current",
    ),
    (
        [a_source(missing=[an_hour()])],
        "`fra` says it sent 1,200 events for 14:00 UTC and 1,180 have come",
    ),
    (
        [a_source(missing=[an_hour(1, 0, hour=23, day=9), an_hour(), an_hour()]), a_source("syd")],
        "`fra` says it sent 1 event for 9 November, 23:00 UTC and 0 have come, as in 2 more totals,"
        " everything else is current",
    ),
    (
        [a_source(missing=[an_hour(2, 1), an_hour()])],
        "`fra` says it sent 2 events for 14:00 UTC and 1 has come, as in 1 more total",
    ),
    (
        [a_source(missing=[an_hour(7, 7, sent_total="1234.50")])],
        "`fra` says its bandwidth for 14:00 UTC adds up to 1,234.5 and what has come to 5",
    ),
    (
        [SYD, a_source("fra", minutes=None), a_source("iad")],
        "bandwidth from `syd` is 40 minutes behind, `fra` does not say how far it is,"
        " everything else is current",
    ),
    (
        [a_source(), *(a_source(name, minutes=None) for name in "abcd")],
        "4 sources do not say how far they are, everything else is current",
    ),
]


@pytest.mark.parametrize(("sources", "told"), SENTENCES, ids=map(str, range(len(SENTENCES))))
def test_the_sentence(sources: list[SourceState], told: str) -> None:
    assert completeness_sentence(sources, NOW) == told


def test_a_source_that_is_behind_and_differs_is_told_of_for_both() -> None:
    both = a_source("syd", "Bandwidth", minutes=40, missing=[an_hour()])

    assert completeness_sentence([both, a_source()], NOW) == (
        "bandwidth from `syd` is 40 minutes behind,"
        " `syd` says it sent 1,200 events for 14:00 UTC and 1,180 have come,"
        " everything else is current"
    )


@pytest.mark.parametrize(("minutes", "is_behind"), [(-5, False), (15, False), (16, True)])
def test_a_quarter_of_an_hour_is_not_behind(minutes: int, is_behind: bool) -> None:
    span = timedelta(minutes=minutes)

    assert behind_of(NOW - span, NOW) == (span if is_behind else None)


def test_four_that_differ_are_too_many_to_name() -> None:
    told = completeness_sentence([a_source(name, missing=[an_hour()]) for name in "abcde"], NOW)

    assert told.endswith(", 2 more sources are not complete either")
