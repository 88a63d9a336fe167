"""Loaders: what many parents ask for one by one is fetched in one query, once per request."""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager

from sqlalchemy.ext.asyncio import AsyncSession
from strawberry.dataloader import DataLoader

from billing.accounts import Member, members_by_org
from billing.ids import InvoiceId, OrgId
from billing.invoices import lines_by_invoice
from billing.models import InvoiceLine

Reading = Callable[[], AbstractAsyncContextManager[AsyncSession]]
"""Opens one short session: a session cannot be shared by resolvers that run side by side."""


class Loaders:
    """One request's loaders; each batch reads in a session of its own."""

    def __init__(self, reading: Reading) -> None:
        self._reading = reading
        self.members: DataLoader[OrgId, list[Member]] = DataLoader(self._members)
        self.lines: DataLoader[InvoiceId, list[InvoiceLine]] = DataLoader(self._lines)

    async def _members(self, ids: Sequence[OrgId]) -> list[list[Member]]:
        async with self._reading() as session:
            found = await members_by_org(session, ids)
        return [found[org_id] for org_id in ids]

    async def _lines(self, ids: Sequence[InvoiceId]) -> list[list[InvoiceLine]]:
        async with self._reading() as session:
            found = await lines_by_invoice(session, ids)
        return [found[invoice_id] for invoice_id in ids]
