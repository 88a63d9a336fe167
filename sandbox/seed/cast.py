"""Who is in the demo: three organizations, and the people in them."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession

from billing.accounts import (
    NewOrganization,
    NewUser,
    add_member,
    create_organization,
    create_user,
)
from billing.models import Organization, Role
from billing.subscribing import start_subscription
from sandbox.fleet import Series, acme, bigco, solo

ACTOR = "sandbox"
STAFF = NewUser("olive@platform.example", "Olive, operations", "olive-demo-password", is_ops=True)


@dataclass(frozen=True, slots=True)
class Character:
    """One organization of the demo: it joined so many months ago, on `plan` from its first hour.

    `report_hours` is how far apart its usage reports are this month, and in months gone by.
    """

    slug: str
    name: str
    plan: str
    months_ago: int
    joined_on: int
    people: Sequence[tuple[NewUser, Role]]
    fleet: Sequence[Series]
    report_hours: tuple[int, int]


CAST = (
    Character(
        "acme",
        "Acme",
        "pro",
        months_ago=4,
        joined_on=14,
        people=(
            (NewUser("dana@acme.example", "Dana, owner", "dana-demo-password"), Role.OWNER),
            (NewUser("raj@acme.example", "Raj, read only", "raj-demo-password"), Role.READONLY),
        ),
        fleet=acme(),
        report_hours=(6, 24),
    ),
    Character(
        "solo",
        "Solo",
        "hobby",
        months_ago=2,
        joined_on=5,
        people=((NewUser("sam@solo.example", "Sam, owner", "sam-demo-password"), Role.OWNER),),
        fleet=solo(),
        report_hours=(24, 24),
    ),
    Character(
        "bigco",
        "Bigco",
        "scale",
        months_ago=1,
        joined_on=3,
        people=((NewUser("bea@bigco.example", "Bea, billing", "bea-demo-password"), Role.BILLING),),
        fleet=bigco(),
        report_hours=(96, 360),
    ),
)


async def introduce_staff(session: AsyncSession, now: datetime) -> None:
    """The platform's own people."""
    await create_user(session, STAFF, actor=ACTOR, now=now)


async def introduce(session: AsyncSession, character: Character, now: datetime) -> Organization:
    """An organization with its people, on its plan from now on."""
    org = await create_organization(
        session,
        NewOrganization(
            key=character.slug,
            slug=character.slug,
            name=character.name,
            currency="USD",
            billing_email=f"billing@{character.slug}.example",
        ),
        actor=ACTOR,
        now=now,
    )
    for person, role in character.people:
        user = await create_user(session, person, actor=ACTOR, now=now)
        await add_member(session, org, user, role, actor=ACTOR, now=now)
    await start_subscription(session, org, character.plan, now, actor=ACTOR, now=now)
    return org
