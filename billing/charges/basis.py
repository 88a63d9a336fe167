"""What charges are computed from: everything known now, or what was known at an earlier instant."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, and_, func, or_, true, tuple_
from sqlalchemy.ext.asyncio import AsyncSession

from billing.ids import MeterId, OrgId
from billing.models import Invoice, InvoiceStatus, Meter
from billing.rules.aggregation import SeriesUsage
from billing.usage.rescan import usage_from_readings
from billing.usage.totals import usage_by_series


@dataclass(frozen=True, slots=True)
class Basis:
    """`now` is where running quantities end. `known_at`: only what was recorded by then counts.

    Usage comes from the hourly buckets; with `reads_events` from every single event, as it always
    does for an earlier instant. `again` is an issued invoice that is computed once more: as if it,
    and all that were issued after it, were not there.
    """

    now: datetime
    known_at: datetime | None = None
    reads_events: bool = False
    is_known_at_included: bool = True
    again: Invoice | None = None

    @classmethod
    def of_invoice(cls, invoice: Invoice, *, is_known_at_included: bool = True) -> "Basis":
        """As it was when the invoice was issued, from every single event."""
        assert invoice.issued_at is not None, "issued"
        return cls(
            invoice.issued_at,
            known_at=invoice.issued_at,
            reads_events=True,
            is_known_at_included=is_known_at_included,
            again=invoice,
        )

    async def usage(
        self,
        session: AsyncSession,
        org_id: OrgId,
        cuts: Sequence[datetime],
        meters: Mapping[MeterId, Meter],
    ) -> dict[str, list[SeriesUsage]]:
        """What was used between the first and the last cut, by meter slug."""
        if not self.reads_events and self.known_at is None:
            return await usage_by_series(session, org_id, cuts, meters, upto=self.now)
        return await usage_from_readings(
            session,
            org_id,
            cuts,
            meters,
            upto=self.now,
            known_at=self.known_at,
            is_known_at_included=self.is_known_at_included,
        )

    def knows(self, recorded_at: Any) -> ColumnElement[bool]:  # noqa: ANN401 - any instant column
        """Whether a row was there."""
        return true() if self.known_at is None else recorded_at <= self.known_at

    def still_stands(self, ended_at: Any) -> ColumnElement[bool]:  # noqa: ANN401 - as above
        """Whether what can be ended had not been."""
        return or_(ended_at.is_(None), ended_at > (self.known_at or self.now))

    @property
    def awaiting(self) -> ColumnElement[bool]:
        """Invoices of ended periods that were still to be issued."""
        if self.known_at is None:
            return Invoice.status == InvoiceStatus.CLOSING
        was_there = or_(Invoice.revision == 0, Invoice.recorded_at <= self.known_at)
        return and_(was_there, or_(Invoice.issued_at.is_(None), Invoice.issued_at > self.known_at))

    @property
    def counting(self) -> ColumnElement[bool]:
        """Invoices that had been issued, and not withdrawn."""
        if self.known_at is None:
            return Invoice.status.not_in((InvoiceStatus.CLOSING, InvoiceStatus.VOID))
        was_issued = Invoice.issued_at <= self.known_at
        if self.again is not None:
            number = str(self.again.number)
            place = tuple_(Invoice.issued_at, func.length(Invoice.number), Invoice.number)
            was_issued = place < (self.again.issued_at, len(number), number)
        stood = or_(Invoice.voided_at.is_(None), Invoice.voided_at > self.known_at)
        return and_(was_issued, stood)
