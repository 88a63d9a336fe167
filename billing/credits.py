"""Credit: grants, the credit balance, and the one ledger that says what is left of both.

A balance is the sum of its entries, and an entry never changes. Only issuing an invoice draws on
it, under the organization's row lock, so one credit is never drawn twice.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import IdempotencyConflict, Invalid, NotFound
from billing.ids import EntryId, MeterId, OrgId, new_id
from billing.models import CreditEntry, EntryKind, Grant, Invoice, Meter, Organization
from billing.names import checked_code, checked_name, did_you_mean
from billing.rules.money import Money
from billing.rules.reductions import GrantKind

PAGE_SIZE_MAX = 100
PRIORITIES = range(1_000)
"""0 is drawn first."""


@dataclass(frozen=True, slots=True)
class NewGrant:
    """Credit to be given. `amount` is in major units of the organization's currency.

    `meter` limits it to one meter's usage, by slug. Of several, those of one meter are drawn
    before general ones, then the lower `priority`, the earliest to expire, the oldest. Absent
    `valid_from` is now; absent `expires_at` is never.
    """

    code: str
    name: str
    kind: GrantKind
    amount: Decimal
    meter: str | None = None
    priority: int = 0
    valid_from: datetime | None = None
    expires_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class GrantLeft:
    """A grant, the slug of the meter it is limited to, and what is left of it."""

    row: Grant
    meter: str | None
    left_minor: int


@dataclass(frozen=True, slots=True)
class LedgerEntry:
    """One movement, with the grant's code and the invoice's number where it has them."""

    row: CreditEntry
    grant: str | None
    invoice: str | None


async def grant_credit(
    session: AsyncSession, org: Organization, new: NewGrant, *, actor: str, now: datetime
) -> Grant:
    """Give credit once: the same code and body again answer the row that is there.

    Raises `Invalid` naming the field, `NotFound` for an unknown meter, `IdempotencyConflict` for
    a code that another grant has.
    """
    body = await _checked(session, org, new)
    row = await _grant(session, org, new.code)
    if row is None:
        row = await _given(session, org, new, body, actor, now)
    body["valid_from"] = new.valid_from or row.recorded_at
    if any(getattr(row, name) != value for name, value in body.items()):
        raise IdempotencyConflict(
            f"The code {new.code!r} is another grant's: choose a new code.", field="code"
        )
    return row


async def _grant(session: AsyncSession, org: Organization, code: str) -> Grant | None:
    return await session.scalar(select(Grant).where(Grant.org_id == org.id, Grant.code == code))


async def _given(
    session: AsyncSession,
    org: Organization,
    new: NewGrant,
    body: dict[str, object],
    actor: str,
    now: datetime,
) -> Grant:
    """The grant with its entry; or the one that somebody else has given meanwhile."""
    valid_from = new.valid_from or now
    if new.expires_at is not None and new.expires_at <= valid_from:
        raise Invalid(
            "A grant expires after it is valid from.", code="INVALID_EXPIRY", field="expiresAt"
        )
    grant_id = await session.scalar(
        insert(Grant)
        .values(id=new_id(), org_id=org.id, valid_from=valid_from, recorded_at=now, **body)
        .on_conflict_do_nothing()
        .returning(Grant.id)
    )
    row = await _grant(session, org, new.code)
    assert row is not None, "inserted or already there"
    if grant_id is not None:
        await _book_grant(session, row, actor, now)
    return row


async def _book_grant(session: AsyncSession, row: Grant, actor: str, now: datetime) -> None:
    session.add(
        CreditEntry(
            org_id=row.org_id,
            grant_id=row.id,
            kind=EntryKind.GRANT,
            amount_minor=row.amount_minor,
            recorded_at=now,
        )
    )
    await record_act(
        session,
        actor=actor,
        action="credit.granted",
        subject=row.code,
        org_id=row.org_id,
        details={"kind": row.kind, "amount_minor": row.amount_minor, "name": row.name},
        now=now,
    )
    await session.flush()


async def grants_of(session: AsyncSession, org_id: OrgId) -> Sequence[GrantLeft]:
    """Every grant it was ever given, the oldest first, with what is left of each."""
    rows = await session.execute(
        select(Grant, Meter.slug, func.sum(CreditEntry.amount_minor))
        .join(CreditEntry, CreditEntry.grant_id == Grant.id)
        .outerjoin(Meter, Meter.id == Grant.meter_id)
        .where(Grant.org_id == org_id)
        .group_by(Grant.id, Meter.slug)
        .order_by(Grant.recorded_at, Grant.id)
    )
    return [GrantLeft(grant, slug, int(left)) for grant, slug, left in rows]


async def credit_balance(session: AsyncSession, org_id: OrgId) -> int:
    """What invoices and credit notes have left to be used up, in minor units: grants apart."""
    balance = await session.scalar(
        select(func.coalesce(func.sum(CreditEntry.amount_minor), 0)).where(
            CreditEntry.org_id == org_id, CreditEntry.grant_id.is_(None)
        )
    )
    return int(balance or 0)


async def ledger(
    session: AsyncSession,
    org_id: OrgId,
    *,
    limit: int,
    before: tuple[datetime, EntryId] | None = None,
) -> Sequence[LedgerEntry]:
    """Every movement of credit, the newest first. `before` is (recorded_at, id) of the last one."""
    statement = (
        select(CreditEntry, Grant.code, Invoice.number)
        .outerjoin(Grant, Grant.id == CreditEntry.grant_id)
        .outerjoin(Invoice, Invoice.id == CreditEntry.invoice_id)
        .where(CreditEntry.org_id == org_id)
        .order_by(CreditEntry.recorded_at.desc(), CreditEntry.id.desc())
        .limit(min(limit, PAGE_SIZE_MAX + 1))
    )
    if before is not None:
        statement = statement.where(tuple_(CreditEntry.recorded_at, CreditEntry.id) < before)
    rows = await session.execute(statement)
    return [LedgerEntry(row, code, number) for row, code, number in rows]


async def _checked(session: AsyncSession, org: Organization, new: NewGrant) -> dict[str, object]:
    amount = Money.from_major(new.amount, org.currency)
    if amount.minor <= 0:
        raise Invalid("The amount must be above zero.", code="INVALID_AMOUNT", field="amount")
    if new.priority not in PRIORITIES:
        raise Invalid(
            f"The priority must be {PRIORITIES[0]} (drawn first) to {PRIORITIES[-1]},"
            f" not {new.priority}.",
            code="INVALID_PRIORITY",
            field="priority",
        )
    return {
        "code": checked_code(new.code),
        "name": checked_name(new.name),
        "kind": new.kind,
        "amount_minor": amount.minor,
        "meter_id": None if new.meter is None else await _meter_id(session, new.meter),
        "priority": new.priority,
        "expires_at": new.expires_at,
    }


async def _meter_id(session: AsyncSession, slug: str) -> MeterId:
    found = {x.slug: x.id for x in await session.scalars(select(Meter))}
    if slug not in found:
        raise NotFound(
            f"There is no meter {slug!r}.{did_you_mean(slug, found)}",
            code="METER_NOT_FOUND",
            field="meter",
        )
    return found[slug]
