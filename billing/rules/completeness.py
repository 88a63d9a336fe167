"""How complete usage is, by what its sources say of themselves, and the sentence that tells it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from billing.rules.quantities import plain

BEHIND_AFTER = timedelta(minutes=15)
NAMED_MAX = 3
"""Sources and meters told by name; more would be a list, not a sentence."""


@dataclass(frozen=True, slots=True)
class MissingHour:
    """An hour of one meter whose source says that it sent something else than has come."""

    hour: datetime
    meter: str
    sent_events: int
    counted_events: int
    sent_total: Decimal
    counted_total: Decimal


@dataclass(frozen=True, slots=True)
class SourceState:
    """How far one source has been heard of, for one organization.

    `last_…` are None while it has sent nothing, `through` while it has said nothing. `behind` is
    how far it is behind, once that is too far. A source `is_retired` when neither usage nor a word
    has come from it for so long that whatever it still had would be refused.
    """

    source: str
    meters: tuple[str, ...]
    last_occurred_at: datetime | None
    last_recorded_at: datetime | None
    through: datetime | None
    behind: timedelta | None
    missing_hours: tuple[MissingHour, ...]
    is_retired: bool = False


@dataclass(frozen=True, slots=True)
class SourceGap:
    """Why a period is not known to be complete: a source has not said so, or other usage has come.

    `through` is None unless it falls short of the period's end. `unconfirmed_hours` are those of
    the period whose control totals differ, or are not compared yet.
    """

    source: str
    through: datetime | None
    unconfirmed_hours: tuple[datetime, ...]


def behind_of(through: datetime | None, now: datetime) -> timedelta | None:
    """How far a source is behind, if that is worth telling."""
    if through is None or now - through <= BEHIND_AFTER:
        return None
    return now - through


def completeness_sentence(sources: Iterable[SourceState], now: datetime) -> str:
    """ "bandwidth from `syd` is 40 minutes behind, everything else is current".

    No capital and no full stop: it may follow other words. Nothing where no source says anything,
    for then nothing is known.
    """
    living = [source for source in sources if not source.is_retired]
    behind = [source for source in living if source.behind]
    differing = [source for source in living if source.missing_hours]
    silent = [source for source in living if source.through is None and not source.missing_hours]
    current = [one for one in living if one not in [*behind, *differing, *silent]]
    if len(silent) == len(living):
        return ""
    if len(current) == len(living):
        return _all_current(current)
    parts = [
        *_some([_behind(source) for source in behind], "behind too"),
        *_some([_differing(source, now) for source in differing], "not complete either"),
        *_silent(silent),
    ]
    return ", ".join([*parts, "everything else is current"] if current else parts)


def _all_current(current: Sequence[SourceState]) -> str:
    match len(current):
        case 1:
            return f"`{current[0].source}` is current"
        case 2:
            return "both sources are current"
        case many:
            return f"all {many} sources are current"


def _some(told: Sequence[str], what: str) -> list[str]:
    rest = len(told) - NAMED_MAX
    if rest <= 0:
        return list(told)
    return [*told[:NAMED_MAX], f"{_counted(rest, 'more source')} {_be(rest)} {what}"]


def _behind(source: SourceState) -> str:
    assert source.behind is not None, "only those that are behind are told so"
    what, verb = _usage(source.meters)
    return f"{what} from `{source.source}` {verb} {_words(source.behind)} behind"


def _usage(meters: Sequence[str]) -> tuple[str, str]:
    """What is missed, and the verb that goes with it."""
    if not 0 < len(meters) <= NAMED_MAX:
        return "usage", "is"
    names = [_uncapitalized(meter) for meter in meters]
    if len(names) == 1:
        is_plural = names[0].endswith("s") and not names[0].endswith("ss")
        return names[0], "are" if is_plural else "is"
    return f"{', '.join(names[:-1])} and {names[-1]}", "are"


def _uncapitalized(name: str) -> str:
    """As within a sentence; "GPU hours" stays."""
    return name if name[1:2].isupper() else f"{name[:1].lower()}{name[1:]}"


def _differing(source: SourceState, now: datetime) -> str:
    first, *others = source.missing_hours
    when = _hour(first.hour, now)
    if first.sent_events != first.counted_events:
        told = (
            f"`{source.source}` says it sent {_counted(first.sent_events, 'event')} for {when}"
            f" and {first.counted_events:,} {_have(first.counted_events)} come"
        )
    else:
        told = (
            f"`{source.source}` says its {_usage((first.meter,))[0]} for {when} adds up to"
            f" {_figure(first.sent_total)} and what has come to {_figure(first.counted_total)}"
        )
    return f"{told}, as in {_counted(len(others), 'more total')}" if others else told


def _silent(silent: Sequence[SourceState]) -> list[str]:
    if len(silent) > NAMED_MAX:
        return [f"{len(silent)} sources do not say how far they are"]
    return [f"`{source.source}` does not say how far it is" for source in silent]


def _hour(hour: datetime, now: datetime) -> str:
    if hour.date() == now.date():
        return f"{hour:%H:%M} UTC"
    return f"{hour.day} {hour:%B}, {hour:%H:%M} UTC"


def _words(span: timedelta) -> str:
    minutes = span // timedelta(minutes=1)
    if minutes < 120:
        return _counted(minutes, "minute")
    hours = minutes // 60
    return _counted(hours, "hour") if hours < 48 else _counted(hours // 24, "day")


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


def _be(number: int) -> str:
    return "is" if number == 1 else "are"


def _have(number: int) -> str:
    return "has" if number == 1 else "have"


def _figure(number: Decimal) -> str:
    whole, _, decimals = plain(number).partition(".")
    return f"{int(whole):,}.{decimals}" if decimals else f"{int(whole):,}"
