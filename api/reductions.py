"""What makes a bill smaller, or adds tax to it: coupons, grants, the maximum, rates, the ledger."""

from datetime import datetime
from decimal import Decimal
from typing import Self
from uuid import UUID

import strawberry

from api.connections import PAGE_SIZE_DEFAULT, After, Connection, First, Keyset, Page
from api.context import Info
from api.money import Money
from api.nodes import global_id
from api.scalars import exactly, instant_text
from billing import models
from billing.coupons import CouponUse, coupons_of
from billing.credits import GrantLeft, LedgerEntry, credit_balance, grants_of, ledger
from billing.ids import EntryId
from billing.models import EntryKind, Scope
from billing.rules import money
from billing.rules.caps import CapStanding
from billing.rules.money import Currency
from billing.rules.reductions import GrantKind
from billing.taxes import tax_rates_of

strawberry.enum(
    GrantKind, description="PROMOTIONAL reduces what is taxed; PREPAID pays what has been taxed."
)
strawberry.enum(EntryKind, description="Why credit moved.")

NEWEST_FIRST = Keyset("ledger", size=2)


@strawberry.type(
    description="The most a period's fees, usage and one-off items cost, before tax. It stops"
    " nothing: usage above it is free in that period."
)
class MaximumBill:
    """Coupons come before it; grants, tax and credit after it."""

    amount: Money | None = strawberry.field(
        description="What holds in this period: one that was set when the period was above it"
        " already is what was owed by then, and holds as it was set from the next period on."
        " Null: removed."
    )
    used: Money = strawberry.field(description="What counts of it, on whichever invoices.")
    forgiven: Money = strawberry.field(description="What the period cost above it.")
    remaining: Money | None = strawberry.field(
        description="What may be added until usage is free; null without one."
    )

    @classmethod
    def of(cls, value: CapStanding, currency: Currency) -> Self:
        """The domain's standing, shown."""
        return cls(
            amount=_optional(value.amount_minor, currency),
            used=_money(value.used_minor, currency),
            forgiven=_money(value.forgiven_minor, currency),
            remaining=_optional(value.remaining_minor, currency),
        )


@strawberry.type(description="A percentage or an amount off what is invoiced.")
class Coupon:
    """Percentages come before amounts, then the oldest."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    code: str = strawberry.field(description="Its name, unique in the organization.")
    name: str = strawberry.field(description="As invoices show it.")
    percent: Decimal | None = strawberry.field(description="Of 100; null for an amount.")
    amount: Money | None = strawberry.field(description="Off each invoice; null for a percentage.")
    invoices_max: int | None = strawberry.field(
        description="How many invoices with something to reduce; null until it is ended."
    )
    ended_at: datetime | None = strawberry.field(description="When it was ended; null if not.")

    @classmethod
    def of(cls, row: models.Coupon, currency: Currency) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("Coupon", row.org_id, row.id),
            code=row.code,
            name=row.name,
            percent=None if row.percent is None else exactly(row.percent),
            amount=_optional(row.amount_minor, currency),
            invoices_max=row.invoices_max,
            ended_at=row.ended_at,
        )


@strawberry.type(description="A coupon, and how far it is used up.")
class CouponStanding:
    """As of now."""

    coupon: Coupon = strawberry.field(description="Which.")
    invoices_reduced: int = strawberry.field(description="How many issued invoices it has reduced.")
    is_active: bool = strawberry.field(description="Whether it reduces the next invoice.")

    @classmethod
    def of(cls, value: CouponUse, currency: Currency) -> Self:
        """The domain's finding, shown."""
        return cls(
            coupon=Coupon.of(value.row, currency),
            invoices_reduced=value.invoices_reduced,
            is_active=value.is_active,
        )


@strawberry.type(description="Credit that was given.")
class Grant:
    """Of one meter before general, then the lower priority, the earliest to expire, the oldest."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    code: str = strawberry.field(description="Its name, unique in the organization.")
    name: str = strawberry.field(description="As invoices show it.")
    kind: GrantKind = strawberry.field(description="Whether it is drawn before or after tax.")
    amount: Money = strawberry.field(description="What was given.")
    meter: str | None = strawberry.field(description="The one meter it pays; null for everything.")
    priority: int = strawberry.field(description="0 is drawn first.")
    valid_from: datetime = strawberry.field(description="Periods that end before it have none.")
    expires_at: datetime | None = strawberry.field(
        description="It counts for a period that it is valid in at any instant; null for ever."
    )

    @classmethod
    def of(cls, row: models.Grant, meter: str | None, currency: Currency) -> Self:
        """A row, shown."""
        return cls(
            id=global_id("Grant", row.org_id, row.id),
            code=row.code,
            name=row.name,
            kind=row.kind,
            amount=_money(row.amount_minor, currency),
            meter=meter,
            priority=row.priority,
            valid_from=row.valid_from,
            expires_at=row.expires_at,
        )


@strawberry.type(description="A grant, and what is left of it.")
class GrantStanding:
    """Issued invoices have drawn the rest."""

    grant: Grant = strawberry.field(description="Which.")
    left: Money = strawberry.field(description="What may still be drawn.")

    @classmethod
    def of(cls, value: GrantLeft, currency: Currency) -> Self:
        """The domain's finding, shown."""
        return cls(
            grant=Grant.of(value.row, value.meter, currency),
            left=_money(value.left_minor, currency),
        )


