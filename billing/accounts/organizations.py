"""Organizations: who is billed, found by slug, by id, or by the key that usage events name."""

import re
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Text, any_, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, Insert, insert
from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts.uniqueness import Taken, add_unique
from billing.accounts.viewers import OrganizationNotFound, Viewer
from billing.audit import record_act
from billing.errors import Invalid
from billing.ids import OrgId
from billing.models import CustomerUpdate, Organization
from billing.names import checked_email, checked_name, checked_slug
from billing.rules.money import Currency
from billing.rules.periods import period_at

PAGE_SIZE_MAX = 100
KEY_CHARACTERS_MAX = 128
INVOICE_PREFIX_CHARACTERS = 8
_PREFIX_ALPHABET = "23456789ABCDEFGHJKLMNPQRSTUVWXYZ"  # nothing that reads like something else
_PREFIX_ATTEMPTS = 5
_KEY = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._:-]*[A-Za-z0-9])?")


@dataclass(frozen=True, slots=True)
class NewOrganization:
    """Who is to be billed. `key` never changes; periods start on `anchor_day` (1 to 31)."""

    key: str
    slug: str
    name: str
    currency: str
    billing_email: str
    anchor_day: int = 1


class PrefixTaken(Taken):
    """Two organizations would number their invoices alike."""

    code = "INVOICE_PREFIX_TAKEN"


async def get_organization(session: AsyncSession, slug: str) -> Organization:
    """Raises `OrganizationNotFound`. Whether the viewer may see it is the viewer's `require`."""
    found = await _find(session, slug)
    if found is None:
        raise OrganizationNotFound
    return found


async def _find(session: AsyncSession, slug: str) -> Organization | None:
    if not slug.isprintable():  # PostgreSQL takes no NUL
        return None
    return await session.scalar(select(Organization).where(Organization.slug == slug))


async def get_organization_by_id(session: AsyncSession, org_id: OrgId) -> Organization:
    """Raises `OrganizationNotFound`."""
    found = await session.get(Organization, org_id)
    if found is None:
        raise OrganizationNotFound
    return found


async def organizations_by_key(
    session: AsyncSession, keys: Collection[str]
) -> dict[str, Organization]:
    """Those of the keys that exist, in one statement."""
    wanted = literal(sorted(key for key in keys if _is_key(key)), ARRAY(Text()))
    found = await session.scalars(select(Organization).where(Organization.key == any_(wanted)))
    return {organization.key: organization for organization in found}


async def organizations_by_id(
    session: AsyncSession, org_ids: Collection[OrgId]
) -> dict[OrgId, Organization]:
    """Those of the ids that exist, in one statement."""
    found = await session.scalars(select(Organization).where(Organization.id.in_(org_ids)))
    return {organization.id: organization for organization in found}


async def organizations_for(
    session: AsyncSession, viewer: Viewer, *, limit: int, after_slug: str | None = None
) -> Sequence[Organization]:
    """Those the viewer may know of, by slug; `after_slug` is the last one already shown."""
    statement = (
        select(Organization)
        .order_by(Organization.slug)
        .limit(max(0, min(limit, PAGE_SIZE_MAX + 1)))
    )
    if not viewer.sees_all:
        own = {viewer.org_id} if viewer.org_id else set(viewer.roles)
        statement = statement.where(Organization.id.in_(own))
    if after_slug is not None:
        statement = statement.where(Organization.slug > after_slug)
    return (await session.scalars(statement)).all()


async def create_organization(
    session: AsyncSession, new: NewOrganization, *, actor: str, now: datetime
) -> Organization:
    """Open its books: the period that holds `now` is its first.

    Raises `Invalid` naming the field, or `Taken` (`ORGANIZATION_KEY_TAKEN`,
    `ORGANIZATION_SLUG_TAKEN`).
    """
    organization = await _added(session, new, now)
    await record_act(
        session,
        actor=actor,
        action="organization.created",
        subject=organization.slug,
        org_id=organization.id,
        details={"key": new.key, "currency": new.currency, "anchor_day": new.anchor_day},
        now=now,
    )
    return organization


