"""The organizations of the world: what each is on, and what reduces its bills."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal

from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import NewOrganization, create_organization
from billing.capping import set_cap
from billing.coupons import NewCoupon, create_coupon
from billing.credits import NewGrant, grant_credit
from billing.models import Organization
from billing.one_offs import NewOneOff, add_one_off
from billing.rules.money import Currency
from billing.rules.reductions import GrantKind
from billing.runtime import Runtime
from billing.subscribing import cancel_subscription, change_plan, start_subscription
from billing.taxes import set_tax_rate
from sandbox.verify.book import CURRENCIES, EXTRA, PLANS

ACTOR = "verify"
ANCHORS = (1, 1, 15, 31, 28)
AT_ONCE = 50
GRANT = timedelta(days=60)


@dataclass(frozen=True, slots=True)
class Member:
    """One organization; what happens to it follows from its number."""

    number: int

    @property
    def key(self) -> str:
        """How usage names it."""
        return f"org-{self.number}"

    @property
    def plan(self) -> str:
        """What it is on first."""
        return PLANS[self.number % len(PLANS)]

    @property
    def next_plan(self) -> str:
        """What it changes to, if it does."""
        return PLANS[(self.number + 1) % len(PLANS)]

    @property
    def has_extra(self) -> bool:
        """Whether it is on a second plan too."""
        return self.is_one_in(3)

    @property
    def currency(self) -> Currency:
        """What it is billed in."""
        return CURRENCIES[self.number // 2 % len(CURRENCIES)]

    def money(self, dollars: int) -> Decimal:
        """About as much in its currency."""
        return Decimal(dollars) / (2 if self.currency is Currency.BHD else 1)

    def is_one_in(self, many: int) -> bool:
        """Whether it is one of those to whom something happens."""
        return self.number % many == 0


async def open_all(
    runtime: Runtime, members: Sequence[Member], now: datetime
) -> dict[str, Organization]:
    """Organizations with their subscriptions and reductions, some dozens a transaction."""
    found: dict[str, Organization] = {}
    for start in range(0, len(members), AT_ONCE):
        async with runtime.sessions.begin() as session:
            for member in members[start : start + AT_ONCE]:
                found[member.key] = await _open(session, member, now)
    for member in members:
        if member.is_one_in(7):
            async with runtime.sessions.begin() as session:
                most = member.money(60)
                await set_cap(session, found[member.key], most, actor=ACTOR, now=now)
    return found


async def _open(session: AsyncSession, member: Member, now: datetime) -> Organization:
    new = NewOrganization(
        key=member.key,
        slug=member.key,
        name=member.key.title(),
        currency=member.currency,
        billing_email=f"billing@{member.key}.example",
        anchor_day=ANCHORS[member.number % len(ANCHORS)],
    )
    org = await create_organization(session, new, actor=ACTOR, now=now)
    await _reduce(session, org, member, now)
    trial = now + timedelta(days=20) if member.is_one_in(13) else None
    await start_subscription(
        session, org, member.plan, now, actor=ACTOR, now=now, trial_ends_at=trial
    )
    if member.has_extra:
        await start_subscription(session, org, EXTRA, now, actor=ACTOR, now=now)
    return org


async def _reduce(session: AsyncSession, org: Organization, member: Member, now: datetime) -> None:
    if member.is_one_in(2):
        await set_tax_rate(session, org, "VAT", Decimal(20), actor=ACTOR, now=now)
    if member.is_one_in(5):
        coupon = NewCoupon("welcome", "Welcome", percent=Decimal("12.5"), invoices_max=2)
        await create_coupon(session, org, coupon, actor=ACTOR, now=now)
    if member.is_one_in(10):
        coupon = NewCoupon("sorry", "Sorry", amount=member.money(5))
        await create_coupon(session, org, coupon, actor=ACTOR, now=now)
    if member.is_one_in(6):
        kind, meter = GrantKind.PROMOTIONAL, "egress" if member.is_one_in(4) else None
        grant = NewGrant("gift", "Gift", kind, member.money(15), meter, expires_at=now + GRANT)
        await grant_credit(session, org, grant, actor=ACTOR, now=now)
    if member.is_one_in(8):
        bought = NewGrant("bought", "Bought", GrantKind.PREPAID, member.money(40))
        await grant_credit(session, org, bought, actor=ACTOR, now=now)


async def change(
    runtime: Runtime,
    members: Sequence[Member],
    found: dict[str, Organization],
    week: int,
    now: datetime,
) -> None:
    """What happens in a week: plans changed and cancelled, caps moved, items sold."""
    async with runtime.sessions.begin() as session:
        for member in members:
            org = found[member.key]
            if member.is_one_in(9) and week == 5 + member.number % 3:
                await change_plan(
                    session, org, member.plan, member.next_plan, at=now, actor=ACTOR, now=now
                )
            if member.has_extra and member.is_one_in(11) and week == 9:
                await cancel_subscription(session, org, EXTRA, at=now, actor=ACTOR, now=now)
            if member.number % 4 == week % 4:
                ago = timedelta(days=8 * (week % 3))  # now and then of a period that is closed
                item = NewOneOff("Support", member.money(3), org.currency, f"w{week}", now - ago)
                await add_one_off(session, org, item, actor=ACTOR, now=now)
    for member in members:
        if member.is_one_in(14) and week in {3, 8}:
            async with runtime.sessions.begin() as session:
                most = member.money(90 if week == 3 else 45)
                await set_cap(session, found[member.key], most, actor=ACTOR, now=now)
