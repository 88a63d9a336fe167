"""One-off items: something sold once, billed with the period it was incurred in."""

import hashlib
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

import msgspec
from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import Conflict, IdempotencyConflict, Invalid
from billing.ids import new_id
from billing.models import OneOffItem, Organization
from billing.rules.money import Currency, CurrencyMismatch, Money
from billing.rules.quantities import plain

DESCRIPTION_CHARACTERS_MAX = 200
KEY_CHARACTERS_MAX = 200
INCURRED_AHEAD_MAX = timedelta(minutes=5)
INCURRED_AGO_MAX = timedelta(days=366)
"""An older item is a slip of the pen: the year 1 is some languages' way to say nothing."""


@dataclass(frozen=True, slots=True)
class NewOneOff:
    """Something to be sold once. `amount` is in major units; absent `incurred_at` is now."""

    description: str
    amount: Decimal
    currency: Currency
    idempotency_key: str
    incurred_at: datetime | None = None


async def add_one_off(
    session: AsyncSession, org: Organization, item: NewOneOff, *, actor: str, now: datetime
) -> OneOffItem:
    """Sell an item once: the same key and body again answer the row that is there.

    An item incurred in a period that is already issued is billed with the next one. Raises
    `Invalid` for what cannot be billed, `IdempotencyConflict` for a key used with another body.
    """
    amount = _checked_amount(org, item, now)
    request = hashlib.sha256(msgspec.json.encode(_body(item))).digest()
    row_id = await session.scalar(
        insert(OneOffItem)
        .values(
            id=new_id(),
            org_id=org.id,
            idempotency_key=item.idempotency_key,
            request_sha256=request,
            description=item.description,
            amount_minor=amount.minor,
            currency=org.currency,
            incurred_at=item.incurred_at or now,
            recorded_at=now,
        )
        .on_conflict_do_nothing()
        .returning(OneOffItem.id)
    )
    row = await session.scalar(
        select(OneOffItem).where(
            OneOffItem.org_id == org.id, OneOffItem.idempotency_key == item.idempotency_key
        )
    )
    assert row is not None, "inserted or already there"
    if row.request_sha256 != request:
        raise IdempotencyConflict(
            f"The key {item.idempotency_key!r} was used for another item: send a new key.",
            field="idempotencyKey",
        )
    if row_id is not None:
        await record_act(
            session,
            actor=actor,
            action="one_off.added",
            subject=item.idempotency_key,
            org_id=org.id,
            details={"amount_minor": amount.minor, "description": item.description},
            now=now,
        )
    return row


def _checked_amount(org: Organization, item: NewOneOff, now: datetime) -> Money:
    if org.closed_at is not None and org.closed_at <= now:
        raise Conflict(
            f"{org.name} was closed at {org.closed_at:%Y-%m-%d %H:%M} UTC: no invoice follows.",
            code="ORGANIZATION_CLOSED",
            field="organization",
        )
    if item.currency != org.currency:
        raise CurrencyMismatch(org.currency, item.currency)
    if not item.description.strip() or len(item.description) > DESCRIPTION_CHARACTERS_MAX:
        raise Invalid(
            f"The description needs 1 to {DESCRIPTION_CHARACTERS_MAX} characters.",
            code="INVALID_DESCRIPTION",
            field="description",
        )
    if not item.idempotency_key or len(item.idempotency_key) > KEY_CHARACTERS_MAX:
        raise Invalid(
            f"The idempotency key needs 1 to {KEY_CHARACTERS_MAX} characters.",
            code="INVALID_IDEMPOTENCY_KEY",
            field="idempotencyKey",
        )
    _check_incurred(item.incurred_at, now)
    amount = Money.from_major(item.amount, org.currency)
    if amount.minor <= 0:
        raise Invalid("The amount must be above zero.", code="INVALID_AMOUNT", field="amount")
    return amount


def _check_incurred(at: datetime | None, now: datetime) -> None:
    if at is None:
        return
    if at > now + INCURRED_AHEAD_MAX:
        raise Invalid(
            "An item cannot be incurred in the future.", code="TIME_IN_FUTURE", field="incurredAt"
        )
    if at < now - INCURRED_AGO_MAX:
        raise Invalid(
            "An item incurred over a year ago is not billed any more: leave incurredAt out, or"
            " give the instant it was incurred at.",
            code="TIME_TOO_OLD",
            field="incurredAt",
        )


def _body(item: NewOneOff) -> list[str | None]:
    moment = item.incurred_at.isoformat() if item.incurred_at else None
    return [item.description, plain(item.amount), item.currency, moment]
