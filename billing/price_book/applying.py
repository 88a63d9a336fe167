"""Applying a price book: all of it or nothing, one book at a time."""

from datetime import datetime

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.models import Organization, Subscription
from billing.price_book.book import PriceBook
from billing.price_book.differences import BookDiff, differences_between
from billing.price_book.problems import PriceBookRefused
from billing.price_book.refusals import refusals
from billing.price_book.stored import read_stored
from billing.price_book.writing import write_book

_LOCK = 0x5072696365  # any number that is ours alone


async def apply_price_book(
    session: AsyncSession, book: PriceBook, *, actor: str, now: datetime, dry_run: bool = False
) -> BookDiff:
    """Bring the catalogue to what `book` says, and answer what that changed, or would change.

    Raises `PriceBookRefused` with everything that stands against it; then nothing is written.
    """
    if not dry_run:
        await _hold_still(session)
    stored = await read_stored(session)
    if problems := refusals(book, stored):
        raise PriceBookRefused(problems)
    diff = differences_between(book, stored)
    if not dry_run and not diff.is_empty:
        await write_book(session, book, stored, now)
        await record_act(
            session,
            actor=actor,
            action="catalog.applied",
            subject="price book",
            details=diff.as_json(),
            now=now,
        )
    return diff


async def _hold_still(session: AsyncSession) -> None:
    """Until the end of the transaction nobody applies another book, closes a period or subscribes.

    So a version cannot come to lie in a period that is closed meanwhile. Closing and subscribing
    write to, or lock, the organization; usage does neither and goes on.
    """
    await session.execute(select(func.pg_advisory_xact_lock(_LOCK)))
    subscribed = exists().where(Subscription.org_id == Organization.id)
    await session.execute(
        select(Organization.id)
        .where(subscribed)
        .order_by(Organization.id)
        .with_for_update(read=True)
    )
