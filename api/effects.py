"""Staff's changes, each with its effect in money: tried out, or done."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api.accounts import organization_row
from api.context import Context
from billing.models import Organization
from billing.subscribing import Effect, effect_of, preview

T = TypeVar("T")
OrganizationAct = Callable[[AsyncSession, Organization], Awaitable[T]]
"""Makes one change to an organization, and answers what is shown of it."""


async def staff_change(
    context: Context, organization: str, act: OrganizationAct[T], *, is_preview: bool
) -> Effect[T]:
    """Do it, and tell whom it concerns; or only find out what it would do. Staff only."""
    context.viewer.require_ops()
    async with context.reading() as session:
        org = await organization_row(context, session, organization)
    measured = preview if is_preview else effect_of
    async with context.runtime.sessions.begin() as session:
        effect = await measured(session, lambda s: act(s, org), org, context.now)
    if not is_preview:
        await context.invoiced(org.id)
    return effect
