"""Months gone by, played through the product's own functions: usage, closes, payments."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import islice

from billing import closing
from billing.accounts import COMMAND_LINE, get_organization
from billing.models import Verdict
from billing.one_offs import NewOneOff, add_one_off
from billing.price_book import apply_price_book, read_price_book
from billing.rules.money import Currency
from billing.rules.periods import Period, period_at
from billing.runtime import Runtime
from billing.usage import parse_event, record_usage
from sandbox.fleet import Usage, acme_deleted, usage_between
from sandbox.seed.cast import ACTOR, CAST, Character, introduce, introduce_staff
from sandbox.seed.stage import Stage
from sandbox.toolchain import REPOSITORY

PRICE_BOOK = REPOSITORY / "sandbox" / "price_book.yaml"
MONTHS = 4
BATCH_SIZE = 5_000
_PAST_GRACE = timedelta(minutes=1)
_DELETED_AFTER_DAYS = 3
_DELETED_RAN_MONTHS = 1


@dataclass(frozen=True, slots=True)
class Sale:
    """A one-off item of Acme's: so many months ago, after so many days of that month."""

    months_ago: int
    days: int
    description: str
    amount: str


SALES = (
    Sale(3, 20, "Dedicated IPv4 address, set-up", "2.00"),
    Sale(1, 7, "Certificate for acme.example, one year", "12.00"),
    Sale(0, 4, "Migration assistance, one hour", "40.00"),
)


async def play(stage: Stage, until: datetime) -> None:
    """From the founding of Acme to `until`, month by month."""
    await _found(stage)
    for months_ago in range(MONTHS, -1, -1):
        await _play_month(stage, months_ago, _month(until, months_ago), until)
    stage.clock.at = until


def beginning(until: datetime) -> datetime:
    """When the history starts that ends at `until`."""
    return _month(until, MONTHS).start


def _month(instant: datetime, months_ago: int) -> Period:
    period = period_at(instant, anchor_day=1)
    for _ in range(months_ago):
        period = period_at(period.start - timedelta(hours=1), anchor_day=1)
    return period


async def _found(stage: Stage) -> None:
    book = read_price_book(PRICE_BOOK.read_bytes())
    async with stage.runtime.sessions.begin() as session:
        await apply_price_book(session, book, actor=ACTOR, now=stage.clock.at)
        await introduce_staff(session, stage.clock.at)


async def _play_month(stage: Stage, months_ago: int, period: Period, until: datetime) -> None:
    """Who joins, what is used and sold, and at the end the close with its payments."""
    for character in CAST:
        if character.months_ago == months_ago:
            await _join(stage, character, _joined_at(character, period))
    stage.clock.at = min(period.end, until)
    await _record(stage, _usage(months_ago, period.start, stage.clock.at))
    await _sell(stage, months_ago, period.start)
    close_at = period.end + closing.GRACE + _PAST_GRACE
    if close_at <= until:
        stage.clock.at = close_at
        await close_all(stage.runtime, close_at)
        await stage.send_what_is_due()


async def _join(stage: Stage, character: Character, at: datetime) -> None:
    stage.clock.at = at
    async with stage.runtime.sessions.begin() as session:
        await introduce(session, character, at)
    await stage.send_what_is_due()


def _joined_at(character: Character, period: Period) -> datetime:
    return period.start + timedelta(days=character.joined_on - 1, hours=9, minutes=20)


def _usage(months_ago: int, start: datetime, end: datetime) -> Iterator[Usage]:
    for character in CAST:
        this_month, before = character.report_hours
        step = before if months_ago else this_month
        if character.months_ago > months_ago:
            yield from usage_between(character.fleet, start, end, step)
        elif character.months_ago == months_ago:
            joined = start + timedelta(days=character.joined_on)
            yield from usage_between(character.fleet, joined, end, step)
    if months_ago <= _DELETED_RAN_MONTHS:
        deleted = start + timedelta(days=_DELETED_AFTER_DAYS)
        yield from usage_between(acme_deleted(), start, end if months_ago else min(deleted, end), 6)


async def _record(stage: Stage, usage: Iterator[Usage]) -> None:
    events = (parse_event(one.cloud_event()) for one in usage)
    while batch := list(islice(events, BATCH_SIZE)):
        verdicts = await record_usage(stage.runtime, batch, viewer=COMMAND_LINE, now=stage.clock.at)
        refused = [one for one in verdicts if one.verdict is not Verdict.ACCEPTED]
        assert not refused, refused[0]


async def _sell(stage: Stage, months_ago: int, start: datetime) -> None:
    for sale in SALES:
        at = start + timedelta(days=sale.days, hours=11)
        if sale.months_ago == months_ago and at <= stage.clock.at:
            item = NewOneOff(
                sale.description, Decimal(sale.amount), Currency.USD, f"sale-{at:%Y%m%d}", at
            )
            async with stage.runtime.sessions.begin() as session:
                org = await get_organization(session, "acme")
                await add_one_off(session, org, item, actor=ACTOR, now=at)


async def close_all(runtime: Runtime, now: datetime) -> None:
    """Issue every period whose grace is over, for everybody."""
    async with runtime.sessions.begin() as session:
        await closing.begin_closing(session, now)
    while True:
        async with runtime.sessions() as session:
            chunk = await closing.due_invoices(session, now)
        if not chunk:
            return
        for due in chunk:
            async with runtime.sessions.begin() as session:
                await closing.close_invoice(session, due.id, now)
