"""Many issued invoices at once, as a month's close leaves them; made in bulk, for time's sake."""

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import cast

from sqlalchemy import Table, bindparam, insert, update

from billing.ids import InvoiceId, new_id
from billing.models import (
    Invoice,
    InvoiceKind,
    InvoiceLine,
    InvoiceStatus,
    InvoiceSync,
    Organization,
    SyncState,
)
from billing.rules.lines import LineKind
from billing.rules.money import Currency
from billing.runtime import Runtime
from tests.billing.pushing import NOVEMBER
from tests.factories import an_organization

AMOUNTS = (594, 2900)


async def many_issued_invoices(
    runtime: Runtime, organizations: int, each: int, issued_at: datetime
) -> Sequence[InvoiceId]:
    """`each` invoices of two lines and 34.94 for every organization, waiting to be pushed."""
    async with runtime.sessions.begin() as session:
        orgs = [await an_organization(session) for _ in range(organizations)]
        numbers = {new_id(): f"{org.key.upper()}-{n:04d}" for org in orgs for n in range(each)}
        ids = list(numbers)
        owners = [org for org in orgs for _ in range(each)]
        await session.execute(
            insert(Invoice),
            [_closing(id_, org, n) for n, (id_, org) in enumerate(zip(ids, owners, strict=True))],
        )
        await session.execute(
            insert(InvoiceLine), [_line(id_, n) for id_ in ids for n in range(len(AMOUNTS))]
        )
        await (await session.connection()).execute(
            update(cast(Table, Invoice.__table__))
            .where(Invoice.__table__.c.id == bindparam("which"))
            .values(
                status=InvoiceStatus.OPEN,
                total_minor=sum(AMOUNTS),
                digest="",
                issued_at=issued_at,
                number=bindparam("named"),
            ),
            [{"which": id_, "named": number} for id_, number in numbers.items()],
        )
        await session.execute(
            insert(InvoiceSync),
            [
                {"invoice_id": id_, "state": SyncState.PENDING, "next_attempt_at": issued_at}
                for id_ in ids
            ],
        )
    return [InvoiceId(id_) for id_ in ids]


def _closing(id_: object, org: Organization, number: int) -> dict[str, object]:
    return {
        "id": id_,
        "org_id": org.id,
        "kind": InvoiceKind.OFF_CYCLE,
        "cause": f"cause {number}",
        "status": InvoiceStatus.CLOSING,
        "period_start": NOVEMBER.start,
        "period_end": NOVEMBER.end,
        "closes_at": NOVEMBER.end,
        "currency": Currency.USD,
        "recorded_at": NOVEMBER.start,
    }


def _line(invoice_id: object, position: int) -> dict[str, object]:
    return {
        "id": new_id(),
        "invoice_id": invoice_id,
        "position": position,
        "kind": LineKind.ONE_OFF,
        "key": f"item-{position}",
        "segment": 0,
        "description": f"Item {position}",
        "span_start": NOVEMBER.start,
        "span_end": NOVEMBER.end,
        "exact_minor": Fraction(AMOUNTS[position]),
        "amount_minor": AMOUNTS[position],
        "steps": [],
    }
