"""Coupons: a percentage or an amount off, for a number of invoices or until they are ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from sqlalchemy import ColumnElement, func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.audit import record_act
from billing.errors import IdempotencyConflict, Invalid, NotFound
from billing.ids import OrgId, new_id
from billing.models import Coupon, Invoice, InvoiceLine, InvoiceStatus, Organization
from billing.names import checked_code, checked_name
from billing.rules.lines import LineKind
from billing.rules.money import Money
from billing.rules.quantities import plain

INVOICES_MAX = 1_200
"""A coupon for longer than a hundred years is one that is ended by hand."""

_KEY = "coupon/"


@dataclass(frozen=True, slots=True)
class NewCoupon:
    """Exactly one of `percent` (of 100) and `amount` (major units of the organization's currency).

    It reduces `invoices_max` invoices that have something to reduce; None: until it is ended.
    """

    code: str
    name: str
    percent: Decimal | None = None
    amount: Decimal | None = None
    invoices_max: int | None = None


@dataclass(frozen=True, slots=True)
class CouponUse:
    """A coupon, and how many invoices it has reduced."""

    row: Coupon
    invoices_reduced: int

    @property
    def is_active(self) -> bool:
        """Whether it will reduce the next invoice."""
        limit = self.row.invoices_max
        is_left = limit is None or self.invoices_reduced < limit
        return self.row.ended_at is None and is_left


async def create_coupon(
    session: AsyncSession, org: Organization, new: NewCoupon, *, actor: str, now: datetime
) -> Coupon:
    """Reduce what an organization is invoiced from now on, its open period included.

    The same code and body again answer the row that is there. Raises `Invalid` naming the field,
    `IdempotencyConflict` for a code that another coupon has.
    """
    body = _checked(org, new)
    row_id = await session.scalar(
        insert(Coupon)
        .values(id=new_id(), org_id=org.id, recorded_at=now, **body)
        .on_conflict_do_nothing()
        .returning(Coupon.id)
    )
    row = await _coupon(session, org, new.code)
    if any(getattr(row, name) != value for name, value in body.items()):
        raise IdempotencyConflict(
            f"The code {new.code!r} is another coupon's: choose a new code.", field="code"
        )
    if row_id is not None:
        details = {name: _told(value) for name, value in body.items()}
        await record_act(
            session,
            actor=actor,
            action="coupon.created",
            subject=new.code,
            org_id=org.id,
            details=details,
            now=now,
        )
    return row


async def end_coupon(
    session: AsyncSession, org: Organization, code: str, *, actor: str, now: datetime
) -> Coupon:
    """No invoice that is issued from now on is reduced by it; again changes nothing.

    Raises `NotFound` (`COUPON_NOT_FOUND`).
    """
    row = await _coupon(session, org, code, for_update=True)
    if row.ended_at is None:
        row.ended_at = now
        await record_act(
            session, actor=actor, action="coupon.ended", subject=code, org_id=org.id, now=now
        )
    return row


async def coupons_of(session: AsyncSession, org_id: OrgId) -> Sequence[CouponUse]:
    """Every coupon it was ever given, the oldest first, with how often each was used."""
    rows = await session.scalars(
        select(Coupon).where(Coupon.org_id == org_id).order_by(Coupon.recorded_at, Coupon.id)
    )
    is_issued = Invoice.status.not_in((InvoiceStatus.CLOSING, InvoiceStatus.VOID))
    used = await coupon_uses(session, org_id, is_issued)
    return [CouponUse(row, used.get(row.code, 0)) for row in rows]


async def coupon_uses(
    session: AsyncSession, org_id: OrgId, counting: ColumnElement[bool]
) -> dict[str, int]:
    """How many of the `counting` invoices each code has reduced; none is left out."""
    rows = await session.execute(
        select(InvoiceLine.key, func.count(InvoiceLine.invoice_id.distinct()).label("uses"))
        .join(Invoice, Invoice.id == InvoiceLine.invoice_id)
        .where(Invoice.org_id == org_id, counting, InvoiceLine.kind == LineKind.COUPON)
        .group_by(InvoiceLine.key)
    )
    return {row.key.removeprefix(_KEY): row.uses for row in rows}


async def _coupon(
    session: AsyncSession, org: Organization, code: str, *, for_update: bool = False
) -> Coupon:
    statement = select(Coupon).where(Coupon.org_id == org.id, Coupon.code == code)
    row = await session.scalar(statement.with_for_update() if for_update else statement)
    if row is None:
        raise NotFound(f"{org.name} has no coupon {code!r}.", code="COUPON_NOT_FOUND", field="code")
    return row


def _checked(org: Organization, new: NewCoupon) -> dict[str, str | int | Decimal | None]:
    if (new.percent is None) == (new.amount is None):
        raise Invalid(
            "A coupon has either a percent or an amount.", code="INVALID_COUPON", field="percent"
        )
    if new.percent is not None and not 0 < new.percent <= 100:
        raise Invalid(
            f"The percent must be above 0 and at most 100, not {plain(new.percent)}.",
            code="INVALID_PERCENT",
            field="percent",
        )
    if new.invoices_max is not None and not 1 <= new.invoices_max <= INVOICES_MAX:
        raise Invalid(
            f"A coupon is for 1 to {INVOICES_MAX:,} invoices; leave invoicesMax out for one that"
            " lasts until it is ended.",
            code="INVALID_INVOICES_MAX",
            field="invoicesMax",
        )
    return {
        "code": checked_code(new.code),
        "name": checked_name(new.name),
        "percent": new.percent,
        "amount_minor": None if new.amount is None else _minor(org, new.amount),
        "invoices_max": new.invoices_max,
    }


def _minor(org: Organization, amount: Decimal) -> int:
    minor = Money.from_major(amount, org.currency).minor
    if minor <= 0:
        raise Invalid("The amount must be above zero.", code="INVALID_AMOUNT", field="amount")
    return minor


def _told(value: str | int | Decimal | None) -> str | int | None:
    return plain(value) if isinstance(value, Decimal) else value
