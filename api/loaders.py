"""Loaders: what many parents ask for one by one is fetched in one query, once per request."""

from asyncio import gather
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import datetime

from sqlalchemy.ext.asyncio import AsyncSession
from strawberry.dataloader import DataLoader

from billing.accounts import Member, members_by_org
from billing.catalog import meters
from billing.credit_notes import InvoiceCorrections, corrections_by_invoice
from billing.errors import Invalid
from billing.estimates import PRODUCT, CostShare, Estimate, current_estimate, estimate_as_of
from billing.holds import holds_by_invoice
from billing.ids import InvoiceId, OrgId
from billing.invoices import lines_by_invoice
from billing.models import InvoiceHold, InvoiceLine, Organization, PaymentFacts
from billing.names import did_you_mean
from billing.payments import facts_by_invoice

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens one short session: a session cannot be shared by resolvers that run side by side."""


class Current:
    """One organization's estimate; each breakdown of it is made once, however often asked for."""

    def __init__(self, org: Organization, estimate: Estimate, dimensions: frozenset[str]) -> None:
        self.org = org
        self.estimate = estimate
        self._dimensions = dimensions
        self._shares: dict[str, list[CostShare]] = {}

    def by(self, dimension: str) -> list[CostShare]:
        """Who caused it. Raises `Invalid` for what no meter tells apart."""
        if dimension not in self._dimensions:
            near = did_you_mean(dimension, sorted(self._dimensions))
            raise Invalid(
                f"No meter has a dimension {dimension[:60]!r}.{near}",
                code="UNKNOWN_DIMENSION",
                field="dimension",
            )
        if dimension not in self._shares:
            self._shares[dimension] = self.estimate.by_dimension(dimension)
        return self._shares[dimension]


class Loaders:
    """One request's loaders; each batch reads in a session of its own."""

    def __init__(self, reading: Reading, now: datetime) -> None:
        self._reading = reading
        self._now = now
        self.charges: DataLoader[Organization, Current] = DataLoader(
            self._charges, cache_key_fn=lambda org: org.id
        )
        self.past_charges: DataLoader[tuple[Organization, datetime], Current] = DataLoader(
            self._past_charges, cache_key_fn=lambda asked: (asked[0].id, asked[1])
        )
        self.members: DataLoader[OrgId, list[Member]] = DataLoader(self._members)
        self.lines: DataLoader[InvoiceId, list[InvoiceLine]] = DataLoader(self._lines)
        self.corrections: DataLoader[InvoiceId, InvoiceCorrections] = DataLoader(self._corrections)
        self.payments: DataLoader[InvoiceId, PaymentFacts | None] = DataLoader(self._payments)
        self.holds: DataLoader[InvoiceId, list[InvoiceHold]] = DataLoader(self._holds)

    async def _members(self, ids: Sequence[OrgId]) -> list[list[Member]]:
        async with self._reading() as session:
            found = await members_by_org(session, ids)
        return [found[org_id] for org_id in ids]

    async def _lines(self, ids: Sequence[InvoiceId]) -> list[list[InvoiceLine]]:
        async with self._reading() as session:
            found = await lines_by_invoice(session, ids)
        return [found[invoice_id] for invoice_id in ids]

    async def _corrections(self, ids: Sequence[InvoiceId]) -> list[InvoiceCorrections]:
        async with self._reading() as session:
            found = await corrections_by_invoice(session, ids)
        return [found[invoice_id] for invoice_id in ids]

    async def _payments(self, ids: Sequence[InvoiceId]) -> list[PaymentFacts | None]:
        async with self._reading() as session:
            found = await facts_by_invoice(session, ids)
        return [found.get(invoice_id) for invoice_id in ids]

    async def _holds(self, ids: Sequence[InvoiceId]) -> list[list[InvoiceHold]]:
        async with self._reading() as session:
            found = await holds_by_invoice(session, ids)
        return [found[invoice_id] for invoice_id in ids]

    async def _charges(self, orgs: Sequence[Organization]) -> list[Current | BaseException]:
        """Side by side; one that fails does not fail the others."""
        return await gather(*map(self._current, orgs), return_exceptions=True)

    async def _current(self, org: Organization) -> Current:
        async with self._reading() as session:
            estimate = await current_estimate(session, org, self._now)
            return Current(org, estimate, await _dimensions(session))

    async def _past_charges(
        self, asked: Sequence[tuple[Organization, datetime]]
    ) -> list[Current | BaseException]:
        return await gather(*(self._past(*one) for one in asked), return_exceptions=True)

    async def _past(self, org: Organization, then: datetime) -> Current:
        async with self._reading() as session:
            estimate = await estimate_as_of(session, org, then, self._now)
            return Current(org, estimate, await _dimensions(session))


async def _dimensions(session: AsyncSession) -> frozenset[str]:
    """What costs can be broken down by."""
    known = {name for meter in await meters(session) for name in meter.dimensions}
    return frozenset(known | {PRODUCT})