@strawberry.type(description="A fixed, exclusive rate on what is left to pay.")
class TaxRate:
    """One for each name."""

    name: str = strawberry.field(description="As invoices show it.")
    percent: Decimal = strawberry.field(description="Of 100.")
    since: datetime = strawberry.field(description="When it was set.")
    ended_at: datetime | None = strawberry.field(description="When it was ended; null if not.")

    @classmethod
    def of(cls, row: models.TaxRate) -> Self:
        """A row, shown."""
        return cls(
            name=row.name,
            percent=exactly(row.percent),
            since=row.recorded_at,
            ended_at=row.ended_at,
        )


@strawberry.type(description="One movement of credit. It never changes; balances are their sums.")
class CreditEntry:
    """Of a grant, or of the credit balance."""

    id: strawberry.ID = strawberry.field(description="Opaque and stable.")
    kind: EntryKind = strawberry.field(description="Why it moved.")
    amount: Money = strawberry.field(description="Above zero for more credit.")
    grant: str | None = strawberry.field(description="The grant's code; null: credit balance.")
    invoice: str | None = strawberry.field(description="The number of the invoice that moved it.")
    at: datetime = strawberry.field(description="When.")

    @classmethod
    def of(cls, value: LedgerEntry, currency: Currency) -> Self:
        """The domain's entry, shown."""
        return cls(
            id=global_id("CreditEntry", value.row.org_id, value.row.id),
            kind=value.row.kind,
            amount=_money(value.row.amount_minor, currency),
            grant=value.grant,
            invoice=value.invoice,
            at=value.row.recorded_at,
        )


@strawberry.type
class Reduced:
    """What an organization has to make its bill smaller. All need billing:read."""

    row: strawberry.Private[models.Organization]

    @strawberry.field(description="Every coupon it was given, the oldest first.")
    async def coupons(self, info: Info) -> list[CouponStanding]:
        """Used up and ended ones too."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        async with info.context.reading() as session:
            found = await coupons_of(session, self.row.id)
        return [CouponStanding.of(one, self.row.currency) for one in found]

    @strawberry.field(description="Every grant it was given, the oldest first.")
    async def grants(self, info: Info) -> list[GrantStanding]:
        """Drawn and expired ones too."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        async with info.context.reading() as session:
            found = await grants_of(session, self.row.id)
        return [GrantStanding.of(one, self.row.currency) for one in found]

    @strawberry.field(description="The rates its next invoice will have.")
    async def tax_rates(self, info: Info) -> list[TaxRate]:
        """Oldest first."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        async with info.context.reading() as session:
            return [TaxRate.of(one) for one in await tax_rates_of(session, self.row.id)]

    @strawberry.field(description="What invoices have left to be used up: grants apart.")
    async def credit_balance(self, info: Info) -> Money:
        """The next invoice uses it, after tax and prepaid grants."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        async with info.context.reading() as session:
            return _money(await credit_balance(session, self.row.id), self.row.currency)

    @strawberry.field(description="Every movement of its credit, the newest first.")
    async def credit_ledger(
        self, info: Info, first: First = PAGE_SIZE_DEFAULT, after: After = None
    ) -> Connection[CreditEntry]:
        """Grants and the credit balance together."""
        info.context.viewer.require(Scope.BILLING_READ, self.row.id)
        page = Page.asked(first, after)
        before = None if page.after is None else _position(page.after)
        async with info.context.reading() as session:
            rows = await ledger(session, self.row.id, limit=page.limit, before=before)
        currency = self.row.currency
        return page.connection(rows, lambda x: CreditEntry.of(x, currency), _cursor)


def _cursor(entry: LedgerEntry) -> str:
    return NEWEST_FIRST.cursor(instant_text(entry.row.recorded_at), str(entry.row.id))


def _position(cursor: str) -> tuple[datetime, EntryId]:
    at, entry_id = NEWEST_FIRST.position(cursor)
    try:
        return datetime.fromisoformat(at), EntryId(UUID(entry_id))
    except ValueError:
        raise NEWEST_FIRST.refusal(cursor) from None


def _money(minor: int, currency: Currency) -> Money:
    return Money.of(money.Money(minor, currency))


def _optional(minor: int | None, currency: Currency) -> Money | None:
    return None if minor is None else _money(minor, currency)
