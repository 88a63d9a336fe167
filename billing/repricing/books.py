"""Everybody's last periods at the prices of a price book."""

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace

from sqlalchemy import select
from sqlalchemy.orm import selectinload

from billing.catalog import meters
from billing.charges import Agreement
from billing.ids import OrgId
from billing.models import Organization, Plan, Price
from billing.price_book import PriceBook
from billing.repricing.effects import OrganizationEffect, check_periods, effects_of, snapshot
from billing.repricing.prices import as_in_book
from billing.runtime import Runtime

_PAGE = 200


async def reprice(
    runtime: Runtime, book: PriceBook, *, periods: int
) -> AsyncIterator[OrganizationEffect]:
    """Every organization's latest issued periods at the prices of a book, by organization.

    What the book lacks stays as it is. One snapshot for each organization, one at a time.
    """
    check_periods(periods)
    async with runtime.sessions() as session:
        found = {meter.slug: meter.id for meter in await meters(session)}
        rows = await session.scalars(
            select(Plan).options(selectinload(Plan.prices).selectinload(Price.versions))
        )
        stored = {plan.slug: plan for plan in rows}
    repriced = {
        entry.slug: as_in_book(stored[entry.slug], entry, found)
        for entry in book.plans
        if entry.slug in stored
    }
    async for org_id in _everybody(runtime):
        async with runtime.sessions() as session:
            await snapshot(session, org_id)
            org = await session.get_one(Organization, org_id)
            yield await effects_of(session, org, lambda x: _at_prices_of(x, repriced), periods)


def _at_prices_of(agreement: Agreement, repriced: Mapping[str, Plan]) -> Agreement:
    plans = {key: repriced.get(plan.slug, plan) for key, plan in agreement.plans.items()}
    return replace(agreement, plans=plans)


async def _everybody(runtime: Runtime) -> AsyncIterator[OrgId]:
    """Every organization, by id, a page at a time."""
    after: OrgId | None = None
    while True:
        statement = select(Organization.id).order_by(Organization.id).limit(_PAGE)
        if after is not None:
            statement = statement.where(Organization.id > after)
        async with runtime.sessions() as session:
            page = (await session.scalars(statement)).all()
        for org_id in page:
            yield org_id
        if len(page) < _PAGE:
            return
        after = page[-1]