async def change_organization(
    session: AsyncSession,
    organization: Organization,
    *,
    name: str | None = None,
    billing_email: str | None = None,
    actor: str,
    now: datetime,
) -> bool:
    """Let its name, its billing address or both be others; False when they are so already.

    Issued invoices stay as they were sent. Stripe is told by `customers`, of the latest only.
    Raises `Invalid` naming the field.
    """
    held = await session.get_one(
        Organization, organization.id, with_for_update=True, populate_existing=True
    )
    before = {"name": held.name, "billing_email": held.billing_email}
    if name is not None:
        held.name = checked_name(name)
    if billing_email is not None:
        held.billing_email = checked_email(billing_email, field="billingEmail")
    if before == {"name": held.name, "billing_email": held.billing_email}:
        return False
    await session.execute(_note_change(held.id, now))
    await record_act(
        session,
        actor=actor,
        action="organization.changed",
        subject=held.slug,
        org_id=held.id,
        details={"was": before},
        now=now,
    )
    return True


def _note_change(org_id: OrgId, now: datetime) -> Insert:
    """A note for Stripe in the same transaction, also for one that Stripe does not know yet.

    Its customer may be being made at this very moment, of what the organization was called before.
    """
    return (
        insert(CustomerUpdate)
        .values(org_id=org_id, revision=1, pushed_revision=0, attempts=0, next_attempt_at=now)
        .on_conflict_do_update(
            index_elements=[CustomerUpdate.org_id],
            set_={"revision": CustomerUpdate.revision + 1, "next_attempt_at": now},
        )
    )


async def _added(session: AsyncSession, new: NewOrganization, now: datetime) -> Organization:
    taken = {
        "uq_organizations_key": Taken(
            f"The key {new.key!r} is taken.", code="ORGANIZATION_KEY_TAKEN", field="key"
        ),
        "uq_organizations_slug": Taken(
            f"The slug {new.slug!r} is taken.", code="ORGANIZATION_SLUG_TAKEN", field="slug"
        ),
        "uq_organizations_invoice_prefix": PrefixTaken("The invoice prefix is taken."),
    }
    for attempt in range(_PREFIX_ATTEMPTS):
        organization = _row(new, _invoice_prefix(new.slug, is_first=attempt == 0), now)
        try:
            await add_unique(session, organization, taken)
        except PrefixTaken:
            continue
        return organization
    raise taken["uq_organizations_invoice_prefix"]


def _row(new: NewOrganization, invoice_prefix: str, now: datetime) -> Organization:
    anchor_day = _checked_anchor_day(new.anchor_day)
    return Organization(
        key=_checked_key(new.key),
        slug=checked_slug(new.slug),
        name=checked_name(new.name),
        currency=_checked_currency(new.currency),
        anchor_day=anchor_day,
        billing_email=checked_email(new.billing_email, field="billingEmail"),
        invoice_prefix=invoice_prefix,
        opened_at=now,
        open_period_end=period_at(now, anchor_day).end,
        recorded_at=now,
    )


def _invoice_prefix(slug: str, *, is_first: bool) -> str:
    """`acme-corp` numbers its invoices ACMECORP; if that is taken, ACME and four at random."""
    letters = "".join(letter for letter in slug.upper() if letter.isalnum())
    if is_first:
        return letters[:INVOICE_PREFIX_CHARACTERS]
    kept = letters[: INVOICE_PREFIX_CHARACTERS // 2]
    missing = INVOICE_PREFIX_CHARACTERS - len(kept)
    return kept + "".join(secrets.choice(_PREFIX_ALPHABET) for _ in range(missing))


def _is_key(text: str) -> bool:
    return len(text) <= KEY_CHARACTERS_MAX and _KEY.fullmatch(text) is not None


def _checked_key(text: str) -> str:
    if _is_key(text):
        return text
    raise Invalid(
        f"key must be 1 to {KEY_CHARACTERS_MAX} letters, digits, dots, colons, - or _,"
        f" starting and ending with a letter or digit, not {text[:40]!r}.",
        code="INVALID_KEY",
        field="key",
    )


def _checked_currency(text: str) -> Currency:
    try:
        return Currency(text)
    except ValueError:
        raise Invalid(
            f"currency must be one of {', '.join(Currency)}, not {text[:10]!r}.",
            code="UNKNOWN_CURRENCY",
            field="currency",
        ) from None


def _checked_anchor_day(day: int) -> int:
    if 1 <= day <= 31:
        return day
    raise Invalid(
        f"anchorDay must be a day of the month, 1 to 31, not {day}.",
        code="INVALID_ANCHOR_DAY",
        field="anchorDay",
    )
